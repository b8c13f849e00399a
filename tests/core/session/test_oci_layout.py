"""A directory of blobs, as a daemon that means well and one that does not write and read it."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.session.daemon import Daemon, assert_leaves_nothing, serving
from dockyard.errors import OutputError
from dockyard.session.content import ContentStores
from dockyard.session.oci_layout import OciLayout
from support.protos import protos

CONTENT = "containerd.services.content.v1"
WRITE, READ = f"/{CONTENT}.Content/Write", f"/{CONTENT}.Content/Read"
OURS = (("buildkit-attachable-store-id", "local:x"),)
STAT, WRITING, COMMIT = 0, 1, 2
MIB = 1 << 20


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def put(data: bytes, ref: str = "layer") -> list[dict[str, Any]]:
    """Write a blob as BuildKit does: ask, write, commit."""
    name = digest(data)
    return [
        {"action": STAT, "ref": ref, "total": len(data), "expected": name},
        {"action": WRITING, "data": data},
        {"action": COMMIT, "total": len(data), "expected": name, "offset": len(data)},
    ]


def encoded(*values: dict[str, Any]) -> list[bytes]:
    return [protos().encode(f"{CONTENT}.WriteContentRequest", each) for each in values]


def talk(running: Daemon, *values: dict[str, Any]) -> list[dict[str, Any]]:
    answers = running.stream(WRITE, OURS, encoded(*values))
    return [protos().decode(f"{CONTENT}.WriteContentResponse", answer) for answer in answers]


def refusal(running: Daemon, *values: dict[str, Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        talk(running, *values)
    return caught.value.code(), caught.value.details() or ""


def read(running: Daemon, name: str, **more: int) -> list[bytes]:
    request = protos().encode(f"{CONTENT}.ReadContentRequest", {"digest": name, **more})
    answers = running.stream(READ, OURS, [request])
    found = [protos().decode(f"{CONTENT}.ReadContentResponse", answer) for answer in answers]
    offset = max(0, more.get("offset", 0))
    for each in found:
        assert each.get("offset", 0) == offset
        offset += len(each["data"])
    return [each["data"] for each in found]


def read_refusal(running: Daemon, name: str, **more: int) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        read(running, name, **more)
    code = caught.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def blob_name(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    return OciLayout(tmp_path / "made" / "layout")


@pytest.fixture
def stores(layout: OciLayout) -> ContentStores:
    return ContentStores({"local:x": layout})


def test_a_blob_is_written_whole_and_found_again(layout: OciLayout, stores: ContentStores) -> None:
    data = os.urandom(3 * MIB)
    with serving(stores) as (running, session):
        answers = talk(running, *put(data))
        again, words = refusal(running, *put(data)[:1])
        pieces = read(running, digest(data))
    layout.close()

    assert [answer.get("offset", 0) for answer in answers] == [0, len(data), len(data)]
    assert answers[-1]["digest"] == digest(data)
    assert again is grpc.StatusCode.ALREADY_EXISTS, words
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == MIB
    assert files(layout.path) == {blob_name(data)}
    assert not (layout.path / "ingest").exists()
    assert (layout.path / blob_name(data)).stat().st_mode & 0o777 == 0o644
    assert list(layout.written) == [digest(data)]
    assert session.failed is None


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"offset": 2, "size": 3}, b"234"),
        ({"offset": 7}, b"789"),
        ({"offset": 7, "size": 100}, b"789"),
        ({"offset": -1, "size": 2}, b"01"),
        ({"size": -1}, b"0123456789"),
        ({"offset": 10}, b""),
    ],
)
def test_parts_of_a_blob(stores: ContentStores, more: dict[str, int], wanted: bytes) -> None:
    data = b"0123456789"
    with serving(stores) as (running, _):
        talk(running, *put(data))

        assert b"".join(read(running, digest(data), **more)) == wanted


def test_what_cannot_be_read(layout: OciLayout, stores: ContentStores, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with serving(stores) as (running, session):
        talk(running, *put(b"data"))
        (layout.path / blob_name(b"secret")).symlink_to(tmp_path / "secret")
        os.mkfifo(layout.path / blob_name(b"fifo"))
        (layout.path / blob_name(b"folder")).mkdir()

        assert read_refusal(running, digest(b"data"), offset=5) is grpc.StatusCode.OUT_OF_RANGE
        for name in ("../secret", "sha256:../../secret", "", "sha256:" + "A" * 64, "sha512:00"):
            assert read_refusal(running, name) is grpc.StatusCode.INVALID_ARGUMENT
        for content in (b"other", b"secret", b"fifo", b"folder"):
            assert read_refusal(running, digest(content)) is grpc.StatusCode.NOT_FOUND
        assert session.failed is None


def test_a_reader_that_is_slow_or_leaves_keeps_nothing_open(tmp_path: Path) -> None:
    data = bytes(64 * MIB)
    folder = tmp_path / "blobs" / "sha256"
    folder.mkdir(parents=True)
    (folder / digest(data)[7:]).write_bytes(data)
    layout = OciLayout(tmp_path)
    request = protos().encode(f"{CONTENT}.ReadContentRequest", {"digest": digest(data)})

    def leave() -> None:
        with serving(ContentStores({"local:x": layout})) as (running, _):

            def work() -> None:
                call = running.start(READ, OURS, iter([request]))
                next(call)
                call.cancel()

            running.run(work)

    assert_leaves_nothing(leave)


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        (
            [
                {"ref": "r", "total": 3, "expected": digest(b"abc")},
                {"action": WRITING, "data": b"x"},
                {"action": COMMIT},
            ],
            grpc.StatusCode.FAILED_PRECONDITION,
            "r has 1 bytes instead of 3",
        ),
        (
            [
                {"ref": "r", "total": 3, "expected": digest(b"abc")},
                {"action": COMMIT, "data": b"xyz"},
            ],
            grpc.StatusCode.FAILED_PRECONDITION,
            f"r has the digest {digest(b'xyz')} instead of {digest(b'abc')}",
        ),
        (
            [{"ref": "r", "total": 3}, {"action": WRITING, "data": b"abcd"}],
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "r is longer than 3 bytes",
        ),
        (
            [{"ref": "r"}, {"action": WRITING, "data": bytes(5 * MIB)}],
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "r is longer than 4 MiB",
        ),
        (
            [{"ref": "r", "total": 9}, {"action": WRITING, "data": b"x", "offset": 4}],
            grpc.StatusCode.OUT_OF_RANGE,
            "offset 4 where 0 bytes are written",
        ),
        ([{"ref": "r", "total": -1}], grpc.StatusCode.INVALID_ARGUMENT, "invalid size -1"),
        (
            [{"ref": "r", "expected": "sha256:../../../x"}],
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid digest 'sha256:../../../x'",
        ),
    ],
    ids=["short", "other-digest", "long", "unannounced", "gap", "negative", "path"],
)
def test_a_blob_that_is_not_as_it_was_announced_leaves_nothing(
    layout: OciLayout,
    stores: ContentStores,
    values: list[dict[str, Any]],
    code: grpc.StatusCode,
    words: str,
) -> None:
    with serving(stores) as (running, session):
        assert refusal(running, *values) == (code, words)
        assert session.failed is None

    assert not layout.path.exists() or files(layout.path) == set()
    assert layout.written == {}


@pytest.mark.parametrize("ref", ["../../escaped", "/etc/escaped", "a/b\0c", "r" * 5000])
def test_a_ref_is_no_path(layout: OciLayout, stores: ContentStores, ref: str) -> None:
    with serving(stores) as (running, _):
        talk(running, *put(b"data", ref))
    layout.close()

    assert files(layout.path.parent.parent) == {f"made/layout/{blob_name(b'data')}"}


@pytest.mark.parametrize("commits", [True, False])
def test_writing_from_the_start_begins_anew(
    layout: OciLayout, stores: ContentStores, commits: bool
) -> None:
    with serving(stores) as (running, _):
        talk(
            running,
            {"ref": "r", "total": 9, "expected": digest(b"right")},
            {"action": WRITING, "data": b"too long"},
            {"action": WRITING, "data": b"right"},
            *([{"action": COMMIT, "total": 5}] if commits else []),
        )
    layout.close()

    assert files(layout.path) == ({blob_name(b"right")} if commits else set())


def test_a_call_that_is_never_committed_leaves_nothing_when_the_session_ends(
    layout: OciLayout, stores: ContentStores
) -> None:
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        yield from encoded(*put(bytes(MIB))[:2])
        ended.wait(30)

    with serving(stores) as (running, _):

        def work() -> list[str]:
            call = running.start(WRITE, OURS, endless())
            next(call)
            next(call)
            return sorted(files(layout.path))

        unfinished = running.run(work)
    ended.set()
    layout.close()

    assert len(unfinished) == 1
    assert unfinished[0].startswith("ingest/.dockyard-")
    assert not list(layout.path.iterdir())


def test_what_a_killed_process_left_is_removed_when_it_is_old(
    layout: OciLayout, stores: ContentStores
) -> None:
    ingest = layout.path / "ingest"
    ingest.mkdir(parents=True)
    for name, age in ((".dockyard-old", 7200), (".dockyard-new", 10), ("theirs", 7200)):
        (ingest / name).write_bytes(b"part")
        os.utime(ingest / name, (time.time() - age,) * 2)

    with serving(stores) as (running, _):
        talk(running, *put(b"data"))
    layout.close()

    assert files(layout.path) == {"ingest/.dockyard-new", "ingest/theirs", blob_name(b"data")}


def test_a_blob_of_another_size_is_written_anew(layout: OciLayout, stores: ContentStores) -> None:
    path = layout.path / blob_name(b"data")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"da")

    with serving(stores) as (running, _):
        talk(running, *put(b"data"))

    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("link", ["blobs", "blobs/sha256", "ingest"])
def test_a_link_in_the_directory_is_not_followed(
    layout: OciLayout, stores: ContentStores, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (layout.path / link).parent.mkdir(parents=True)
    (layout.path / link).symlink_to(outside)

    with serving(stores) as (running, session):
        code, words = refusal(running, *put(b"data"))

    assert code is grpc.StatusCode.UNKNOWN
    assert words == f"cannot write {layout.path}: not a directory"
    assert isinstance(session.failed, OutputError)
    assert not list(outside.iterdir())


def test_a_blob_that_is_a_link_is_replaced_and_not_written_through(
    layout: OciLayout, stores: ContentStores, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    path = layout.path / blob_name(b"data")
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)

    with serving(stores) as (running, _):
        talk(running, *put(b"data"))

    assert not path.is_symlink()
    assert path.read_bytes() == b"data"
    assert outside.read_bytes() == b"theirs"


def test_several_blobs_are_written_at_the_same_time(
    layout: OciLayout, stores: ContentStores
) -> None:
    blobs = [os.urandom(2 * MIB) for _ in range(6)]

    with serving(stores) as (running, _):

        def work() -> None:
            calls = [running.start(WRITE, OURS, iter(encoded(*put(each)))) for each in blobs]
            for call in calls:
                list(call)

        running.run(work)
    layout.close()

    assert files(layout.path) == {blob_name(each) for each in blobs}


def test_messages_that_do_not_wait_for_answers_are_taken_in_their_order(
    layout: OciLayout, stores: ContentStores
) -> None:
    data = os.urandom(12 * MIB)
    parts: Sequence[dict[str, Any]] = [
        {"action": WRITING, "offset": at, "data": data[at : at + MIB]}
        for at in range(0, len(data), MIB)
    ]
    with serving(stores) as (running, _):
        first, _write, last = put(data)
        answers = talk(running, first, *parts, last)

    assert len(answers) == len(parts) + 2
    assert (layout.path / blob_name(data)).read_bytes() == data


def test_info_and_another_store(stores: ContentStores) -> None:
    with serving(stores) as (running, _):
        talk(running, *put(b"data"))
        call = running.channel.unary_unary(f"/{CONTENT}.Content/Info", bytes, bytes)
        request = protos().encode(f"{CONTENT}.InfoRequest", {"digest": digest(b"data")})

        answer = running.run(lambda: call(request, metadata=OURS, timeout=30))
        assert isinstance(answer, bytes)
        assert protos().decode(f"{CONTENT}.InfoResponse", answer)["info"] == {
            "digest": digest(b"data"),
            "size": 4,
        }
        other = (("buildkit-attachable-store-id", "local:/etc"),)
        with pytest.raises(grpc.RpcError) as caught:
            running.run(lambda: call(request, metadata=other, timeout=30))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
