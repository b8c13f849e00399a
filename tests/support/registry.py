"""Fixtures with a real image registry on a loopback port, which engines reach over plain HTTP."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import attrs
import pytest
from tools import debian
from tools.control import Control, new_folder
from tools.packages import REGISTRY
from tools.supervisor import Spec

from support.engines import or_skip
from support.port import free_port

USER = "dockyard"
PASSWORD = "harbour"
OCI = "application/vnd.oci.image"
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
        yield start(stack)


@pytest.fixture(scope="session")
def registry_with_login() -> Iterator[Registry]:
    """A registry that asks for a user and a password."""
    with ExitStack() as stack:
        yield start(stack, user=USER, password=PASSWORD)


def start(
    stack: ExitStack, *, user: str = "", password: str = "", storage: Path | None = None
) -> Registry:
    """Start a registry that ends with ``stack``; ``storage`` is a folder to keep and to reuse."""
    wanted = Registry(address=f"127.0.0.1:{free_port()}", user=user, password=password)
    package = or_skip(lambda: debian.unpacked([REGISTRY])[0])
    folder = new_folder()
    passwords = folder / "htpasswd"
    passwords.write_text(f"{USER}:{PASSWORD_HASH}\n")
    settings: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "data")}},
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


def push_archive(registry: Registry, name: str, archive: Path) -> None:
    """Push the one image of a ``docker save`` archive as it is, without an engine in between."""
    repository, _, tag = name.partition(":")
    connection = HTTPConnection(registry.address, timeout=60)
    with tarfile.open(archive) as tar:

        def push(member: str, kind: str) -> dict[str, object]:
            info = tar.getmember(member)
            descriptor = _descriptor(_open(tar, info), info.size, kind)
            place = _request(connection, "POST", f"/v2/{repository}/blobs/uploads/", 202)
            sign = "&" if urlsplit(place).query else "?"
            target = f"{place}{sign}digest={descriptor['digest']}"
            _request(connection, "PUT", target, 201, _open(tar, info), info.size)
            return descriptor

        (manifest,) = json.load(_open(tar, tar.getmember("manifest.json")))
        content = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": push(manifest["Config"], "config.v1+json"),
            "layers": [push(layer, "layer.v1.tar") for layer in manifest["Layers"]],
        }
    data = json.dumps(content).encode()
    target = f"/v2/{repository}/manifests/{tag}"
    _request(connection, "PUT", target, 201, data, len(data), str(content["mediaType"]))
    connection.close()


def _open(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    assert file is not None
    return file


def _descriptor(file: IO[bytes], size: int, kind: str) -> dict[str, object]:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return {"mediaType": f"{OCI}.{kind}", "size": size, "digest": f"sha256:{digest.hexdigest()}"}


def _request(
    connection: HTTPConnection,
    method: str,
    target: str,
    expected: int,
    body: IO[bytes] | bytes | None = None,
    size: int = 0,
    kind: str = "application/octet-stream",
) -> str:
    """Send a request, and give the place that the answer names."""
    headers = {"Content-Length": str(size), "Content-Type": kind}
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == expected, (method, target, answer.status, text)
    return answer.headers["Location"] or ""
