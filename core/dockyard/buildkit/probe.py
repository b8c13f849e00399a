"""What a daemon can do, by the names that BuildKit has for it.

A daemon tells this only to the frontend of a build. So we begin a build of nothing, of which it
keeps no record, ask as its frontend, and return nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.buildkit.request import SolveRequest, new_id, request_values
from dockyard.errors import DaemonError, ProtocolError
from dockyard.wire.codec import decode, encode
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Call
from dockyard.wire.messages import (
    PING_REQUEST,
    PONG_RESPONSE,
    RETURN_REQUEST,
    SOLVE_REQUEST,
)

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client

_SOLVE = "/moby.buildkit.v1.Control/Solve"
_BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"
_MOST = 1000


def ask_capabilities(client: Client, timeout: float = 20) -> frozenset[str]:
    """Give the names of all that the daemon can do in a build.

    Raises:
        DaemonError: It refused, or did not answer in time.
        ConnectionLostError: The connection broke.
        ProtocolError: Its answer makes no sense.
    """
    question = _Question(client, new_id())
    try:
        found = question.ask(timeout)
        question.end(timeout)
    except WireError as error:
        raise client.error(error) from error
    finally:
        question.close()
    return found


class _Question:
    """One build of nothing."""

    def __init__(self, client: Client, ref: str) -> None:
        self._channel = client.channel
        self._loop = client.loop
        self._metadata = ((_BUILD, ref),)
        self._ended: list[WireError | None] = []
        request = SolveRequest(ref=ref, frontend="", internal=True)
        self._solve: Call = self._channel.start(
            _SOLVE, on_message=lambda _message: None, on_end=self._ended.append
        )
        self._solve.send(encode(SOLVE_REQUEST, request_values(request)))
        self._solve.half_close()

    def ask(self, timeout: float) -> frozenset[str]:
        answer = self._unary("Ping", encode(PING_REQUEST, {}), timeout)
        capabilities = decode(PONG_RESPONSE, answer).get("LLBCaps", ())
        if len(capabilities) > _MOST:
            raise ProtocolError("BuildKit names more capabilities than there can be")
        return frozenset(each.get("ID", "") for each in capabilities if each.get("Enabled"))

    def end(self, timeout: float) -> None:
        """Let the daemon end the build, which it does when it has a result."""
        self._unary("Return", encode(RETURN_REQUEST, {"result": {}}), timeout)
        self._loop.run(lambda: bool(self._ended), timeout=timeout)

    def close(self) -> None:
        if not self._ended:
            self._solve.cancel()

    def _unary(self, method: str, request: bytes, timeout: float) -> bytes:
        try:
            return self._channel.unary(
                _BRIDGE + method, request, metadata=self._metadata, timeout=timeout
            )
        except CallError as error:
            ended = self._ended[0] if self._ended else None
            if isinstance(ended, CallError):  # it says why there is nobody to ask
                raise DaemonError(ended.message, code=ended.code.go_name) from error
            raise
