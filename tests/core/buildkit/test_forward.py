from __future__ import annotations

import json
import threading
from typing import Any

import grpc
import pytest

from dockyard.buildkit.answer import Values
from dockyard.buildkit.client import Client
from dockyard.buildkit.forward import (
    Forwarded,
    Hold,
    call_attributes,
    forward,
    metadata_of,
)
from dockyard.errors import BuildError, DaemonError, FrontendError
from support.protos import protos
from support.scripted_buildkit import Refusal, ScriptedBuildKit

from .test_gateway import Led, lead

SYNTAX = "build-arg:BUILDKIT_SYNTAX"
GRAPH = protos().encode("pb.Definition", {"def": [b"g"]})
CAPS = {"FrontendAPICaps": [{"ID": "frontend.inputs", "Enabled": True}]}


@pytest.fixture
def led(daemon: ScriptedBuildKit) -> Led:
    return Led(daemon)


def refusal(name: str, *, typed: bool) -> Refusal:
    message = f"unsupported request {name}"
    if not typed:  # as Docker Engine 20.10 says it
        return Refusal(grpc.StatusCode.UNKNOWN, f"failed to solve with frontend x: {message}")
    detail = {
        "type_url": "github.com/moby/buildkit/errdefs.Subrequest+json",
        "value": json.dumps({"name": name}).encode(),
    }
    status = {"code": 12, "message": message, "details": [detail]}
    data = protos().encode("google.rpc.Status", status)
    return Refusal(grpc.StatusCode.UNIMPLEMENTED, message, data)


def solves(daemon: ScriptedBuildKit) -> list[dict[str, Any]]:
    return [values for name, values in daemon.requests if name == "bridge.Solve"]


def test_a_request_is_forwarded_and_its_answer_seen_and_handed_over(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    result = {"metadata": {"result.txt": b"hi"}, "ref": {"id": "r"}}
    daemon.bridge["Solve"] = lambda _: {"result": result}
    seen: list[Values] = []

    lead(client, forward(Forwarded("dockerfile.v0", {"target": "x"}, on_result=seen.append)))

    assert solves(daemon) == [
        {
            "Frontend": "dockerfile.v0",
            "FrontendOpt": {"target": "x"},
            "allowResultReturn": True,
            "allowResultArrayRef": True,
        }
    ]
    assert [metadata_of(one) for one in seen] == [{"result.txt": "hi"}]
    assert led.returned == [{"result": result}]


def test_a_call_adds_to_the_capabilities_that_are_asked_for() -> None:
    assert call_attributes({"frontend.caps": "a+forward"}, "lint") == {
        "frontend.caps": "a+forward,moby.buildkit.frontend.subrequests+forward",
        "requestid": "frontend.lint",
    }
    assert call_attributes({}, "x")["frontend.caps"] == (
        "moby.buildkit.frontend.subrequests+forward"
    )


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("name", "version"), [("lint", "1.8.1"), ("outline", "1.7.1"), ("targets", "1.7.1")]
)
def test_a_frontend_too_old_for_a_call_is_replaced_by_one_that_is_not(
    led: Led, daemon: ScriptedBuildKit, client: Client, name: str, version: str, typed: bool
) -> None:
    def solve(request: Values) -> Any:  # noqa: ANN401
        if SYNTAX in request["FrontendOpt"]:
            return {"result": {"metadata": {"result.txt": b"new"}}}
        raise refusal(f"frontend.{name}", typed=typed)

    daemon.bridge["Solve"] = solve

    lead(client, forward(Forwarded("dockerfile.v0", call_attributes({}, name))))

    image = solves(daemon)[1]["FrontendOpt"][SYNTAX]
    assert image.startswith(f"docker/dockerfile:{version}@sha256:")
    assert led.returned == [{"result": {"metadata": {"result.txt": b"new"}}}]


