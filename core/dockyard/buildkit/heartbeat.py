"""Noticing a daemon that fell silent while a build runs.

A step may print nothing for an hour, so silence alone means nothing; but a machine that lost its
power says nothing either. So when nothing came for a while, the daemon is asked something.

It is asked with a call, not with a PING of HTTP/2: a gRPC server such as buildkitd's takes more
than one PING in five minutes for an attack while it has nothing to send, and answers the fourth
with GOAWAY ("too_many_pings"), which would end just those builds that have a long and quiet step.
(dockerd's does not mind.) The call has no request message, because a message could be held up by
flow control when the daemon is only slow to take in a build context; and whatever the answer is,
it is a sign of life. Daemons that do not have the method say so.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dockyard.wire.errors import CallError, ConnectionLost, WireError
from dockyard.wire.grpc import Call, Channel
from dockyard.wire.loop import Loop, Timer

_METHOD = "/grpc.health.v1.Health/Check"


class Heartbeat:
    """Watches a channel from :meth:`start` to :meth:`stop`, and closes it when the peer is gone."""

    def __init__(
        self, loop: Loop, channel: Channel, *, interval: float = 10.0, patience: float = 20.0
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._interval = interval
        self._patience = patience
        self._heard = 0.0
        self._timer: Timer | None = None
        self._call: Call | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._heard = monotonic()
        self._wait(self._interval, self._ask)

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard = monotonic()

    def stop(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _wait(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timer = self._loop.call_later(seconds, callback)

    def _ask(self) -> None:
        """Ask something, if there was silence for as long as the interval."""
        silence = monotonic() - self._heard
        if silence < self._interval:
            self._wait(self._interval - silence, self._ask)
            return
        self._wait(self._patience, self._judge)
        self._call = self._channel.start(
            _METHOD, on_message=lambda _message: None, on_end=self._answered
        )
        self._call.half_close()

    def _answered(self, error: WireError | None) -> None:
        if self._call is None or not (error is None or isinstance(error, CallError)):
            return  # we stopped, or the connection broke, which others notice as well
        self._call = None
        self.heard()
        if self._timer is not None:
            self._timer.cancel()
            self._wait(self._interval, self._ask)

    def _judge(self) -> None:
        """The answer is overdue: wait on if anything else was heard, else give up."""
        silence = monotonic() - self._heard
        if silence < self._patience:
            self._wait(self._patience - silence, self._judge)
            return
        self._timer = None
        self._channel.close(ConnectionLost(f"BuildKit did not answer for {silence:.0f} seconds"))
