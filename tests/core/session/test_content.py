from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest

from core.session.daemon import Daemon, serving
from dockyard.session.content import ContentStores
from dockyard.session.content_store import ExportStore
from support.protos import protos

CONTENT = "containerd.services.content.v1"
WRITE = f"/{CONTENT}.Content/Write"
OURS = (("buildkit-attachable-store-id", "export"),)
STAT, WRITING, COMMIT = 0, 1, 2
MIB = 1 << 20


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def requests(*values: dict[str, Any]) -> Iterator[bytes]:
    return iter([protos().encode(f"{CONTENT}.WriteContentRequest", each) for each in values])


def talk(
    running: Daemon,
    *values: dict[str, Any],
    metadata: Sequence[tuple[str, str]] = OURS,
) -> list[dict[str, Any]]:
    answers = running.stream(WRITE, metadata, list(requests(*values)))
    return [protos().decode(f"{CONTENT}.WriteContentResponse", answer) for answer in answers]


def refusal(
    running: Daemon,
    *values: dict[str, Any],
    metadata: Sequence[tuple[str, str]] = OURS,
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        talk(running, *values, metadata=metadata)
    return caught.value.code(), caught.value.details() or ""


def put(data: bytes, kind: str = "config-") -> list[dict[str, Any]]:
    """Write a blob as BuildKit does: ask, write, commit."""
    name = digest(data)
    return [
        {"action": STAT, "ref": kind + name, "total": len(data), "expected": name},
        {"action": WRITING, "data": data},
        {"action": COMMIT, "total": len(data), "expected": name, "offset": len(data)},
    ]


def test_a_blob_is_kept_and_every_request_is_answered() -> None:
    store, data = ExportStore(), b'{"a": 1}'
    with serving(ContentStores({"export": store})) as (running, session):
        answers = talk(running, *put(data))

    assert [answer.get("offset", 0) for answer in answers] == [0, len(data), len(data)]
    assert answers[-1]["digest"] == digest(data)
    assert answers[-1]["action"] == COMMIT
    assert store.blobs == {digest(data): data}
    assert store.refs == {digest(data): f"config-{digest(data)}"}
    assert session.failed is None


def test_a_blob_comes_in_parts_and_the_last_may_come_with_the_commit() -> None:
    store, data = ExportStore(), b"0123456789"
    with serving(ContentStores({"export": store})) as (running, _):
        talk(
            running,
            {"ref": "manifest-x", "expected": digest(data)},
            {"action": WRITING, "data": data[:4]},
            {"action": WRITING, "data": data[4:7], "offset": 4},
            {"action": COMMIT, "data": data[7:], "offset": 7, "total": 10},
        )

    assert store.blobs == {digest(data): data}


def test_writing_from_the_start_begins_anew() -> None:
    store, data = ExportStore(), b"right"
    with serving(ContentStores({"export": store})) as (running, _):
        talk(
            running,
            {"ref": "manifest-x", "expected": digest(data)},
            {"action": WRITING, "data": b"wrong and longer"},
            {"action": WRITING, "data": data},
            {"action": COMMIT},
        )

    assert store.blobs == {digest(data): data}


@pytest.mark.parametrize("ref", ["layer-sha256:x", "unknown-y", "whatever"])
def test_what_is_not_needed_is_there_already(ref: str) -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, _):
        first = {"ref": ref, "total": 5 << 40, "expected": digest(b"")}
        code, _words = refusal(running, first)

    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert store.blobs == {}
    assert store.problem == ""


def test_a_blob_is_written_once() -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, _):
        talk(running, *put(b"data"))

        assert refusal(running, *put(b"data"))[0] is grpc.StatusCode.ALREADY_EXISTS


