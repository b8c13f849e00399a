"""A daemon that somebody else runs: whether it answers, waiting until it does, connecting.

Before a build, a stream that was opened to see whether the daemon is there is kept for whoever
connects next, so that knowing costs nothing. Where there is reason to doubt, because it did not
answer before, a call of its own decides.
"""

from __future__ import annotations

import time

from dockyard.cancellation import Cancellation
from dockyard.driver import Connection, Node, NodeStatus, Progress, State, Step
from dockyard.engine.kept import KeptStream
from dockyard.engine.stream import PipeStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import BootstrapError
from dockyard_remote.failure import Failure, FailureError
from dockyard_remote.plaintext import warnings
from dockyard_remote.reach import Target, open_stream, question, target_of

BOOT_SECONDS = 20.0
"""How long a daemon is waited for, as in the reference."""
_CONNECT_SECONDS = 20.0
_PAUSE = 1.0
"""Between two tries."""
_LEAST_SECONDS = 1.0
"""What a try gets, also when the time is up."""
_OPENED, _DOUBTED = "opened", "doubted"
"""The keys of what is kept with a node."""


def status(node: Node) -> NodeStatus:
    """Say whether the daemon answers. That it does not is no error.

    Raises:
        EndpointError: The endpoint makes no sense.
        OptionError: The TLS options don't fit together.
    """
    target = target_of(node)
    try:
        if target.endpoint.command:
            # buildctl leads to BuildKit and nowhere else, and to start it twice would take long.
            node.cache[_OPENED] = KeptStream(open_stream(target, target.patience, None))
        else:
            question(target, target.patience, None)
    except FailureError as error:
        node.cache[_DOUBTED] = True
        return NodeStatus(state=State.INACTIVE, reason=error.failure.words, warnings=warnings(node))
    node.cache.pop(_DOUBTED, None)
    return NodeStatus(state=State.RUNNING, warnings=warnings(node))


def bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> None:
    """Return once the daemon answers. Somebody else starts it; all we can do is wait.

    Raises:
        BootstrapError: It did not answer in time, or never will; says what was seen of it.
        EndpointError: The endpoint makes no sense.
        OptionError: The TLS options don't fit together.
        CanceledError: ``cancel`` was turned.
    """
    target = target_of(node)
    deadline = time.monotonic() + BOOT_SECONDS
    try:
        if _is_there(node, target, cancel):
            return
        failure = None
    except FailureError as error:
        failure = error.failure
    with progress.step("[internal] waiting for connection") as step:
        _await(target, failure, deadline, step, cancel)
    node.cache.pop(_DOUBTED, None)


def connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection, or take the one that was kept.

    Raises:
        ConnectError: The daemon cannot be reached, or is none; says why.
        EndpointError: The endpoint makes no sense.
        OptionError: The TLS options don't fit together.
        CanceledError: ``cancel`` was turned.
    """
    target = target_of(node)
    kept = node.cache.pop(_OPENED, None)
    if isinstance(kept, KeptStream) and kept.usable:
        stream = kept.take()
    else:
        try:
            stream = open_stream(target, _CONNECT_SECONDS, cancel)
        except FailureError as error:
            raise error.at(node.endpoint) from error
    return Connection(
        stream=stream,
        authority=target.authority,
        diagnostics=stream.last_words if isinstance(stream, PipeStream) else None,
    )


def _is_there(node: Node, target: Target, cancel: Cancellation) -> bool:
    """Open a stream and keep it; says no where there is reason to doubt."""
    if node.cache.get(_DOUBTED):
        return False
    kept = node.cache.get(_OPENED)
    if not isinstance(kept, KeptStream) or not kept.usable:
        node.cache[_OPENED] = KeptStream(open_stream(target, target.patience, cancel))
    return True


def _await(
    target: Target, seen: Failure | None, deadline: float, step: Step, cancel: Cancellation
) -> None:
    """Ask until there is an answer, and show what was seen whenever it changes."""
    shown = ""
    while True:
        if seen is not None:
            if seen.words != shown:
                step.log(f"{seen.words}\n".encode())
                shown = seen.words
            _give_up_or_pause(target, seen, deadline, cancel)
        # A last question with less time could only hide what was seen before.
        left = max(_LEAST_SECONDS, deadline - time.monotonic())
        try:
            question(target, min(target.patience, left), cancel)
        except FailureError as error:
            seen = error.failure
        else:
            return


def _give_up_or_pause(target: Target, seen: Failure, deadline: float, cancel: Cancellation) -> None:
    where = target.endpoint.text
    if seen.final:
        raise BootstrapError(
            f"failed to connect to BuildKit at {where}: {seen.words}", hint=seen.hint
        )
    left = deadline - time.monotonic()
    if left <= _PAUSE:
        raise BootstrapError(
            f"BuildKit at {where} did not answer within {BOOT_SECONDS:g} s: {seen.words}",
            hint=seen.hint,
        )
    try:
        with Wait(_PAUSE, cancel) as wait:
            wait.pause(_PAUSE)
    except OutOfTimeError:
        return
