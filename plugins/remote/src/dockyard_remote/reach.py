"""Open byte streams to a daemon, and find out whether it answers on them."""

from __future__ import annotations

import errno
from typing import NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.engine.connect import KeepAlive, connect_tcp, connect_unix, secure
from dockyard.engine.http2_probe import NoAnswerError, ask, hear_settings
from dockyard.engine.stream import PipeStream, SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_remote import tls
from dockyard_remote.endpoint import Endpoint, parse
from dockyard_remote.failure import Failure, FailureError, system_words

_METHOD = "/moby.buildkit.v1.Control/ListWorkers"
"""A call that every BuildKit answers."""
_KEEPALIVE = KeepAlive(idle=8, interval=4, probes=3, unanswered=20)
"""A peer that is gone is noticed within 20 seconds."""
_SPEAKS_FIRST = 1.0
"""How long a daemon is listened to that may be waiting for our greeting."""
_PROGRAM_STARTS = 5.0
"""The same when a program has to be started first, here or elsewhere."""


class Target(NamedTuple):
    """A daemon and how to get to it."""

    endpoint: Endpoint
    tls: tls.Settings | None

    @property
    def authority(self) -> str:
        """What the daemon is called in calls."""
        return self.tls.servername if self.tls else self.endpoint.authority

    @property
    def patience(self) -> float:
        """Seconds within which a daemon that is well has answered."""
        return 10.0 if self.endpoint.command else 5.0


def target_of(node: Node) -> Target:
    """Give what the node's record says.

    Raises:
        EndpointError: The endpoint makes no sense.
        OptionError: The TLS options don't fit together.
    """
    endpoint = parse(node.endpoint)
    return Target(endpoint, tls.settings_of(node.options, endpoint))


def question(target: Target, seconds: float, cancel: Cancellation | None) -> None:
    """Have the daemon answer a call, on a connection of its own.

    Raises:
        FailureError: It does not; says why.
        CanceledError: ``cancel`` was turned.
    """
    _Attempt(target, seconds, cancel).question()


def open_stream(target: Target, seconds: float, cancel: Cancellation | None) -> SocketStream:
    """Open a stream on which the daemon has been heard, for somebody else to talk on.

    gRPC servers speak first, so that mostly nothing has to be said to know that one is there.

    Raises:
        FailureError: It cannot be reached, or is no daemon; says why.
        CanceledError: ``cancel`` was turned.
    """
    return _Attempt(target, seconds, cancel).open()


class _Attempt(NamedTuple):
    """One try to reach a daemon, with a deadline."""

    target: Target
    seconds: float
    cancel: Cancellation | None

    def question(self) -> None:
        with Wait(self.seconds, self.cancel) as wait:
            stream = self._dial(wait)
            try:
                if self.target.tls:
                    # Alerts come after the handshake, and writing first could lose them.
                    self._hear(stream, wait)
                self._ask(stream, wait)
            finally:
                stream.close()

    def open(self) -> SocketStream:
        with Wait(self.seconds, self.cancel) as wait:
            stream = self._dial(wait)
            try:
                if not self._hear(stream, wait):
                    self._ask_beside(wait)
            except BaseException:
                stream.close()
                raise
            return stream

    def _hear(self, stream: SocketStream, wait: Wait) -> bool:
        """Listen whether the daemon speaks first."""
        least = _PROGRAM_STARTS if self.target.endpoint.command else _SPEAKS_FIRST
        try:
            with Wait(min(least, wait.left), self.cancel) as short:
                hear_settings(stream, short)
        except OutOfTimeError:
            return False
        except OSError as error:
            raise self._failed(error, stream) from error
        return True

    def _ask_beside(self, wait: Wait) -> None:
        """Ask on another connection, because the first one must not be spoken on."""
        stream = self._dial(wait)
        try:
            self._ask(stream, wait)
        finally:
            stream.close()

    def _ask(self, stream: SocketStream, wait: Wait) -> None:
        try:
            ask(stream, wait, _METHOD, self.target.authority)
        except OutOfTimeError as error:
            raise FailureError(Failure(f"no answer within {self.seconds:.0f} s")) from error
        except OSError as error:
            raise self._failed(error, stream) from error

    def _dial(self, wait: Wait) -> SocketStream:
        endpoint, settings = self.target
        # Files first: a missing certificate is no reason to knock at the daemon's door.
        context = tls.make_context(settings) if settings else None
        try:
            if endpoint.command:
                return PipeStream(endpoint.command)
            if endpoint.path:
                plain = connect_unix(endpoint.path, wait)
                if context is None or settings is None:
                    return plain
                sock = plain.socket
            else:
                sock = connect_tcp(endpoint.host, endpoint.port, wait, _KEEPALIVE)
                if context is None or settings is None:
                    return SocketStream(sock)
            return secure(context, sock, settings.servername, wait)
        except OutOfTimeError as error:
            raise FailureError(Failure(f"no answer within {self.seconds:.0f} s")) from error
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError, stream: SocketStream | None = None) -> FailureError:
        endpoint, settings = self.target
        if endpoint.command:
            return FailureError(_program_failure(endpoint, error, stream))
        if settings is not None:
            failure = tls.explain(error, settings)
            if failure is not None and failure.wrong_name:
                failure = tls.with_names(failure, tls.ask_names(endpoint, settings))
            if failure is not None:
                return FailureError(failure)
        if isinstance(error, (NoAnswerError, ConnectionResetError)):
            return FailureError(_stranger(error, endpoint, settings))
        return FailureError(Failure(system_words(error), _hint(error, endpoint)))


def _program_failure(endpoint: Endpoint, error: OSError, stream: SocketStream | None) -> Failure:
    """Say what a helper program said, which knows better than who reads from it."""
    program = endpoint.command[0]
    if stream is None:
        if isinstance(error, FileNotFoundError):
            words = f"the program {program} is not installed"
            return Failure(words, f"{endpoint.text} is reached through it", final=True)
        return Failure(f"the program {program} cannot be started: {system_words(error)}")
    words = stream.last_words()
    if words:
        return Failure(f"{program} failed: {words}")
    return Failure(str(error) if isinstance(error, NoAnswerError) else system_words(error))


def _stranger(error: OSError, endpoint: Endpoint, settings: tls.Settings | None) -> Failure:
    hint = "check that the address is the daemon's"
    if settings is not None:
        hint += "; a daemon may hang up on who shows no client certificate, or a wrong one"
    elif not endpoint.path:
        hint += (
            "; if it expects TLS, give --driver-opt cacert=/PATH and, if it asks for them, "
            "cert=/PATH and key=/PATH"
        )
    return Failure(system_words(error), hint)


def _hint(error: OSError, endpoint: Endpoint) -> str:
    if error.errno in (errno.EACCES, errno.EPERM) and endpoint.path:
        return "your user may not use the socket file; buildkitd --group gives it to a group"
    return "check that the address is right and that buildkitd listens there"
