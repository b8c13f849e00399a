from __future__ import annotations

import io
import os
import queue
import resource
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from core.session.daemon import (
    BYTES,
    SECONDS,
    Daemon,
    assert_leaves_nothing,
    assert_workers_ended,
    serving,
)
from dockyard.errors import OutputError, TransferError
from dockyard.session.output import DirectoryTarget, FileTarget, Outputs, StreamTarget
from support.protos import protos

SEND = "/moby.filesync.v1.FileSend/DiffCopy"
KINDS = pytest.mark.parametrize("tunnel", [False, True], ids=["own-stream", "tunnel"])
PACKET = "fsutil.types.Packet"
DIRECTORY = 0x80000000 | 0o755


def exporter(number: int | str) -> tuple[str, str]:
    return ("buildkit-attachable-exporter-id", str(number))


def chunks(data: bytes, size: int = 4096) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield protos().encode(BYTES, {"data": data[start : start + size]})


def send(running: Daemon, number: int, data: bytes, size: int = 4096) -> list[bytes]:
    return running.stream(SEND, [exporter(number)], chunks(data, size))


def failure(running: Daemon, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        running.stream(SEND, metadata, chunks(b"x"))
    return caught.value.code(), caught.value.details()


def send_tree(
    running: Daemon,
    number: int,
    entries: Sequence[tuple[str, int, bytes]],
    *metadata: tuple[str, str],
) -> list[int]:
    """Be the daemon that sends a tree; give the types of the packets that came back."""
    out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def put(**packet: object) -> None:
        out.put(protos().encode(PACKET, packet))

    for path, mode, data in entries:
        put(stat={"path": path, "mode": mode, "size": len(data), "modTime": 10**18})
    put()
    seen = []
    answers = running.start(SEND, [exporter(number), *metadata], iter(out.get, None))
    try:
        for answer in answers:
            packet = protos().decode(PACKET, answer)
            seen.append(packet.get("type", 0))
            if packet.get("type") == 1:
                number = packet.get("ID", 0)
                if entries[number][2]:
                    put(type=2, ID=number, data=entries[number][2])
                put(type=2, ID=number)
            elif packet.get("type") == 3:
                put(type=3)
                out.put(None)
    finally:
        out.put(None)
    return seen


@KINDS
def test_an_archive_becomes_a_file(tmp_path: Path, tunnel: bool) -> None:
    data = os.urandom(5_000_000)
    outputs = Outputs({0: FileTarget(path=tmp_path / "out.tar")})

    with serving(outputs, tunnel=tunnel) as (running, session):
        answers = send(running, 0, data)

    assert answers == []
    assert (tmp_path / "out.tar").read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 1
    assert session.failed is None


def test_large_messages_and_empty_ones_are_taken(tmp_path: Path) -> None:
    data = os.urandom(9_000_000)
    messages = [protos().encode(BYTES, {}), *chunks(data, 3 << 20), b""]

    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, _):
        running.stream(SEND, [exporter(0)], messages)

    assert (tmp_path / "out.tar").read_bytes() == data


def test_an_old_daemon_names_no_exporter(tmp_path: Path) -> None:
    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, _):
        running.stream(SEND, [], chunks(b"data"))

    assert (tmp_path / "out.tar").read_bytes() == b"data"


def test_what_the_daemon_says_of_a_result_is_kept(tmp_path: Path) -> None:
    outputs = Outputs({3: FileTarget(path=tmp_path / "out.tar")})
    said = [exporter(3), ("exporter-md-containerimage.digest", "sha256:00"), ("other", "x")]

    with serving(outputs) as (running, _):
        running.stream(SEND, said, chunks(b"data"))

    assert outputs.metadata == {3: {"containerimage.digest": "sha256:00"}}


def test_an_archive_goes_to_a_stream() -> None:
    stream = io.BytesIO()

    with serving(Outputs({1: StreamTarget(stream=stream)})) as (running, _):
        send(running, 1, b"data" * 1000)

    assert stream.getvalue() == b"data" * 1000


def test_an_archive_goes_to_the_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with (
        open(1, "wb", closefd=False) as stdout,  # a descriptor
        serving(Outputs({0: StreamTarget(stream=stdout)})) as (running, _),
    ):
        send(running, 0, b"data" * 1000)

    assert capfdbinary.readouterr().out == b"data" * 1000


def test_a_slow_reader_holds_the_daemon_back_and_nothing_else() -> None:
    read_end, write_end = os.pipe()
    data = os.urandom(40 << 20)
    with (
        open(read_end, "rb") as reading,  # noqa: PTH123  # a descriptor
        open(write_end, "wb") as stream,  # noqa: PTH123  # a descriptor
        serving(Outputs({0: StreamTarget(stream=stream)})) as (running, _),
    ):

        def work() -> bytes:
            call = running.start(SEND, [exporter(0)], chunks(data, 1 << 20))
            got = bytearray(reading.read(1))
            running.later("/grpc.health.v1.Health/Check", b"").result(SECONDS)
            while len(got) < len(data):
                got += reading.read1(1 << 20)
            list(call)
            return bytes(got)

        got = running.run(work)

    assert got == data


