"""``grpc.health.v1.Health``: the daemon asks every second or so whether the client still lives."""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.session.service import unary
from dockyard.wire.codec import encode
from dockyard.wire.grpc import Handler
from dockyard.wire.loop import Loop
from dockyard.wire.messages import HEALTH_CHECK_RESPONSE

_SERVING = 1


class Health:
    """Says that the session lives. Every session has one."""

    failed: BaseException | None = None

    def handlers(self, _loop: Loop) -> Mapping[str, Handler]:
        response = encode(HEALTH_CHECK_RESPONSE, {"status": _SERVING})
        return {"/grpc.health.v1.Health/Check": unary(lambda _request: response)}
