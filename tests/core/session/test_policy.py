from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.session.daemon import Daemon, serving
from dockyard.cancellation import Cancellation
from dockyard.errors import PolicyError
from dockyard.platforms import Platform
from dockyard.session.policy import Decision, PolicyVerifier, SourceCheck, Wanted
from support.protos import protos

PACKAGE = "moby.buildkit.v1.sourcepolicy.policysession"
CHECK = f"/{PACKAGE}.PolicyVerifier/CheckPolicy"
SOURCE = {"identifier": "docker-image://docker.io/library/a:1", "attrs": {"k": "v"}}
PLATFORM = {"OS": "linux", "Architecture": "arm64", "Variant": "v8"}


def answering(answer: Decision | Wanted, asked: list[SourceCheck] | None = None) -> PolicyVerifier:
    def decide(check: SourceCheck, _cancel: Cancellation) -> Decision | Wanted:
        if asked is not None:
            asked.append(check)
        return answer

    return PolicyVerifier(decide)


def ask(running: Daemon, **values: Any) -> dict[str, Any]:  # noqa: ANN401  # of a message
    request = {"Source": {"Source": SOURCE}, **values}
    return running.ask(
        CHECK, (f"{PACKAGE}.CheckPolicyRequest", request), f"{PACKAGE}.CheckPolicyResponse"
    )


def test_a_source_is_allowed() -> None:
    asked: list[SourceCheck] = []
    with serving(answering(Decision(allow=True), asked)) as (running, _):
        answer = ask(running, Platform=PLATFORM)

    assert answer == {"decision": {}}  # allowed is zero
    assert asked[0].identifier == SOURCE["identifier"]
    assert asked[0].attributes == SOURCE["attrs"]
    assert asked[0].platform == Platform(os="linux", architecture="arm64")
    assert asked[0].image is asked[0].git is asked[0].http is None


def test_a_source_is_denied_with_reasons() -> None:
    with serving(answering(Decision(allow=False, messages=("a", "b")))) as (running, _):
        answer = ask(running)

    messages = [{"message": "a"}, {"message": "b"}]
    assert answer == {"decision": {"action": 1, "denyMessages": messages}}


def test_another_source_is_used_instead() -> None:
    decision = Decision(allow=True, instead="docker-image://x", attributes={"a": "b"})
    with serving(answering(decision)) as (running, _):
        answer = ask(running)

    update = {"identifier": "docker-image://x", "attrs": {"a": "b"}}
    assert answer == {"decision": {"action": 2, "update": update}}


def test_more_is_asked_for_about_the_very_same_source() -> None:
    image = {"NoConfig": True, "AttestationChain": True, "ResolveAttestations": ["p"]}
    with serving(answering(Wanted(image=image))) as (running, _):
        answer = ask(running, Platform=PLATFORM)

    assert answer == {"request": {"Source": SOURCE, "Platform": PLATFORM, "Image": image}}


def test_what_the_daemon_found_out_is_passed_on() -> None:
    asked: list[SourceCheck] = []
    found = {"Source": SOURCE, "Image": {"Digest": "d", "Config": b"{}"}, "Git": {"Ref": "r"}}
    with serving(answering(Decision(allow=True), asked)) as (running, _):
        ask(running, Source=found)

    assert asked[0].image == {"Digest": "d", "Config": b"{}"}
    assert asked[0].git == {"Ref": "r"}


def test_an_error_allows_nothing() -> None:
    def fail(_check: SourceCheck, _cancel: Cancellation) -> Decision:
        raise PolicyError("no decision")

    with serving(PolicyVerifier(fail)) as (running, session):
        with pytest.raises(grpc.RpcError, match="no decision"):
            ask(running)

        assert str(session.failed) == "no decision"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Source": {}}, "the daemon asks about no source"),
        ({"Source": {"Source": {"attrs": {"a": "b"}}}}, "the daemon asks about no source"),
        ({"Source": {"Source": {"identifier": "x" * 20000}}}, "too long"),
        ({"Source": {"Source": {"identifier": "a\0b"}}}, "or none"),
        ({"Source": {"Source": {"identifier": "a", "attrs": {"k": "v" * 20000}}}}, "too long"),
        ({"Platform": {"OS": "a b", "Architecture": "c"}}, "failed to parse platform"),
    ],
)
def test_questions_that_make_no_sense_are_refused(values: dict[str, Any], words: str) -> None:
    with (
        serving(answering(Decision(allow=True))) as (running, session),
        pytest.raises(grpc.RpcError, match=words) as caught,
    ):
        ask(running, **values)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert session.failed is None


def _whole() -> bytes:
    values = {
        "Platform": PLATFORM,
        "Source": {"Source": SOURCE, "Image": {"Digest": "d", "Config": b"{}"}},
    }
    return protos().encode(f"{PACKAGE}.CheckPolicyRequest", values)


@given(
    st.binary(max_size=64),
    st.integers(min_value=0, max_value=len(_whole())),
    st.integers(min_value=0, max_value=8),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_make_it_fail(noise: bytes, at: int, gone: int) -> None:
    from dockyard.wire.codec import CodecError
    from dockyard.wire.errors import CallError

    verifier = answering(Decision(allow=False))
    check: Callable[[bytes, Cancellation], bytes] = verifier._check
    whole = _whole()

    try:
        answer = check(whole[:at] + noise + whole[at + gone :], Cancellation())
    except (CodecError, CallError):
        return
    decision = protos().decode(f"{PACKAGE}.CheckPolicyResponse", answer)["decision"]
    assert decision == {"action": 1}