def test_memory_does_not_grow_with_what_waits_for_a_slow_reader() -> None:
    read_end, write_end = os.pipe()
    sent: list[int] = []
    stalled = threading.Event()

    def endless() -> Iterator[bytes]:
        message = protos().encode(BYTES, {"data": bytes(1 << 20)})
        while not stalled.is_set():
            sent.append(1)
            yield message

    with (
        open(read_end, "rb") as reading,  # noqa: PTH123  # a descriptor
        open(write_end, "wb") as stream,  # noqa: PTH123  # a descriptor
        serving(Outputs({0: StreamTarget(stream=stream)})) as (running, session),
    ):

        def work() -> int:
            calls.append(running.start(SEND, [exporter(0)], endless()))
            reading.read(1)
            count = -1
            while count != len(sent):  # until the daemon is held back
                count = len(sent)
                stalled.wait(0.3)
            return count

        calls: list[Any] = []
        count = running.run(work)
        stalled.set()
        session.close()

    assert count < 60


def test_a_stream_whose_reader_went_away_fails_the_export() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with (
        open(write_end, "wb") as stream,  # noqa: PTH123  # a descriptor
        serving(Outputs({0: StreamTarget(stream=stream)})) as (running, session),
    ):
        assert failure(running) == (
            grpc.StatusCode.UNKNOWN,
            "cannot write the output stream: broken pipe",
        )
        assert isinstance(session.failed, OutputError)


def test_a_sink_that_fails_at_its_end_fails_the_export() -> None:
    class Loading(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(5, "The engine refused")

    target = StreamTarget(stream=Loading(), closes=True)
    with serving(Outputs({0: target})) as (running, session):
        assert failure(running)[1] == "cannot write the output stream: the engine refused"
        assert isinstance(session.failed, OutputError)


def test_an_unknown_exporter_is_refused(tmp_path: Path) -> None:
    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, session):
        assert failure(running, exporter(7)) == (
            grpc.StatusCode.UNKNOWN,
            "exporter 7 not found",
        )
        assert session.failed is None

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "0" * 20, "+1"])
def test_a_malformed_exporter_id_is_refused(tmp_path: Path, number: str) -> None:
    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, _):
        assert failure(running, exporter(number))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_file_is_written_once(tmp_path: Path) -> None:
    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, _):
        send(running, 0, b"first")

        assert failure(running) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "exporter 0 was written already",
        )

    assert (tmp_path / "out.tar").read_bytes() == b"first"


def test_a_malformed_archive_leaves_no_file(tmp_path: Path) -> None:
    with serving(Outputs({0: FileTarget(path=tmp_path / "out.tar")})) as (running, session):
        with pytest.raises(grpc.RpcError, match="malformed archive"):
            running.stream(SEND, [], [*chunks(b"x" * 100_000), b"\x0a\xff\xff\x01x"])

        assert isinstance(session.failed, TransferError)

    assert list(tmp_path.iterdir()) == []


@KINDS
def test_a_stream_that_the_daemon_breaks_off_leaves_no_file(tmp_path: Path, tunnel: bool) -> None:
    class BrokenError(Exception):
        pass

    def broken() -> Iterator[bytes]:
        yield from chunks(b"x" * 1_000_000)
        raise BrokenError

    outputs = Outputs({0: FileTarget(path=tmp_path / "out.tar")})
    with serving(outputs, tunnel=tunnel) as (running, session), pytest.raises(grpc.RpcError):
        running.stream(SEND, [], broken())

    assert list(tmp_path.iterdir()) == []
    assert session.failed is None


@KINDS
def test_closing_the_session_in_a_transfer_leaves_nothing(tmp_path: Path, tunnel: bool) -> None:
    assert_leaves_nothing(lambda: close_in_a_transfer(tmp_path, tunnel=tunnel))


def close_in_a_transfer(folder: Path, *, tunnel: bool) -> None:
    over = threading.Event()
    calls: list[Any] = []

    def half() -> Iterator[bytes]:
        yield from chunks(b"x" * 1_000_000)
        over.wait(SECONDS)

    outputs = Outputs({0: FileTarget(path=folder / "out.tar")})
    with serving(outputs, tunnel=tunnel) as (running, session):

        def work() -> None:
            calls.append(running.start(SEND, [], half()))
            while not list(folder.iterdir()):  # until it is being written
                running.later("/grpc.health.v1.Health/Check", b"").result(SECONDS)

        running.run(work)
        session.close()
        assert list(folder.iterdir()) == []
        over.set()


