"""What a node's container is doing, as the engine tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.engine.http import request
from dockyard.errors import ConnectError, EngineError

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import Node, NodeStatus
    from dockyard.engine.endpoint import EngineEndpoint

BOOTED = "booted"
"""Where a node's cache has its container as it was when BuildKit answered last."""

_STATUS_SECONDS = 10.0
_KILLED = 137
_TERMINATED = 143


class Container(NamedTuple):
    """A container, as far as it matters here."""

    name: str
    status: str
    """``created``, ``running``, ``paused``, ``restarting``, ``removing``, ``exited``, ``dead``."""
    exit_code: int = 0
    out_of_memory: bool = False
    error: str = ""
    """Why the engine could not start it."""
    restarts: int = 0
    """How often the engine has started it again since somebody did so."""
    started: str = ""
    """When it was started last, in UTC by the engine's clock: ``2026-01-31T23:59:59``."""
    now: str = ""
    """What the engine's clock showed when it told all this, in the same form; empty if unknown."""
    kept_running: bool = False
    """Whether the engine starts it again whenever it ends by itself."""
    image: str = ""
    """The id of its image."""
    image_name: str = ""
    """The name by which the image was given."""

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because somebody wanted it to. Its exit code then says nothing."""
        wanted = self.kept_running or self.exit_code in (0, _TERMINATED)
        return self.status == "exited" and wanted and not (self.error or self.out_of_memory)

    @property
    def reason(self) -> str:
        """Why it does not run, in words that follow its name."""
        code = f"code {self.exit_code}"
        if self.out_of_memory:
            code += " (killed: out of memory)"
        elif self.exit_code == _KILLED:
            code += " (killed)"
        words = {
            "created": "was made but not started",
            "exited": f"exited with {code}",
            "removing": "is being removed",
            "restarting": f"ends and is started again, last with {code}",
        }.get(self.status, f"is {self.status}")
        return f"{words}: {self.error}" if self.error else words


def container_name(node: Node) -> str:
    """Give the name of a node's container.

    Raises:
        ConnectError: No container can have a name made of the node's.
    """
    name = f"buildx_buildkit_{node.name}"
    if not (name.isascii() and name.replace("_", "").replace(".", "").replace("-", "").isalnum()):
        raise ConnectError(f"node name {node.name!r} cannot be part of a container's name")
    return name


def container_path(node: Node) -> str:
    """Give where the engine's API has the node's container."""
    return f"/containers/{container_name(node)}"


def engine_of(node: Node) -> EngineEndpoint:
    """Give the engine that the node's container is in.

    Raises:
        ConnectError: The node has none.
    """
    if node.engine is None:
        raise ConnectError("docker-container driver requires docker API access")
    return node.engine


def look(
    node: Node, *, seconds: float = _STATUS_SECONDS, cancel: Cancellation | None = None
) -> Container | None:
    """Ask the engine for the node's container; None when there is none.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: It refuses.
        CanceledError: ``cancel`` was turned.
    """
    name = container_name(node)
    path = f"{container_path(node)}/json"
    try:
        answer = request(engine_of(node), "GET", path, timeout=seconds, cancel=cancel)
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    date = next((value for key, value in answer.headers if key.lower() == "date"), "")
    return _container(name, answer.json(), date)


def status(node: Node) -> NodeStatus:
    """Say how far the node is from answering.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: It refuses.
    """
    from dockyard.driver import NodeStatus, State

    found = look(node)
    if found is None:
        return NodeStatus(state=State.INACTIVE)
    if not found.running:
        reason = "" if found.was_stopped else f"container {found.name} {found.reason}"
        return NodeStatus(state=State.STOPPED, reason=reason)

    def ask_version() -> str:
        from dockyard_docker_container.connection import version

        return version(node)

    return NodeStatus(state=State.RUNNING, ask_version=ask_version)


def _container(name: str, answer: object, date: str) -> Container:
    state = answer.get("State") if isinstance(answer, Mapping) else None
    if not isinstance(answer, Mapping) or not isinstance(state, Mapping):
        raise EngineError(f"the docker engine does not tell the state of container {name}")
    host = _table(answer, "HostConfig")
    return Container(
        name=name,
        status=_text(state, "Status"),
        exit_code=_number(state, "ExitCode"),
        out_of_memory=state.get("OOMKilled") is True,
        error=" ".join(_text(state, "Error").split()),
        restarts=_number(answer, "RestartCount"),
        started=_text(state, "StartedAt")[:19],
        now=_iso(date),
        kept_running=_text(_table(host, "RestartPolicy"), "Name") in ("always", "unless-stopped"),
        image=_text(answer, "Image"),
        image_name=_text(_table(answer, "Config"), "Image"),
    )


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _number(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0


def _iso(date: str) -> str:
    """Turn the date of an HTTP answer, ``Sat, 31 Jan 2026 23:59:59 GMT``, into the other form."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    parts = date.split()
    if len(parts) != 6 or parts[2] not in months:
        return ""
    _, day, month, year, clock, _ = parts
    return f"{year}-{months.index(month) + 1:02}-{day}T{clock}"
