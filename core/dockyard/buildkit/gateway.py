"""A build led by us: we play the frontend, and the daemon does what we ask of it.

A solve without frontend waits for its client, which may ask the daemon for things in the meantime
and ends the build by handing over a result. All builds are led like that, as the reference leads
them: the daemon then tells in its attestations what was asked for and what became of it. It is also
how the answer to a check of the Dockerfile gets to us, and how a build uses what another has made.

A conversation is a generator: it yields calls, is sent their answers, and returns the result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.buildkit.answer import Values, returned
from dockyard.buildkit.client import Client, encode_request
from dockyard.errors import DaemonError, DockyardError, ProtocolError
from dockyard.wire.codec import CodecError, Message, decode
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Call, Code
from dockyard.wire.messages import RETURN_REQUEST, RETURN_RESPONSE, RPC_STATUS

if TYPE_CHECKING:
    from dockyard.wire.loop import Timer

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"
_AFTER_RETURN = 5.0
"""Seconds within which a build ends after it was told that its frontend failed."""
_AFTER_REFUSAL = 1.0
"""The same when the daemon did not even listen: it has ended then, or does not know of it."""
_KNOWN_WITHIN = 60.0
"""Seconds within which a daemon has to know of a build that it was asked for.

It waits for 3 by itself, and some first write the build's record, which may take longer.
"""
_ASK_AGAIN = 0.1


class GatewayMissingError(DaemonError):
    """The daemon cannot be asked for anything during a build; nothing came of this one."""


class Ask(NamedTuple):
    """A call of the gateway's service."""

    method: str
    tables: tuple[Message, Message]
    """Of the request and of the answer."""
    request: Values


class Until(NamedTuple):
    """A wait for something that happens elsewhere, perhaps in another thread."""

    register: Callable[[Callable[[], None]], None]
    """Is given what to call when it has happened."""


Reason = DockyardError | CallError
"""Why a build fails: an error of ours, or what the daemon said."""

Talk = Generator[Ask | Until, Values, Values]
"""A conversation. What it returns is a ``Result`` for the daemon; it may be empty.

A call that fails raises ``CallError`` inside. What leaves the conversation ends the build: a
``CallError`` as the daemon's own error, a ``DockyardError`` as ours.
"""


