from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from dockyard.buildkit.client import Client
from dockyard.buildkit.gateway import Ask, GatewayMissingError, Talk, Until
from dockyard.buildkit.request import SolveRequest, new_id
from dockyard.buildkit.solve import Patience, solve
from dockyard.cancellation import Cancellation
from dockyard.errors import (
    BuildError,
    CanceledError,
    ConnectionLostError,
    ContextError,
    InputError,
    ProtocolError,
)
from dockyard.wire.messages import (
    PING_REQUEST,
    PONG_RESPONSE,
    READ_FILE_REQUEST,
    READ_FILE_RESPONSE,
)
from support.protos import protos
from support.scripted_buildkit import Refusal, ScriptedBuildKit, Values

PING = Ask("Ping", (PING_REQUEST, PONG_RESPONSE), {})
READ = Ask("ReadFile", (READ_FILE_REQUEST, READ_FILE_RESPONSE), {"Ref": "r", "FilePath": "f"})
QUICK = Patience(idle=0.15, unheard=0.15, grace=0.15)


class Led:
    """A daemon whose builds end when their client hands over a result, and not before."""

    def __init__(self, daemon: ScriptedBuildKit) -> None:
        self.returned: list[Values] = []
        self.left = threading.Event()
        """Set when the client went before it handed over a result."""
        self.begun = threading.Event()
        self._given = threading.Event()
        daemon.solve = self._solve
        daemon.status = self._status
        daemon.bridge["Return"] = self._return
        daemon.bridge["Ping"] = lambda _: {}

    def _return(self, request: Values) -> Values:
        self.returned.append(request)
        self._given.set()
        return {}

    def _solve(self, _request: Values, gone: threading.Event) -> Values:
        self.begun.set()
        while not self._given.wait(0.01):
            if gone.is_set():
                self.left.set()
                return {}
        error = self.returned[0].get("error")
        if error is not None:
            code = next(one for one in grpc.StatusCode if one.value[0] == error["code"])
            details = protos().encode("google.rpc.Status", error)
            raise Refusal(code, error["message"], details)
        return {"ExporterResponse": {"a": "b"}}

    def _status(self, _request: Values, _gone: threading.Event) -> Iterator[Values]:
        yield from ()


@pytest.fixture
def led(daemon: ScriptedBuildKit) -> Led:
    return Led(daemon)


def lead(client: Client, talk: Talk, cancel: Cancellation | None = None) -> dict[str, str]:
    request = SolveRequest(ref=new_id(), frontend="")
    return solve(
        client, request, lambda _: None, cancel or Cancellation(), talk=talk, patience=QUICK
    )


