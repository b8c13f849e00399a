"""Wait until the BuildKit in a container answers, and say what is wrong when it will not."""

from __future__ import annotations

from contextlib import suppress

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.engine.exec import NOT_STARTED, ExecResult, run_exec, shown_lines
from dockyard.engine.http import request
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import BootstrapError, EngineError, EngineUnreachableError
from dockyard_docker_container.container import image_of
from dockyard_docker_container.state import (
    Container,
    container_name,
    container_path,
    engine_of,
    look,
)

PATIENCE = 60.0
"""Seconds that BuildKit may take to answer for as long as its container lives."""

_STEP = 0.12
_LONGEST_PAUSE = 2.0
_PROBE_SECONDS = 20.0
_RESTART_SECONDS = 5.0
_END_SECONDS = 3.0
_END_PAUSE = 0.05
_LOG_LINES = 10
_LONG_LOG = 200
_LOG_SECONDS = 5.0


def await_answer(node: Node, cancel: Cancellation, *, restarts: int = 0) -> None:
    """Wait until BuildKit answers.

    Args:
        node: Its container has been started.
        cancel: Ends the waiting.
        restarts: How often the engine may have started the container again.

    Raises:
        BootstrapError: The container died, or holds no BuildKit, or time is over; says which.
        EngineUnreachableError: The engine is gone.
        CanceledError: ``cancel`` was turned.
    """
    last = ""
    lacking = 0
    with Wait(PATIENCE, cancel) as wait:
        try:
            for attempt in range(1, 1000):
                answer = probe(node, cancel, seconds=_PROBE_SECONDS)
                if isinstance(answer, ExecResult):
                    if answer.code == 0:
                        return
                    last = "".join(shown_lines(answer.stderr or answer.stdout)[-1:])
                found = _alive(node, cancel, restarts)
                # Nothing is found in a container that is ending, which the engine may not know yet.
                lacking = lacking + 1 if _lacks_program(answer) else 0
                if lacking > 1:
                    raise _no_buildkit(node, found, "it has no buildctl")
                wait.pause(min(attempt * _STEP, _LONGEST_PAUSE))
        except OutOfTimeError:
            pass
    raise _failure(
        node,
        f"BuildKit in container {container_name(node)} does not answer after "
        f"{PATIENCE:g} s{f': {last}' if last else ''}",
    )


def probe(node: Node, cancel: Cancellation, *, seconds: float) -> ExecResult | EngineError:
    """Ask BuildKit for its workers, once; gives the error if not even that can be asked.

    Raises:
        EngineUnreachableError: The engine is gone.
        CanceledError: ``cancel`` was turned.
    """
    command = ["buildctl", "debug", "workers"]
    try:
        return run_exec(
            engine_of(node), container_name(node), command, timeout=seconds, cancel=cancel
        )
    except EngineUnreachableError:
        raise
    except EngineError as error:
        return error


def start_failure(node: Node, error: EngineError) -> BootstrapError:
    """Say why the engine does not start the container, in words that name the cause."""
    words = str(error)
    if found := look(node):
        foreign = _foreign(node, found)
        if foreign:
            return foreign
        if "exec: " in words:
            return _no_buildkit(node, found, words)
    return refusal(node, "started", error)


def refusal(node: Node, done: str, error: EngineError) -> BootstrapError:
    """Say that the engine does not do something with the container, in its own words."""
    words, network = str(error), node.options.get("network")
    hint = None
    if network and "network" in words and "not found" in words:
        hint = f"make it: docker network create {network}"
    return BootstrapError(f"container {container_name(node)} cannot be {done}: {words}", hint=hint)


def _lacks_program(answer: ExecResult | EngineError) -> bool:
    """Say whether there is no ``buildctl`` to be run."""
    if not isinstance(answer, ExecResult) or answer.code not in NOT_STARTED:
        return False
    words = (answer.stdout or answer.stderr).decode(errors="replace")
    return "not found" in words or "no such file" in words