def test_a_blob_without_a_commit_is_dropped() -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, _):
        answers = talk(running, *put(b"data")[:2])

    assert len(answers) == 2
    assert store.blobs == {}


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ([{"action": STAT}], grpc.StatusCode.INVALID_ARGUMENT, "has to name a ref"),
        (
            [{"ref": "config-x", "expected": "sha256:abc"}],
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid digest",
        ),
        (
            [{"ref": "config-x", "expected": "md5:" + "0" * 32}],
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid digest",
        ),
        (
            [{"ref": "config-x"}, {"ref": "config-y"}],
            grpc.StatusCode.INVALID_ARGUMENT,
            "the ref changed",
        ),
        ([{"ref": "config-x", "action": 7}], grpc.StatusCode.INVALID_ARGUMENT, "unknown action 7"),
        (
            [{"ref": "config-x"}, {"action": WRITING, "data": b"x", "offset": 3}],
            grpc.StatusCode.OUT_OF_RANGE,
            "offset 3 where 0 bytes are written",
        ),
    ],
)
def test_requests_that_make_no_sense(
    values: list[dict[str, Any]], code: grpc.StatusCode, words: str
) -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, _):
        found = refusal(running, *values)

    assert found[0] is code
    assert words in found[1]
    assert store.blobs == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([{"ref": "config-x", "total": 5 * MIB}], "config-x is longer than 4 MiB"),
        (
            [
                {"ref": "config-x"},
                {"action": WRITING, "data": bytes(3 * MIB)},
                {"action": WRITING, "data": bytes(3 * MIB), "offset": 3 * MIB},
            ],
            "config-x is longer than 4 MiB",
        ),
        (
            [{"ref": "config-x", "expected": digest(b"a")}, {"action": COMMIT, "data": b"b"}],
            f"config-x has the digest {digest(b'b')} instead of {digest(b'a')}",
        ),
        (
            [{"ref": "config-x", "total": 3}, {"action": COMMIT, "data": b"b"}],
            "config-x has 1 bytes instead of 3",
        ),
    ],
    ids=["said-to-be-long", "long", "other-digest", "short"],
)
def test_a_blob_that_is_not_kept_is_a_problem_of_the_export_but_no_error_of_ours(
    values: list[dict[str, Any]], words: str
) -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, session):
        assert refusal(running, *values)[1] == words

    assert store.blobs == {}
    assert store.problem == words
    assert session.failed is None


def test_blobs_without_end_are_refused() -> None:
    store = ExportStore()
    with serving(ContentStores({"export": store})) as (running, _):
        for number in range(64):
            talk(running, *put(b"%d" % number))

        assert refusal(running, *put(b"more")) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "more than 64 blobs",
        )

    assert len(store.blobs) == 64


def test_nonsense_in_place_of_a_message() -> None:
    with (
        serving(ContentStores({"export": ExportStore()})) as (running, _),
        pytest.raises(grpc.RpcError) as caught,
    ):
        running.stream(WRITE, OURS, [b"\xff\xff"])

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.INVALID_ARGUMENT),
        ((("buildkit-attachable-store-id", "oci:x"),), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_another_store_is_not_there(
    metadata: Sequence[tuple[str, str]], code: grpc.StatusCode
) -> None:
    with serving(ContentStores({"export": ExportStore()})) as (running, _):
        assert refusal(running, *put(b"data"), metadata=metadata)[0] is code


def ask(running: Daemon, method: str, request: tuple[str, dict[str, Any]]) -> bytes:
    call = running.channel.unary_unary(f"/{CONTENT}.Content/{method}", bytes, bytes)
    data = protos().encode(f"{CONTENT}.{request[0]}", request[1])
    answer = running.run(lambda: call(data, metadata=OURS, timeout=20, wait_for_ready=True))
    assert isinstance(answer, bytes)
    return answer


def test_what_was_written_can_be_asked_for() -> None:
    with serving(ContentStores({"export": ExportStore()})) as (running, _):
        talk(running, *put(b"data"))

        found = ask(running, "Info", ("InfoRequest", {"digest": digest(b"data")}))
        listed = ask(running, "ListStatuses", ("ListStatusesRequest", {}))

        info = protos().decode(f"{CONTENT}.InfoResponse", found)["info"]
        assert info == {"digest": digest(b"data"), "size": 4}
        assert listed == b""
        for method, request in [
            ("Info", ("InfoRequest", {"digest": digest(b"other")})),
            ("Status", ("StatusRequest", {"ref": "x"})),
            ("Abort", ("AbortRequest", {"ref": "x"})),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                ask(running, method, request)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
