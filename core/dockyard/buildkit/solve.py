"""One build: a Solve call, and the Status call that tells what it is doing.

Both run at the same time on the client's loop, which also serves the session meanwhile. The
daemon replays the progress to whoever asks late, and goes on telling for a while after Solve
returned; how long is nowhere written, so we listen until it ends or falls silent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from dockyard.buildkit.client import CONTROL, Client, build_error, encode_request
from dockyard.buildkit.failure import StepLogs
from dockyard.buildkit.heartbeat import Heartbeat
from dockyard.buildkit.request import SolveRequest, request_values
from dockyard.buildkit.status import status_update
from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, DaemonError, DockyardError, ProtocolError
from dockyard.events import StatusUpdate
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Call, Code
from dockyard.wire.loop import Timer
from dockyard.wire.messages import SOLVE_REQUEST, SOLVE_RESPONSE, STATUS_REQUEST, STATUS_RESPONSE

if TYPE_CHECKING:
    from dockyard.buildkit.gateway import Conversation, Reason, Talk

_NAMES_SHOWN = 3


class Patience(NamedTuple):
    """How long a solve listens and waits, in seconds."""

    idle: float = 5.0
    """Silence on the status stream that counts as its end, once the build is over."""
    unheard: float = 1.0
    """The same when the build failed before anything was heard of it."""
    grace: float = 3.0
    """For the last status messages after a cancel; mostly they come, and end, much sooner."""
    interval: float = 10.0
    """Silence after which the daemon is asked whether it is still there."""
    answer: float = 20.0
    """How long it may take to answer."""


def solve(
    client: Client,
    request: SolveRequest,
    on_update: Callable[[StatusUpdate], None],
    cancel: Cancellation,
    *,
    talk: Talk | None = None,
    patience: Patience | None = None,
) -> dict[str, str]:
    """Build, and give what the exporters answered. Blocks until the build is over.

    ``on_update`` is called from within, for each message of progress. With ``talk`` we lead the
    build ourselves (see :mod:`dockyard.buildkit.gateway`); the request names no frontend then.

    Raises:
        BuildError: The build failed.
        CanceledError: ``cancel`` was called; the daemon was told.
        ConnectionLostError: The connection broke; says what was running.
        ProtocolError: The daemon's answers make no sense.
    """
    cancel.check()
    with closing(StepLogs()) as steps:
        return _Solve(client, request, on_update, patience or Patience(), talk, steps).run(cancel)


class _Solve:
    """The state of one build."""

    def __init__(
        self,
        client: Client,
        request: SolveRequest,
        on_update: Callable[[StatusUpdate], None],
        patience: Patience,
        talk: Talk | None,
        steps: StepLogs,
    ) -> None:
        self._client = client
        self._request = request
        self._on_update = on_update
        self._patience = patience
        self._heartbeat = Heartbeat(
            client.loop, client.channel, interval=patience.interval, patience=patience.answer
        )
        self._solve: Call | None = None
        self._status: Call | None = None
        self._timer: Timer | None = None
        self._heard = 0.0  # when the status stream last said something; 0: never
        self._limit = patience.idle
        self._running: dict[str, str] = {}
        self._answer: dict[str, str] | None = None
        self._ended = False
        self._error: WireError | None = None  # what ended Solve
        self._failure: DockyardError | None = None  # what we found wrong ourselves
        self._canceled = False
        self._over = False
        self._steps = steps
        self._conversation = self._converse(talk)

    def _converse(self, talk: Talk | None) -> Conversation | None:
        if talk is None:
            return None
        from dockyard.buildkit.gateway import Conversation

        return Conversation(self._client, self._request.ref, talk)

    def run(self, cancel: Cancellation) -> dict[str, str]:
        loop = self._client.loop
        forget = cancel.on_cancel(lambda: loop.call_soon(self._cancel))
        try:
            self._start()
            loop.run(lambda: self._over)
        except WireError as error:
            raise self._client.error(error) from error
        finally:
            forget()
            self._stop()
        return self._result()

    def _start(self) -> None:
        request = encode_request(SOLVE_REQUEST, request_values(self._request))
        channel = self._client.channel
        self._solve = channel.start(
            CONTROL + "Solve", on_message=self._on_answer, on_end=self._on_solved
        )
        self._solve.send(request)
        self._solve.half_close()
        self._status = channel.start(
            CONTROL + "Status", on_message=self._on_status, on_end=self._on_status_end
        )
        self._status.send(encode(STATUS_REQUEST, {"Ref": self._request.ref}))
        self._status.half_close()
        if self._conversation is not None:
            self._conversation.start(self._lose)
        self._heartbeat.start()

    def _stop(self) -> None:
        """Leave nothing behind on the loop, however it was left."""
        self._over = True
        if self._conversation is not None:
            self._conversation.stop()
        self._heartbeat.stop()
        self._set_timer(None, self._drained)
        calls = [call for call in (self._solve, self._status) if call is not None]
        for call in calls:
            call.cancel()
        if calls or self._canceled:
            self._flush()

    def _flush(self) -> None:
        """Let the loop turn once, so that the daemon hears now what we canceled."""
        turned: list[bool] = []
        self._client.loop.call_soon(lambda: turned.append(True))
        self._client.loop.run(lambda: bool(turned))

    # --- Solve -----------------------------------------------------------------------------

    def _on_answer(self, data: memoryview) -> None:
        try:
            self._answer = decode(SOLVE_RESPONSE, data).get("ExporterResponse", {})
        except CodecError as error:
            self._fail(self._client.error(error))

    def _on_solved(self, error: WireError | None) -> None:
        self._solve = None
        if self._over:
            return
        self._ended = True
        self._error = error
        if self._conversation is not None:
            self._conversation.stop()
        if self._status is None:
            self._finish()
        elif not self._canceled:
            if error is not None and not self._heard:
                self._limit = self._patience.unheard
            self._heard = monotonic()
            self._set_timer(self._limit, self._drained)

    # --- Status ----------------------------------------------------------------------------

    def _on_status(self, data: memoryview) -> None:
        self._heard = monotonic()
        self._limit = self._patience.idle
        self._heartbeat.heard()
        try:
            update = status_update(decode(STATUS_RESPONSE, data))
        except CodecError as error:
            self._fail(self._client.error(error))
            return
        for vertex in update.vertexes:
            if vertex.completed is not None:
                self._running.pop(vertex.digest, None)
            elif vertex.started is not None:
                self._running[vertex.digest] = vertex.name
        self._steps.update(update)
        self._on_update(update)

    def _on_status_end(self, error: WireError | None) -> None:
        self._status = None
        if self._over:
            return
        if self._solve is None:
            self._finish()
        elif isinstance(error, CallError) and not _is_unknown_job(error):
            # Perhaps Solve is about to end for the same reason, and says it better.
            self._failure = DaemonError(
                f"failed to receive status: {self._client.error(error)}", code=error.code.go_name
            )
            self._set_timer(self._patience.idle, self._finish)

    def _drained(self) -> None:
        """The build is over: stop listening if it was silent for long enough."""
        remaining = self._heard + self._limit - monotonic()
        if remaining > 0:
            self._set_timer(remaining, self._drained)
        else:
            self._finish()

    # --- ends ------------------------------------------------------------------------------

    def _cancel(self) -> None:
        """Cancel the build on the daemon, and listen to its last words."""
        if self._over:
            return
        if self._solve is None:
            self._finish()  # the build is done; only the listening is canceled
            return
        self._canceled = True
        self._set_timer(self._patience.grace, self._finish)
        self._solve.cancel()

    def _lose(self, reason: Reason) -> None:
        """Take it that the build failed, for the daemon does not end it."""
        if isinstance(reason, CallError):
            reason = build_error(reason, self._steps)
        self._fail(reason)

    def _fail(self, failure: DockyardError) -> None:
        self._failure = self._failure or failure
        self._finish()

    def _finish(self) -> None:
        self._over = True

    def _set_timer(self, seconds: float | None, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._client.loop.call_later(seconds, callback)

    def _result(self) -> dict[str, str]:
        if self._canceled:
            raise CanceledError
        error = self._error
        if error is not None and not isinstance(error, CallError):
            raise self._client.error(error, during=self._what_ran()) from error
        if self._ended and self._conversation is not None:
            self._conversation.check(failed=error is not None)
        if error is not None:
            raise build_error(error, self._steps) from error
        if self._ended and self._answer is not None:
            return self._answer
        raise self._failure or ProtocolError("BuildKit ended the build without an answer")

    def _what_ran(self) -> str:
        names = list(self._running.values())
        if not names:
            return ""
        shown = ", ".join(f'"{name}"' for name in names[:_NAMES_SHOWN])
        more = len(names) - _NAMES_SHOWN
        return f" while running {shown}" + (f" and {more} more" if more > 0 else "")


def _is_unknown_job(error: CallError) -> bool:
    """Whether there is no such build (any more). Old daemons have no code for it."""
    return error.code is Code.NOT_FOUND or "no such job" in error.message
