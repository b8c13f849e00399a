"""Fixtures with a real image registry on a loopback port, which engines reach over plain HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import attrs
import pytest
from tools import debian
from tools.control import Control, new_folder
from tools.packages import REGISTRY
from tools.supervisor import Spec

from support.engines import or_skip

USER = "dockyard"
PASSWORD = "harbour"
PASSWORD_HASH = "$2b$04$oL0S2K8bza/nZmqabS.IXe1tPrpA/VusKWp5mU9FZv8VsaCuotMMK"
"""The registry takes bcrypt only, which the standard library cannot make."""


@attrs.frozen(kw_only=True)
class Registry:
    """A registry that answers."""

    address: str
    """Host and port: what image names begin with."""
    user: str = ""
    """Who may use it; empty when anybody may."""
    password: str = ""


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry that anybody may push to; each test uses repository names of its own."""
    with ExitStack() as stack:
        yield _start(stack, Registry(address=f"127.0.0.1:{_free_port()}"))


@pytest.fixture(scope="session")
def registry_with_login() -> Iterator[Registry]:
    """A registry that asks for a user and a password."""
    with ExitStack() as stack:
        address = f"127.0.0.1:{_free_port()}"
        yield _start(stack, Registry(address=address, user=USER, password=PASSWORD))


def _start(stack: ExitStack, wanted: Registry) -> Registry:
    package = or_skip(lambda: debian.unpacked([REGISTRY])[0])
    folder = new_folder()
    passwords = folder / "htpasswd"
    passwords.write_text(f"{USER}:{PASSWORD_HASH}\n")
    settings: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": wanted.address},
    }
    if wanted.user:
        settings["auth"] = {"htpasswd": {"realm": "dockyard", "path": str(passwords)}}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    spec = Spec(
        argv=[str(package / "usr/bin/docker-registry"), "serve", str(folder / "config.yml")],
        environment={},
        port=int(wanted.address.rpartition(":")[2]),
        path="/v2/",
    )
    control = or_skip(lambda: Control.launch(folder, spec))
    stack.callback(control.end)
    return wanted


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
