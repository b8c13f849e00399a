"""Send a request again, within its time, where that can help and does no harm."""

from __future__ import annotations

import itertools

from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_kubernetes.failure import ApiError, ClusterUnreachableError
from dockyard_kubernetes.http import Answer, BrokenError, Headers, Server

_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_FIRST_TURNS = 3
_MOST_FORGIVEN = 6
"""How often one is asked again who forbids what he allowed before: for 5 s, or a bit more."""
_FORBIDDEN = 403
_REFUSED_UNDONE = 429
_BUSY = 503
_GATEWAY = (502, 504)


def ask(
    server: Server,
    method: str,
    path: str,
    verb: str,
    wait: Wait,
    headers: Headers,
    body: bytes = b"",
) -> Answer:
    """Send a request until it is answered with a success, or there is no point in it.

    Raises:
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
        CanceledError: It was canceled.
    """
    pause = _PAUSE
    forgiven = 0
    failure: ApiError | ClusterUnreachableError | None = None
    try:
        for turn in itertools.count(1):
            asked = 0.0
            try:
                answer = server.request(method, path, wait, headers=headers, body=body)
            except ClusterUnreachableError as error:
                if not _may_repeat(server, method, error, turn):
                    raise
                failure = error
            else:
                if answer.status < 300:
                    server.allow(verb, path)
                    return answer
                failure = server.refusal(verb, path, answer.head, answer.body)
                forgiven += int(answer.status == _FORBIDDEN and failure.transient)
                asked = _retry_after(method, answer)
                if asked < 0 and not 0 < forgiven <= _MOST_FORGIVEN:
                    raise failure
            asked = max(pause, asked)
            if wait.left <= asked:
                raise failure
            try:
                wait.pause(asked)
            except OutOfTimeError:
                raise failure from None
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AssertionError("the turns are endless")
    finally:
        failure = None  # it would keep this frame alive, which keeps it and the connections


def _may_repeat(server: Server, method: str, error: ClusterUnreachableError, turn: int) -> bool:
    broken = isinstance(error, BrokenError)
    if not error.transient or (broken and method == "POST"):
        return False
    # Nobody who has never answered is waited for; a broken connection may be bad luck.
    return server.heard or (broken and turn < _FIRST_TURNS)


def _retry_after(method: str, answer: Answer) -> float:
    """Say after how many seconds to send it again; negative for never."""
    given = answer.head.get("retry-after").strip()
    seconds = float(given) if given.isdigit() and len(given) < 6 else 0.0
    if answer.status == _REFUSED_UNDONE or (answer.status == _BUSY and given):
        return seconds  # the server has not begun with it
    if answer.status == _BUSY or answer.status in _GATEWAY:
        return -1.0 if method == "POST" else seconds
    return -1.0