def _alive(node: Node, cancel: Cancellation, restarts: int) -> Container:
    """Give the container; raises when it has ended, or was started again too often."""
    found = look(node, cancel=cancel)
    if found is not None and found.restarts <= restarts:
        found = _started_again(node, found, cancel)
    if found is None:
        raise BootstrapError(
            f"container {container_name(node)} was removed while BuildKit was being waited for"
        )
    if found.running and found.restarts <= restarts:
        return found
    raise _ended(node, _next_end(node, cancel) if found.running else found)


def _started_again(node: Node, found: Container, cancel: Cancellation) -> Container | None:
    """Give the engine a moment to start a container again that has ended."""
    latest: Container | None = found
    with Wait(_RESTART_SECONDS, cancel) as wait, suppress(OutOfTimeError):
        while latest is not None and latest.status == "restarting":
            wait.pause(_END_PAUSE)
            latest = look(node, cancel=cancel)
    return latest


def _next_end(node: Node, cancel: Cancellation) -> Container | None:
    """Catch a container that ends again and again while it is down: only then its code is known."""
    with Wait(_END_SECONDS, cancel) as wait:
        try:
            while (found := look(node, cancel=cancel)) and found.running:
                wait.pause(_END_PAUSE)
        except OutOfTimeError:
            return None
    return found


def _ended(node: Node, found: Container | None) -> BootstrapError:
    if found is None:
        return _failure(node, f"container {container_name(node)} ended and was started again")
    foreign = _foreign(node, found)
    if foreign:
        return foreign
    if found.exit_code in NOT_STARTED:
        return _no_buildkit(node, found, "".join(_log(node)[-1:]) or found.reason)
    return _failure(node, f"container {found.name} {found.reason}")


def _failure(node: Node, what: str) -> BootstrapError:
    log = _log(node)
    if not log:
        return BootstrapError(f"{what}; it has logged nothing")
    return BootstrapError("\n  ".join([f"{what}; its log ends with:", *log]))


def _no_buildkit(node: Node, found: Container, why: str) -> BootstrapError:
    return BootstrapError(
        f"container {found.name} is made of image {found.image_name}, "
        f"which is not a BuildKit image: {why}",
        hint=_other_image(node, found),
    )


def _foreign(node: Node, found: Container) -> BootstrapError | None:
    """Give the error if the container's image is for another platform than the engine's own."""
    try:
        image = request(engine_of(node), "GET", f"/images/{found.image}/json").json()
        engine = request(engine_of(node), "GET", "/version").json()
        theirs = f"{image['Os']}/{image['Architecture']}"
        ours = f"{engine['Os']}/{engine['Arch']}"
    except (EngineError, KeyError, TypeError, ValueError):
        return None  # it would only have been a better explanation
    if theirs == ours:
        return None
    return BootstrapError(
        f"container {found.name} is made of image {found.image_name}, which is for {theirs} "
        f"and does not run on this docker engine: it is {ours}",
        hint=_other_image(node, found),
    )


def _other_image(node: Node, found: Container) -> str:
    if found.image_name == image_of(node):
        return "--driver-opt image=NAME chooses another one"
    return f"it is none of this builder's making: remove or rename it (docker rm -f {found.name})"


def _log(node: Node) -> list[str]:
    """Give the container's last log lines; none when they cannot be had.

    Of one that ended soon the first line is among them: it may be the one with the reason.
    """
    path = f"{container_path(node)}/logs?stdout=1&stderr=1&tail={_LONG_LOG}"
    try:
        framed = request(engine_of(node), "GET", path, timeout=_LOG_SECONDS).body
    except EngineError:
        return []
    lines = shown_lines(_unframed(framed))
    if _LOG_LINES < len(lines) < _LONG_LOG // 2:
        return [lines[0], "...", *lines[2 - _LOG_LINES :]]
    return lines[-_LOG_LINES:]


def _unframed(data: bytes) -> bytes:
    """Take the headers out that engines put before each piece of output."""
    parts = []
    at = 0
    while at + 8 < len(data):
        start, at = at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        parts.append(data[start:at])
    return b"".join(parts)
