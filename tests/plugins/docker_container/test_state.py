"""What is made of an engine's words about a container."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from dockyard.driver import State
from dockyard.errors import ConnectError, EngineError, EngineUnreachableError
from dockyard_docker_container import plugin
from dockyard_docker_container.boot import _age
from dockyard_docker_container.state import Container, container_name, look
from support.peer import Peers, answering

from .conftest import MakeNode


def answer(content: object, status: str = "200 OK", date: str = "") -> bytes:
    body = json.dumps(content).encode()
    extra = f"Date: {date}\r\n" if date else ""
    head = f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def state(status: str, **more: object) -> dict[str, Any]:
    return {"State": {"Status": status, **more}}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (state("created"), "was made but not started"),
        (
            state("created", Error="network foonet not found"),
            "was made but not started: network foonet not found",
        ),
        (state("exited", ExitCode=3), "exited with code 3"),
        (state("exited", ExitCode=137), "exited with code 137 (killed)"),
        (
            state("exited", ExitCode=137, OOMKilled=True),
            "exited with code 137 (killed: out of memory)",
        ),
        (state("restarting", ExitCode=1), "ends and is started again, last with code 1"),
        (state("paused"), "is paused"),
        (state("removing"), "is being removed"),
        (state("dead"), "is dead"),
    ],
)
def test_a_container_that_does_not_run_says_why(
    peers: Peers, make_node: MakeNode, told: object, reason: str
) -> None:
    node = make_node(engine=peers.unix(answering(answer(told))))

    found = plugin.dockyard_status(node)

    assert found.state is State.STOPPED
    assert found.reason == f"container buildx_buildkit_b0 {reason}"


@pytest.mark.parametrize(
    ("code", "policy", "told"),
    [
        (1, "unless-stopped", False),
        (137, "always", False),
        (0, "no", False),
        (143, "no", False),
        (1, "no", True),
        (137, "on-failure", True),
    ],
)
def test_a_wanted_end_needs_no_reason(
    peers: Peers, make_node: MakeNode, code: int, policy: str, told: bool
) -> None:
    ended = state("exited", ExitCode=code) | {"HostConfig": {"RestartPolicy": {"Name": policy}}}

    found = plugin.dockyard_status(make_node(engine=peers.unix(answering(answer(ended)))))

    assert bool(found.reason) is told


@pytest.mark.parametrize("more", [{"Error": "no such device"}, {"OOMKilled": True}])
def test_an_end_that_the_engine_explains_was_not_wanted(
    peers: Peers, make_node: MakeNode, more: dict[str, object]
) -> None:
    ended = state("exited", ExitCode=0, **more)
    ended["HostConfig"] = {"RestartPolicy": {"Name": "always"}}

    found = plugin.dockyard_status(make_node(engine=peers.unix(answering(answer(ended)))))

    assert found.reason


def test_a_running_container_is_a_running_node(peers: Peers, make_node: MakeNode) -> None:
    found = plugin.dockyard_status(
        make_node(engine=peers.unix(answering(answer(state("running")))))
    )

    assert found.state is State.RUNNING
    assert found.ask_version is not None


def test_no_container_is_an_inactive_node(peers: Peers, make_node: MakeNode) -> None:
    missing = answer({"message": "No such container"}, "404 Not Found")

    found = plugin.dockyard_status(make_node(engine=peers.unix(answering(missing))))

    assert found.state is State.INACTIVE


@pytest.mark.parametrize("told", [None, [], {}, {"State": None}, "x"])
def test_an_answer_without_a_state_is_an_error(
    peers: Peers, make_node: MakeNode, told: object
) -> None:
    node = make_node(engine=peers.unix(answering(answer(told))))

    with pytest.raises(EngineError, match="does not tell the state of container"):
        look(node)


def test_a_state_of_the_wrong_shape_is_taken_as_far_as_it_goes(
    peers: Peers, make_node: MakeNode
) -> None:
    told = {"State": {"Status": 1, "ExitCode": "x", "Error": None}, "RestartCount": []}
    node = make_node(engine=peers.unix(answering(answer(told))))

    assert look(node) == Container(name="buildx_buildkit_b0", status="")


def test_an_engine_that_refuses_is_no_missing_container(peers: Peers, make_node: MakeNode) -> None:
    refused = answer({"message": "out of order"}, "500 Internal Server Error")

    with pytest.raises(EngineError, match="out of order"):
        plugin.dockyard_status(make_node(engine=peers.unix(answering(refused))))


def test_an_engine_that_is_not_there(make_node: MakeNode) -> None:
    with pytest.raises(EngineUnreachableError, match=r"unix:///nowhere\.sock"):
        plugin.dockyard_status(make_node())


def test_a_node_without_an_engine(make_node: MakeNode) -> None:
    node = make_node(engine=None)

    assert not plugin.dockyard_supports(node).value
    with pytest.raises(ConnectError, match="docker-container driver requires docker API access"):
        plugin.dockyard_status(node)


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "a?b", "ü", "a\nb"])
def test_a_hostile_name_asks_the_engine_nothing(make_node: MakeNode, name: str) -> None:
    with pytest.raises(ConnectError, match="cannot be part of a container's name"):
        look(make_node(name=name))
    with pytest.raises(ConnectError, match="cannot be part of a container's name"):
        container_name(make_node(name=name))


def test_an_age_is_told_by_the_engine_s_own_clock(peers: Peers, make_node: MakeNode) -> None:
    told = state("running", StartedAt="2026-01-31T23:59:50.123456789Z")
    sent = answer(told, date="Sun, 01 Feb 2026 00:00:20 GMT")

    found = look(make_node(engine=peers.unix(answering(sent))))

    assert found is not None
    assert _age(found) == 30


@pytest.mark.parametrize(
    ("date", "started"),
    [
        ("", "2020-01-31T23:59:50Z"),
        ("yesterday", "2020-01-31T23:59:50Z"),
        ("Sun, 01 Foo 2026 00:00:20 GMT", "2020-01-31T23:59:50Z"),
        ("Sun, 01 Feb 2026 noon GMT", "2020-01-31T23:59:50Z"),
        ("Sun, 99 Feb 2026 00:00:20 GMT", "2020-01-31T23:59:50Z"),
        ("Sun, 01 Feb 2026 00:00:20 GMT", "a while ago"),
        ("Sun, 01 Feb 2026 00:00:20 GMT", "20200131T235950Z"),
        ("Sun, 01 Feb 2026 00:00:20 GMT", ""),
    ],
)
def test_without_times_that_make_sense_a_container_may_be_new(
    peers: Peers, make_node: MakeNode, date: str, started: str
) -> None:
    told = state("running", StartedAt=started)

    found = look(make_node(engine=peers.unix(answering(answer(told, date=date)))))

    assert found is not None
    assert _age(found) == 0


def test_using_a_running_node_loads_no_client_library() -> None:
    script = "import dockyard_docker_container.plugin, dockyard_docker_container.boot, sys; "
    script += "import dockyard_docker_container.connection; "
    script += "print({'docker', 'requests', 'urllib3', 'ssl', 'subprocess'} & set(sys.modules))"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "set()"