def test_closing_the_session_frees_a_writer_that_waits() -> None:
    strangers = set(threading.enumerate())
    read_end, write_end = os.pipe()
    with (
        open(read_end, "rb") as reading,  # noqa: PTH123  # a descriptor
        open(write_end, "wb") as stream,  # noqa: PTH123  # a descriptor
        serving(Outputs({0: StreamTarget(stream=stream)})) as (running, session),
    ):

        def work() -> None:
            calls.append(running.start(SEND, [], chunks(bytes(1 << 20))))
            reading.read(1)

        calls: list[Any] = []
        running.run(work)
        session.close()
        running.client.close()
        assert_workers_ended(strangers)


def test_a_full_disk_is_one_clear_line_and_no_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "out.tar"

    with serving(Outputs({0: FileTarget(path=path)})) as (running, session):
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
        try:
            with pytest.raises(grpc.RpcError) as caught:
                send(running, 0, bytes(10 << 20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

        assert caught.value.details() == f"cannot write {path}: file too large"
        assert isinstance(session.failed, OutputError)
        assert str(session.failed) == caught.value.details()

    assert list(tmp_path.iterdir()) == []


def test_a_full_device_is_one_clear_line() -> None:
    with serving(Outputs({0: FileTarget(path=Path("/dev/full"))})) as (running, session):
        assert failure(running)[1] == "cannot write /dev/full: no space left on device"
        assert isinstance(session.failed, OutputError)


def test_targets_of_the_wrong_kind_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")

    with pytest.raises(OutputError, match=f"^destination file {tmp_path} is a directory$"):
        Outputs({0: FileTarget(path=tmp_path)})
    with pytest.raises(OutputError, match=f"^destination directory {path} is a file$"):
        Outputs({0: DirectoryTarget(path=path)})


@KINDS
def test_a_tree_becomes_a_directory(tmp_path: Path, tunnel: bool) -> None:
    dest = tmp_path / "dest"
    entries = [("bin", DIRECTORY, b""), ("bin/app", 0o755, b"code" * 9000), ("empty", 0o644, b"")]

    with serving(Outputs({2: DirectoryTarget(path=dest)}), tunnel=tunnel) as (running, session):
        seen = running.run(lambda: send_tree(running, 2, entries))

    assert seen == [1, 1, 3]
    assert (dest / "bin" / "app").read_bytes() == b"code" * 9000
    assert (dest / "bin" / "app").stat().st_mode & 0o777 == 0o755
    assert (dest / "empty").read_bytes() == b""
    assert session.failed is None


def test_several_streams_fill_one_directory(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    platforms = ["linux_amd64", "linux_arm64", "linux_s390x"]

    with serving(Outputs({0: DirectoryTarget(path=dest)})) as (running, session):

        def work() -> None:
            threads = [
                threading.Thread(
                    target=send_tree,
                    args=(
                        running,
                        0,
                        [(name, DIRECTORY, b""), (f"{name}/app", 0o755, name.encode() * 5000)],
                    ),
                )
                for name in platforms
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        running.run(work)

        assert session.failed is None
    assert {name: (dest / name / "app").read_bytes() for name in platforms} == {
        name: name.encode() * 5000 for name in platforms
    }


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "link/evil"])
def test_a_hostile_daemon_writes_nothing_outside(tmp_path: Path, path: str) -> None:
    dest, outside = tmp_path / "dest", tmp_path / "outside"
    dest.mkdir()
    outside.mkdir()
    (dest / "link").symlink_to(outside)

    with serving(Outputs({0: DirectoryTarget(path=dest)})) as (running, session):
        with pytest.raises(grpc.RpcError):
            running.run(lambda: send_tree(running, 0, [(path, 0o644, b"evil")]))

        assert session.failed is not None

    assert list(outside.iterdir()) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dest", "outside"]


def test_a_mirror_needs_a_daemon_that_sends_one_tree(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    outputs = Outputs({0: DirectoryTarget(path=tmp_path, mirror=True)})

    with serving(outputs) as (running, _):
        code, words = failure(running, exporter(0))

    assert code is grpc.StatusCode.UNKNOWN
    assert words == (
        "local exporter mode=delete requires a BuildKit daemon with multi-platform local export "
        "support"
    )
    assert isinstance(outputs.failed, TransferError)
    assert (tmp_path / "old").exists()


def test_a_mirror_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    outputs = Outputs({0: DirectoryTarget(path=tmp_path, mirror=True)})

    with serving(outputs) as (running, _):
        one_tree = ("buildkit-exporter-multi-platform", "1")
        running.run(lambda: send_tree(running, 0, [("new", 0o644, b"new")], one_tree))

    assert [place.name for place in tmp_path.iterdir()] == ["new"]
    assert outputs.failed is None