def test_where_there_is_no_newer_frontend_the_first_error_counts(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def solve(request: Values) -> Any:  # noqa: ANN401
        if SYNTAX in request["FrontendOpt"]:
            raise Refusal(grpc.StatusCode.UNKNOWN, "no network")
        raise refusal("frontend.lint", typed=True)

    daemon.bridge["Solve"] = solve

    with pytest.raises(FrontendError, match="unsupported request frontend.lint"):
        lead(client, forward(Forwarded("dockerfile.v0", call_attributes({}, "lint"))))

    assert len(solves(daemon)) == 2
    assert "error" in led.returned[0]


def test_a_call_that_nobody_knows_is_not_tried_again(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def solve(_request: Values) -> Any:  # noqa: ANN401
        raise refusal("frontend.foo", typed=True)

    daemon.bridge["Solve"] = solve

    with pytest.raises(FrontendError, match=r"unsupported request frontend\.foo"):
        lead(client, forward(Forwarded("dockerfile.v0", call_attributes({}, "foo"))))

    assert len(solves(daemon)) == 1
    assert "error" in led.returned[0]


def test_inputs_need_a_daemon_that_takes_them(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    request = Forwarded("dockerfile.v0", {}, inputs={"x": GRAPH})

    with pytest.raises(DaemonError, match="lacks frontend.inputs"):
        lead(client, forward(request))

    assert solves(daemon) == []
    assert "error" in led.returned[0]


def test_inputs_are_forwarded(led: Led, daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.bridge["Ping"] = lambda _: CAPS
    daemon.bridge["Solve"] = lambda _: {"result": {}}

    lead(client, forward(Forwarded("dockerfile.v0", {}, inputs={"x": GRAPH})))

    assert solves(daemon)[0]["FrontendInputs"] == {"x": {"def": [b"g"]}}
    assert led.returned == [{"result": {}}]


@pytest.mark.parametrize("able", [True, False])
def test_a_held_build_is_made_and_handed_over_only_when_it_is_released(
    led: Led, daemon: ScriptedBuildKit, client: Client, able: bool
) -> None:
    caps = [{"ID": "gateway.evaluate", "Enabled": able}]
    daemon.bridge["Ping"] = lambda _: {"FrontendAPICaps": caps}
    daemon.bridge["Solve"] = lambda _: {"result": {"ref": {"id": "r"}}}
    daemon.bridge["Evaluate"] = daemon.bridge["StatFile"] = lambda _: {}
    hold = Hold()
    states: list[int] = []

    def other(_result: Values) -> None:
        def release() -> None:
            states.append(len(led.returned))
            hold.release()

        threading.Thread(target=release).start()

    lead(client, forward(Forwarded("dockerfile.v0", {}, on_result=other, hold=hold)))

    assert states == [0]
    assert led.returned == [{"result": {"ref": {"id": "r"}}}]
    made = [
        (name, values["Ref"])
        for name, values in daemon.requests
        if name in {"bridge.Evaluate", "bridge.StatFile"}
    ]
    assert made == [("bridge.Evaluate" if able else "bridge.StatFile", "r")]


def test_what_is_released_before_it_is_waited_for_does_not_wait() -> None:
    hold = Hold()
    called: list[bool] = []

    hold.release()
    hold.wait(lambda: called.append(True))

    assert called == [True]


def test_another_error_of_the_frontend_is_the_builds(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def solve(_request: Values) -> Any:  # noqa: ANN401
        raise Refusal(grpc.StatusCode.UNKNOWN, "target stage x could not be found")

    daemon.bridge["Solve"] = solve

    with pytest.raises(BuildError, match="target stage x"):
        lead(client, forward(Forwarded("dockerfile.v0", {})))

    assert "error" in led.returned[0]


@pytest.mark.parametrize("words", ["unsupported request ", "unsupported request : x"])
def test_an_error_that_names_no_request_is_an_error(
    words: str, daemon: ScriptedBuildKit, client: Client
) -> None:
    Led(daemon)

    def refuse(_request: dict[str, Any]) -> dict[str, Any]:
        raise Refusal(grpc.StatusCode.UNKNOWN, words)

    daemon.bridge["Solve"] = refuse

    with pytest.raises(BuildError, match="unsupported request"):
        lead(client, forward(Forwarded("dockerfile.v0", {})))
