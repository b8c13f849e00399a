"""How the session's services answer calls: at once, or from a thread with a deadline.

A service is an attachable: it gives a handler for each method that it serves, and keeps the first
error of its own, because that says more than what the daemon makes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, DockyardError
from dockyard.wire.codec import CodecError
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler, ServerCall
from dockyard.wire.loop import Loop

_DEADLINE = 45.0
"""Seconds for one answer; less than the 60 after which a daemon stops waiting."""

_JOBS = 4
"""Answers that one service works on at a time, so that it leaves threads to the others."""


class Attachable(Protocol):
    """A service that a session offers to the daemon."""

    @property
    def failed(self) -> BaseException | None:
        """The first error of our own that the service hit, for the build to report."""
        ...

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        """Give the handlers of the methods that are served, by full method name.

        Called once for each session; the handlers run on the session's loop.
        """
        ...


def refuse(call: ServerCall, error: BaseException) -> None:
    """End a call with the status that an error stands for; a programming mistake is raised."""
    match error:
        case CallError():
            call.finish(error.code, error.message)
        case CodecError():
            call.finish(Code.INVALID_ARGUMENT, str(error))
        case CanceledError():
            call.finish(Code.CANCELLED, error.message)
        case DockyardError():
            call.finish(Code.UNKNOWN, error.message)
        case _:
            call.finish(Code.INTERNAL, "the client failed")
            raise error


def unary(answer: Callable[[bytes], bytes]) -> Handler:
    """Give a handler for calls of one message each way whose answer needs no waiting."""

    def handle(call: ServerCall) -> None:
        def respond(request: bytes) -> None:
            try:
                response = answer(request)
            except (CallError, CodecError, DockyardError) as error:
                refuse(call, error)
                return
            call.send(response)
            call.finish()

        _receive_one(call, respond)

    return handle


class Worker:
    """Answers calls from threads, a few at a time, each with a deadline.

    The work gets a switch that is turned when its deadline is over, when the daemon cancels the
    call, or when the session ends; it has to return soon after.
    """

    def __init__(self, loop: Loop, *, deadline: float = _DEADLINE) -> None:
        self._loop = loop
        self._deadline = deadline
        self._waiting: deque[_Job] = deque()
        self._running = 0

    def unary(self, answer: Callable[[bytes, Cancellation], bytes]) -> Handler:
        """Give a handler for calls of one message each way."""

        def handle(call: ServerCall) -> None:
            cancel = Cancellation()
            call.on_cancel = cancel.cancel

            def respond(request: bytes) -> None:
                self._waiting.append(_Job(call, cancel, lambda: answer(request, cancel)))
                self._start()

            _receive_one(call, respond)

        return handle

    def _start(self) -> None:
        while self._waiting and self._running < _JOBS:
            job = self._waiting.popleft()
            if not job.cancel.canceled:
                self._running += 1
                self._run(job)

    def _run(self, job: _Job) -> None:
        def late() -> None:
            job.late = True
            job.cancel.cancel()

        timer = self._loop.call_later(self._deadline, late)

        def done(response: bytes | None, error: BaseException | None) -> None:
            timer.cancel()
            self._running -= 1
            self._start()
            job.respond(response, error)

        self._loop.in_thread(job.work, done)


class _Job:
    """One call that is being answered."""

    def __init__(self, call: ServerCall, cancel: Cancellation, work: Callable[[], bytes]) -> None:
        self.call = call
        self.cancel = cancel
        self.work = work
        self.late = False

    def respond(self, response: bytes | None, error: BaseException | None) -> None:
        if self.late:
            self.call.finish(Code.DEADLINE_EXCEEDED, "the client took too long to answer")
        elif error is not None:
            refuse(self.call, error)
        else:
            self.call.send(response or b"")
            self.call.finish()


def _receive_one(call: ServerCall, respond: Callable[[bytes], None]) -> None:
    """Wait for the only message of a call."""
    requests: list[bytes] = []

    def on_message(message: memoryview) -> None:
        requests.append(bytes(message))
        if len(requests) > 1:
            call.finish(Code.INVALID_ARGUMENT, "more than one request in a call")

    def on_half_close() -> None:
        if len(requests) == 1:
            respond(requests[0])
        elif not requests:
            call.finish(Code.INVALID_ARGUMENT, "a call without a request")

    call.on_message = on_message
    call.on_half_close = on_half_close
