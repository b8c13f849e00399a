from __future__ import annotations

import grpc
import pytest

from core.session.daemon import Daemon, serving
from dockyard.session.ssh_absence import NoSshAgents

CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"


def check(running: Daemon, name: str) -> None:
    running.ask(
        CHECK,
        ("moby.sshforward.v1.CheckAgentRequest", {"ID": name}),
        "moby.sshforward.v1.CheckAgentResponse",
    )


@pytest.mark.parametrize(("name", "told"), [("", "default"), ("other", "other")])
def test_an_agent_that_nobody_gave_is_refused_by_name(name: str, told: str) -> None:
    agents = NoSshAgents()

    with serving(agents) as (running, _):
        with pytest.raises(grpc.RpcError, match=f"unset ssh forward key {told}") as checked:
            check(running, name)
        with pytest.raises(grpc.RpcError, match=f"unset ssh forward key {told}"):
            running.stream(FORWARD, [("buildkit.ssh.id", name)], [])

    assert checked.value.code() is grpc.StatusCode.UNKNOWN
    assert agents.failed is None
