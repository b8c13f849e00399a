"""The way to the BuildKit in a container: ``buildctl dial-stdio``, run in it."""

from __future__ import annotations

from dockyard.cancellation import Cancellation
from dockyard.driver import Connection, Node
from dockyard.engine.exec import ExecStream, open_exec, run_exec
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import ConnectError, DockyardError, EngineError, EngineUnreachableError
from dockyard_docker_container.state import (
    BOOTED,
    Container,
    container_name,
    engine_of,
    look,
)

_DIAGNOSIS_SECONDS = 5.0
_VERSION_SECONDS = 10.0
_NOTICE_SECONDS = 3.0
_NOTICE_PAUSE = 0.05


def connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to BuildKit. The container has to run.

    Raises:
        EngineUnreachableError: No engine answers.
        ConnectError: The container is gone or does not run.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    name = container_name(node)
    try:
        stream = open_exec(engine_of(node), name, ["buildctl", "dial-stdio"], cancel=cancel)
    except EngineUnreachableError:
        raise
    except EngineError as error:
        if error.status not in (404, 409):
            raise
        raise ConnectError(_why_not(node) or str(error)) from error
    return Connection(stream=stream, diagnostics=lambda: _last_words(node, stream))


def version(node: Node) -> str:
    """Ask the program itself for its version; empty when it does not tell.

    Raises:
        EngineError: The engine does not run it.
    """
    command = ["buildkitd", "--version"]
    ran = run_exec(engine_of(node), container_name(node), command, timeout=_VERSION_SECONDS)
    fields = ran.stdout.decode(errors="replace").split()
    return fields[2] if ran.code == 0 and len(fields) == 4 else ""


def _why_not(node: Node) -> str:
    """Say what became of the container; empty when it runs as it did."""
    found = look(node, seconds=_DIAGNOSIS_SECONDS)
    if found is None:
        return f"container {container_name(node)} is gone"
    if not found.running:
        return f"container {found.name} {found.reason}"
    before = node.cache.get(BOOTED)
    if isinstance(before, Container) and found.started != before.started:
        return f"container {found.name} ended and was started again"
    return ""


def _last_words(node: Node, stream: ExecStream) -> str:
    """Say why the connection ended: the container's end rather than that of the program in it."""
    try:
        words = "" if _why_not(node) else stream.last_words()
        ended = _await_reason(node)
    except DockyardError as error:
        return str(error)
    if not ended and words:
        return f"buildctl in container {container_name(node)}: {words}"
    return ", ".join(filter(None, [ended, words]))


def _await_reason(node: Node) -> str:
    """Give the engine a moment to notice that the container has ended."""
    wait = Wait(_NOTICE_SECONDS)
    while not (ended := _why_not(node)):
        try:
            wait.pause(_NOTICE_PAUSE)
        except OutOfTimeError:
            break
    return ended