class Conversation:
    """Leads one conversation, on the loop of its client."""

    def __init__(self, client: Client, ref: str, talk: Talk) -> None:
        self._failure: DockyardError | None = None
        self._complete = False
        self._client = client
        self._ref = ref
        self._metadata = ((_BUILD, ref),)
        self._talk = talk
        self._on_lost: Callable[[Reason], None] = lambda _: None
        self._call: Call | None = None
        self._timer: Timer | None = None
        self._heard = False
        self._give_up = 0.0
        self._over = False

    def start(self, on_lost: Callable[[Reason], None]) -> None:
        """Begin. The build has to be started before, and waits for us.

        Args:
            on_lost: Is called when the build cannot be told how it ends; nobody else will end it.
        """
        self._on_lost = on_lost
        self._give_up = monotonic() + _KNOWN_WITHIN
        self._go_on(lambda: next(self._talk))

    def stop(self) -> None:
        """End it, wherever it stands. The daemon learns it by the end of the build."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._talk.close()

    def check(self, *, failed: bool) -> None:
        """Check that a build did not end without us.

        Args:
            failed: Whether the daemon says that it failed.

        Raises:
            DockyardError: What went wrong on our side.
            ProtocolError: The build succeeded, and nobody gave it a result.
        """
        if self._failure is not None:
            raise self._failure
        if not failed and not self._complete:
            raise ProtocolError("BuildKit ended the build before it had a result")

    def _go_on(self, step: Callable[[], Ask | Until]) -> None:
        if self._over:
            return
        try:
            asked = step()
            if isinstance(asked, Until):
                asked.register(self._resume)
            else:
                self._ask(asked)
        except StopIteration as end:
            self._complete = True
            self._give_back({"result": returned(end.value)})
        except CallError as error:
            self._give_back({"error": _status(error)}, error)
        except DockyardError as error:
            self._fail(error)

    def _fail(self, error: DockyardError) -> None:
        self._failure = error
        self._give_back({"error": {"code": int(Code.UNKNOWN), "message": str(error)}}, error)

    def _resume(self) -> None:
        """Go on after a wait; called from any thread."""
        loop = self._client.loop
        loop.call_soon(lambda: self._go_on(lambda: self._talk.send({})))

    def _ask(self, asked: Ask) -> None:
        def answered(answer: Values | None, error: WireError | None) -> None:
            if not self._heard and isinstance(error, CallError):
                if _is_unknown_service(error):
                    self._on_lost(GatewayMissingError(error.message, code=error.code.go_name))
                    return
                if self._is_unknown_build(error) and monotonic() < self._give_up:
                    self._timer = self._client.loop.call_later(_ASK_AGAIN, lambda: self._ask(asked))
                    return
            self._heard = True
            self._answered(answer, error)

        self._start_call(asked, answered)

    def _is_unknown_build(self, error: CallError) -> bool:
        return f"no such job {self._ref}" in error.message

    def _answered(self, answer: Values | None, error: WireError | None) -> None:
        if isinstance(error, CallError):
            thrown = error
            self._go_on(lambda: self._talk.throw(thrown))
        elif isinstance(error, CodecError):
            self._fail(self._client.error(error))
        elif error is None:
            self._go_on(lambda: self._talk.send(answer or {}))
        # else the connection broke, and the build itself says so

    def _give_back(self, values: Values, reason: Reason | None = None) -> None:
        """Tell the daemon how the build ends, and expect that it does, if we say that it failed.

        Args:
            values: What it is told.
            reason: Why it failed.
        """

        def returned(_answer: Values | None, error: WireError | None) -> None:
            if isinstance(error, CallError):
                self._expect_end(_AFTER_REFUSAL, reason or self._client.error(error))
            elif reason is not None:
                self._expect_end(_AFTER_RETURN, reason)

        self._start_call(Ask("Return", (RETURN_REQUEST, RETURN_RESPONSE), values), returned)

    def _expect_end(self, seconds: float, otherwise: Reason) -> None:
        """End the build as an error if the daemon has not done so by then."""
        self._timer = self._client.loop.call_later(seconds, lambda: self._on_lost(otherwise))

    def _start_call(
        self, ask: Ask, on_end: Callable[[Values | None, WireError | None], None]
    ) -> None:
        request, response = ask.tables
        data = encode_request(request, ask.request)
        answers: list[bytes] = []

        def on_message(message: memoryview) -> None:
            if answers:
                call.cancel(Code.INTERNAL)
            answers.append(bytes(message))

        def ended(error: WireError | None) -> None:
            self._call = None
            if self._over:
                return
            answer = None
            if error is None:
                try:
                    answer = _only(response, answers)
                except (CallError, CodecError) as problem:
                    error = problem
            on_end(answer, error)

        call = self._call = self._client.channel.start(
            _SERVICE + ask.method, metadata=self._metadata, on_message=on_message, on_end=ended
        )
        call.send(data)
        call.half_close()


def _only(response: Message, answers: list[bytes]) -> Values:
    if len(answers) != 1:
        raise CallError(Code.INTERNAL, "the daemon ended a call of the gateway without an answer")
    return decode(response, answers[0])


def _is_unknown_service(error: CallError) -> bool:
    """Say whether there is nobody to answer; a frontend that cannot has details to tell."""
    return error.code is Code.UNIMPLEMENTED and not error.details


def _status(error: CallError) -> dict[str, Any]:
    """Make the status that the daemon gave into one to give back, its details included."""
    try:
        status = decode(RPC_STATUS, error.details)
    except CodecError:
        status = {}
    return {
        "code": int(error.code),
        "message": status.get("message") or error.message,
        "details": status.get("details", []),
    }
