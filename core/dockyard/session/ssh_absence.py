"""The ssh agents of a build that was given none: whoever asks for one is told that it is not there.

Without an answer the daemon would have its own words for it, which name no agent.
"""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.session.service import refuse, unary
from dockyard.wire.codec import decode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler, ServerCall
from dockyard.wire.loop import Loop
from dockyard.wire.messages import CHECK_AGENT_REQUEST

CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
ID_KEY = "buildkit.ssh.id"
DEFAULT = "default"
"""The agent that is meant when none is named."""


def absent(name: str) -> CallError:
    """Make the answer to a question for an agent that is not there."""
    return CallError(Code.UNKNOWN, f"unset ssh forward key {name or DEFAULT}")


class NoSshAgents:
    """Serves no agents. It never looks for one, so the user's own is not touched."""

    failed: BaseException | None = None

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        return {CHECK: unary(self._check), FORWARD: self._forward}

    def _check(self, request: bytes) -> bytes:
        raise absent(decode(CHECK_AGENT_REQUEST, request).get("ID", ""))

    def _forward(self, call: ServerCall) -> None:
        refuse(call, absent(call.get(ID_KEY) or ""))
