"""A driver for tests: what a node does stands in its endpoint.

- ``stand:///PATH`` runs when a BuildKit listens on the socket file; with the option
  ``needs-boot`` only once it was booted, which leaves ``PATH.booted``
- ``stand://down/...`` never runs
- ``stand://broken/WORDS`` fails with the words, whatever it is asked
- ``stand://hang/...`` never answers
- ``stand://stuck/PATH`` is like ``stand:///PATH`` and cannot be removed
- ``stand://stopped/...`` is stopped
- ``stand://lost/...`` is taken for inactive, because nobody can be asked
- ``stand://crash/...`` raises what no driver should

Of the colors, ``ugly`` and whatever begins so cannot be booted, ``dim`` is booted until that is
canceled, and ``divided`` raises what no driver should. What is removed is booted no more.

What it is told to do it writes, a line each, into the file that ``STAND_LOG`` names.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dockyard.cancellation import Cancellation
from dockyard.driver import (
    Booted,
    Connection,
    DriverType,
    EndpointForm,
    Feature,
    Node,
    NodeStatus,
    Option,
    Progress,
    Removed,
    State,
    Stopped,
    Support,
    boolean,
)
from dockyard.errors import ConnectError, DriverError, EndpointError
from dockyard.plugin import hookimpl


@hookimpl
def dockyard_driver() -> DriverType:
    return DriverType(
        name="stand",
        summary="a stand-in for tests",
        features={
            Feature.TARBALL: Support.yes(),
            Feature.CACHE_EXPORT: Support.yes(),
            Feature.AUTO_LOAD: Support.conditional("with needs-boot"),
            Feature.BUILDKIT_CONFIG: Support.yes("kept | not read"),
        },
        options=(
            Option(
                name="needs-boot",
                help="run only once booted",
                type="bool",
                default="false",
                parse=boolean,
            ),
            Option(name="color", help="the color of the stand", default="red"),
            Option(name="env.", help="a variable of the daemon"),
        ),
        endpoints=(EndpointForm(form="stand:///PATH", help="a socket file", scheme="stand"),),
        priority=20,
        fallback_priority=90,
        endpoint_variable="STAND_HOST",
    )


@hookimpl
def dockyard_endpoint(
    driver: str, argument: str | None, variables: Mapping[str, str]
) -> str | None:
    if driver != "stand":
        return None
    endpoint = argument or variables.get("STAND_HOST")
    if not endpoint:
        raise EndpointError("no stand endpoint provided")
    if not endpoint.startswith("stand://"):
        raise EndpointError(f"unrecognized url scheme {endpoint.partition('://')[0]}")
    return endpoint


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    kind, path = _place(node)
    if kind == "hang":
        threading.Event().wait()
    if kind == "broken":
        raise DriverError(path.name)
    if kind == "crash":
        raise ZeroDivisionError("an accident")
    if kind == "stopped":
        return NodeStatus(state=State.STOPPED)
    if kind == "lost":
        return NodeStatus(state=State.INACTIVE, reason="nobody can be asked", is_guess=True)
    if (
        kind not in {"", "stuck"}
        or not path.exists()
        or (node.options.get("needs-boot") and not _is_booted(path))
    ):
        return NodeStatus(state=State.INACTIVE, reason="nobody stands here")
    return NodeStatus(state=State.RUNNING, version="v0.0.1-stand")


@hookimpl
def dockyard_bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> Booted:
    kind, path = _place(node)
    color = node.options.get("color", "red")
    _note(f"boot {node.name} {color}")
    with progress.step("[internal] booting buildkit") as step:
        if kind == "broken":
            raise DriverError(path.name)
        if color.startswith("ugly"):
            raise DriverError(f"too {color} to stand", hint="paint it")
        if color == "divided":
            raise ZeroDivisionError("an accident")
        with step.status(f"setting up {node.name}"):
            if color == "dim":
                canceled = threading.Event()
                cancel.on_cancel(canceled.set)
                canceled.wait()
                cancel.check()
            path.with_suffix(".booted").touch()
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    from dockyard.engine.stream import SocketStream

    _, path = _place(node)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(str(path))
    except OSError as error:
        made.close()
        raise ConnectError(f"nobody listens at {path}") from error
    return Connection(stream=SocketStream(made))


@hookimpl
def dockyard_stop(node: Node) -> Stopped:
    _note(f"stop {node.name}")
    kind, path = _place(node)
    if kind == "broken":
        raise DriverError(path.name)
    return Stopped()


@hookimpl
def dockyard_rm(node: Node, force: bool, keep_state: bool, keep_daemon: bool) -> Removed:
    kind, path = _place(node)
    if kind == "stuck":
        raise DriverError("it is nailed down")
    if not kind:
        path.with_suffix(".booted").unlink(missing_ok=True)
    words = [word for word, given in (("force", force), ("keep-state", keep_state)) if given]
    _note(" ".join(["rm", node.name, *words]))
    return Removed(what=(f"stand {node.name}",))


def _place(node: Node) -> tuple[str, Path]:
    parts = urlsplit(node.endpoint)
    return parts.netloc, Path(parts.path)


def _is_booted(path: Path) -> bool:
    return path.with_suffix(".booted").exists()


def _note(line: str) -> None:
    log = os.environ.get("STAND_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{line}\n")