def test_a_conversation_asks_and_hands_over_its_result(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    answers: list[Any] = []
    daemon.bridge["ReadFile"] = lambda _: {"Data": b"content"}

    def talk() -> Talk:
        answers.append((yield READ))
        return {
            "ref": {"id": "r1", "def": b"large"},
            "metadata": {"key": b"value"},
            "attestations": {
                "p": {
                    "attestation": [{"path": "x", "ref": {"id": "r2", "def": b""}}, {"path": "y"}]
                }
            },
        }

    assert lead(client, talk()) == {"a": "b"}

    assert answers == [{"Data": b"content"}]
    assert led.returned == [
        {
            "result": {
                "ref": {"id": "r1"},
                "metadata": {"key": b"value"},
                "attestations": {
                    "p": {"attestation": [{"path": "x", "ref": {"id": "r2"}}, {"path": "y"}]}
                },
            }
        }
    ]


def test_results_for_several_platforms_are_handed_over_by_name(led: Led, client: Client) -> None:
    def talk() -> Talk:
        yield PING
        return {"refs": {"refs": {"linux/amd64": {"id": "1", "def": b""}, "linux/arm64": {}}}}

    lead(client, talk())

    assert led.returned == [
        {"result": {"refs": {"refs": {"linux/amd64": {"id": "1"}, "linux/arm64": {}}}}}
    ]


def test_calls_name_their_build_and_the_solve_has_no_frontend(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def talk() -> Talk:
        yield PING
        return {}

    lead(client, talk())

    (request,) = [values for name, values in daemon.requests if name == "Solve"]
    assert "Frontend" not in request
    assert "Definition" not in request
    assert set(daemon.builds) == {request["Ref"]}
    assert led.returned == [{"result": {}}]


def test_a_refused_call_ends_the_build_with_all_that_the_daemon_said(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    status = {
        "code": 5,
        "message": "no such file",
        "details": [
            {
                "type_url": "github.com/moby/buildkit/errdefs.Vertex+json",
                "value": b'{"digest":"sha256:1"}',
            }
        ],
    }

    def refuse(_request: Values) -> Values:
        details = protos().encode("google.rpc.Status", status)
        raise Refusal(grpc.StatusCode.NOT_FOUND, "no such file", details)

    daemon.bridge["ReadFile"] = refuse

    def talk() -> Talk:
        yield READ
        return {}

    with pytest.raises(BuildError, match="NotFound: no such file") as caught:
        lead(client, talk())

    assert led.returned == [{"error": status}]
    assert caught.value.vertex == "sha256:1"


def test_our_own_error_ends_the_build_and_is_raised(led: Led, client: Client) -> None:
    def talk() -> Talk:
        yield PING
        raise ContextError("too long")

    with pytest.raises(ContextError, match="too long"):
        lead(client, talk())

    assert led.returned == [{"error": {"code": 2, "message": "too long"}}]


def test_an_answer_that_makes_no_sense_ends_the_build(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.bridge["ReadFile"] = lambda _: b"\xff\xff"  # type: ignore[assignment,return-value]

    def talk() -> Talk:
        yield READ
        return {}

    with pytest.raises(ProtocolError, match="makes no sense"):
        lead(client, talk())

    assert "error" in led.returned[0]


def test_a_daemon_without_the_gateway_is_told_apart_and_its_build_ended(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def know_nothing(_request: Values) -> Values:
        assert led.begun.wait(30)  # a build that is dropped before it begins is never seen
        raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    daemon.bridge["Ping"] = know_nothing

    def talk() -> Talk:
        yield PING
        return {}

    with pytest.raises(GatewayMissingError):
        lead(client, talk())

    assert led.left.wait(30)


def test_a_refusal_of_the_second_call_says_nothing_about_the_gateway(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def talk() -> Talk:
        yield PING
        yield READ
        return {}

    with pytest.raises(BuildError, match="Unimplemented"):
        lead(client, talk())

    assert "error" in led.returned[0]


def test_a_daemon_that_needs_long_to_know_of_its_build_is_asked_again(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def not_yet(_request: Values) -> Values:
        if len(daemon.builds) < 3:
            raise Refusal(
                grpc.StatusCode.UNKNOWN, f"forwarding Ping: no such job {daemon.builds[0]}"
            )
        return {}

    def talk() -> Talk:
        yield PING
        return {}

    daemon.bridge["Ping"] = not_yet

    assert lead(client, talk()) == {"a": "b"}

    assert [name for name, _ in daemon.requests if name == "bridge.Ping"] == ["bridge.Ping"] * 3
    assert led.returned == [{"result": {}}]


def test_a_daemon_that_never_knows_of_its_build_is_not_asked_for_ever(
    led: Led, daemon: ScriptedBuildKit, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.buildkit.gateway._KNOWN_WITHIN", 0.2)

    def never(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, f"no such job {daemon.builds[0]}")

    def talk() -> Talk:
        yield PING
        return {}

    daemon.bridge["Ping"] = never

    with pytest.raises(BuildError, match="no such job"):
        lead(client, talk())

    assert "error" in led.returned[0]


def test_a_build_that_ends_by_itself_ends_the_conversation(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def fail(_request: Values, _gone: threading.Event) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, "boom")

    led = Led(daemon)
    daemon.solve = fail
    closed: list[bool] = []

    def talk() -> Talk:
        try:
            yield Until(lambda _: None)
        finally:
            closed.append(True)
        return {}

    with pytest.raises(BuildError, match="boom"):
        lead(client, talk())

    assert closed == [True]
    assert led.returned == []


def test_canceling_ends_a_conversation_that_waits(led: Led, client: Client) -> None:
    cancel = Cancellation()

    def cancel_soon(_go_on: Callable[[], None]) -> None:
        def run() -> None:
            led.begun.wait(30)  # what is canceled before it begins is never seen over there
            cancel.cancel()

        threading.Thread(target=run).start()

    def talk() -> Talk:
        yield PING
        yield Until(cancel_soon)
        return {}

    with pytest.raises(CanceledError):
        lead(client, talk(), cancel)

    assert led.left.wait(30)
    assert led.returned == []


def test_a_connection_that_breaks_in_the_middle_is_told(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def talk() -> Talk:
        yield PING
        daemon.cut()
        yield PING
        return {}

    with pytest.raises(ConnectionLostError):
        lead(client, talk())

    assert led.returned == []


def test_a_wait_goes_on_when_another_thread_says_so(led: Led, client: Client) -> None:
    def talk() -> Talk:
        yield Until(lambda go_on: threading.Thread(target=go_on).start())
        return {"metadata": {"waited": b"yes"}}

    lead(client, talk())

    assert led.returned == [{"result": {"metadata": {"waited": b"yes"}}}]


def test_a_build_that_succeeds_before_it_has_a_result_makes_no_sense(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    Led(daemon)
    daemon.solve = lambda _request, _gone: {"ExporterResponse": {"a": "b"}}

    def talk() -> Talk:
        yield Until(lambda _: None)
        return {}

    with pytest.raises(ProtocolError, match="before it had a result"):
        lead(client, talk())


def test_a_daemon_that_makes_a_success_of_our_error_does_not_hide_it(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    led = Led(daemon)
    solve_as_told = daemon.solve
    assert solve_as_told is not None

    def succeed(request: Values, gone: threading.Event) -> Values:
        with contextlib.suppress(Refusal):
            solve_as_told(request, gone)
        return {"ExporterResponse": {"a": "b"}}

    daemon.solve = succeed

    def talk() -> Talk:
        yield PING
        raise ContextError("too long")

    with pytest.raises(ContextError, match="too long"):
        lead(client, talk())

    assert "error" in led.returned[0]


def test_more_than_one_answer_to_a_call_ends_the_build(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def answers(_request: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        while call.is_active():
            yield b""

    daemon.streams["/moby.buildkit.v1.frontend.LLBBridge/Ping"] = answers

    def talk() -> Talk:
        yield PING
        return {}

    with pytest.raises(BuildError, match="Internal"):
        lead(client, talk())

    assert "error" in led.returned[0]


def test_why_a_build_ended_counts_more_than_that_it_cannot_be_told_anything(
    daemon: ScriptedBuildKit, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.buildkit.gateway._AFTER_REFUSAL", 50)
    Led(daemon)
    refused = threading.Event()

    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, "no such job")

    def refuse_last(_request: Values) -> Values:
        refused.set()
        raise Refusal(grpc.StatusCode.UNKNOWN, "no such job")

    def fail(_request: Values, _gone: threading.Event) -> Values:
        assert refused.wait(30)
        raise Refusal(grpc.StatusCode.UNKNOWN, "boom")

    daemon.bridge["Ping"] = refuse
    daemon.bridge["Return"] = refuse_last
    daemon.solve = fail

    def talk() -> Talk:
        yield PING
        return {}

    with pytest.raises(BuildError, match="boom"):
        lead(client, talk())


def test_an_error_is_told_although_the_daemon_never_ends_the_build(
    daemon: ScriptedBuildKit, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.buildkit.gateway._AFTER_RETURN", 0.1)
    Led(daemon)

    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, "the cause")

    def hang(_request: Values, gone: threading.Event) -> Values:
        gone.wait()
        return {}

    daemon.bridge["Ping"] = refuse
    daemon.solve = hang

    def talk() -> Talk:
        yield PING
        return {}

    with pytest.raises(BuildError, match="the cause"):
        lead(client, talk())


def test_a_call_that_is_too_large_is_the_callers_mistake(led: Led, client: Client) -> None:
    def talk() -> Talk:
        yield READ._replace(request={"FilePath": "x" * (17 << 20)})
        return {}

    with pytest.raises(InputError, match="it has 17 MiB"):
        lead(client, talk())

    assert "error" in led.returned[0]
