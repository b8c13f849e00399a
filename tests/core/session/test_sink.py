from __future__ import annotations

import io
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockyard.errors import CanceledError, OutputError
from dockyard.session.sink import FileSink, StreamSink


def write(sink: FileSink | StreamSink, *parts: bytes) -> None:
    for part in parts:
        sink.write(bytearray(part))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 64 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.tar")

    write(sink, b"one", b"two")
    assert not (tmp_path / "out.tar").exists()
    sink.commit()

    assert (tmp_path / "out.tar").read_bytes() == b"onetwo"
    assert os.listdir(tmp_path) == ["out.tar"]  # noqa: PTH208  # names only


def test_nothing_is_made_before_there_is_something_to_write(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "folder" / "out.tar")

    sink.abort()

    assert list(tmp_path.iterdir()) == []


def test_an_empty_result_is_an_empty_file(tmp_path: Path) -> None:
    FileSink(tmp_path / "out.tar").commit()

    assert (tmp_path / "out.tar").read_bytes() == b""


def test_missing_folders_are_made(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a" / "b" / "out.tar")

    write(sink, b"x")
    sink.commit()

    assert (tmp_path / "a" / "b" / "out.tar").read_bytes() == b"x"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_giving_up_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out.tar").write_bytes(b"old")
    sink = FileSink(tmp_path / "out.tar")

    write(sink, b"new")
    sink.abort()
    sink.abort()

    assert (tmp_path / "out.tar").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(CanceledError):
        write(sink, b"more")
    with pytest.raises(CanceledError):
        sink.commit()


def test_giving_up_after_the_end_keeps_the_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.tar")

    write(sink, b"x")
    sink.commit()
    sink.abort()

    assert (tmp_path / "out.tar").read_bytes() == b"x"


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "out.tar").write_bytes(b"old")
    (tmp_path / "out.tar").chmod(0o640)
    sink = FileSink(tmp_path / "out.tar")

    write(sink, b"new")
    sink.commit()

    assert (tmp_path / "out.tar").stat().st_mode & 0o7777 == 0o640


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.tar")
    before = os.umask(0o027)
    try:
        sink.commit()
    finally:
        os.umask(before)

    assert (tmp_path / "out.tar").stat().st_mode & 0o7777 == 0o640


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out.tar").symlink_to("real/file.tar")
    sink = FileSink(tmp_path / "out.tar")

    write(sink, b"x")
    sink.commit()

    assert (tmp_path / "out.tar").is_symlink()
    assert (tmp_path / "real" / "file.tar").read_bytes() == b"x"
    assert len(list((tmp_path / "real").iterdir())) == 1


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"^destination file {tmp_path} is a directory$"):
        write(FileSink(tmp_path), b"x")


def test_a_parent_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "out.tar"

    with pytest.raises(OutputError, match=f"^cannot write {path}: not a directory$"):
        write(FileSink(path), b"x")


def test_a_device_is_written_to_and_not_replaced() -> None:
    sink = FileSink(Path("/dev/null"))

    write(sink, b"x")
    sink.commit()

    assert Path("/dev/null").is_char_device()


def test_a_full_device_is_one_clear_line() -> None:
    sink = FileSink(Path("/dev/full"))

    with pytest.raises(OutputError, match=r"^cannot write /dev/full: no space left on device$"):
        write(sink, b"x")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, small_disk: None) -> None:
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    sink = FileSink(path)

    write(sink, b"x" * (60 << 10))
    with pytest.raises(OutputError, match=f"^cannot write {path}: file too large$"):
        write(sink, b"x" * (60 << 10))
    sink.abort()

    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = os.urandom(1 << 20)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    sink = FileSink(path)

    write(sink, data)
    sink.commit()
    reader.join()

    assert got == [data]
    assert path.is_fifo()


def test_waiting_for_a_pipes_reader_can_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = FileSink(path)

    assert_gives_up(sink, lambda: write(sink, b"x"))


def assert_gives_up(
    sink: FileSink | StreamSink, work: Callable[[], None], begins: Callable[[], object] = int
) -> None:
    """Check that work that waits, once it has begun, ends when the sink is given up."""
    errors: list[BaseException] = []
    begun = threading.Event()

    def job() -> None:
        begun.set()
        try:
            work()
        except CanceledError as error:
            errors.append(error)

    thread = threading.Thread(target=job)
    thread.start()
    begun.wait()
    begins()
    sink.abort()
    thread.join(30)

    assert not thread.is_alive()
    assert len(errors) == 1


def test_a_stream_gets_everything() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream)

    write(sink, b"one", b"two")
    sink.commit()

    assert stream.getvalue() == b"onetwo"
    assert not stream.closed


def test_a_stream_is_closed_when_asked_to(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as stream:
        sink = StreamSink(stream, closes=True)

        write(sink, b"x")
        sink.commit()

        assert stream.closed


@pytest.mark.parametrize("reopens", [True, False])
def test_a_pipe_gets_everything_in_order(reopens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not reopens:
        monkeypatch.setattr("dockyard.session.sink._reopened", lambda _descriptor: -1)
    read_end, write_end = os.pipe()
    data = os.urandom(3 << 20)
    got: list[bytes] = []
    with open(read_end, "rb") as reading, open(write_end, "wb") as stream:  # noqa: PTH123
        thread = threading.Thread(target=lambda: got.append(reading.read()))
        thread.start()
        stream.write(b"before ")
        sink = StreamSink(stream)

        write(sink, data[:5], data[5:])
        sink.commit()
        assert os.get_blocking(write_end)
        stream.close()
        thread.join()

    assert got == [b"before " + data]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_waiting_for_a_slow_reader_can_be_given_up(kind: str) -> None:
    if kind == "pipe":
        read_end, write_end = os.pipe()
    else:
        ours, theirs = socket.socketpair()
        read_end, write_end = ours.detach(), theirs.detach()
    with open(read_end, "rb") as reading, open(write_end, "wb", buffering=0) as stream:  # noqa: PTH123
        sink = StreamSink(stream)

        assert_gives_up(sink, lambda: write(sink, b"x" * (8 << 20)), lambda: reading.read(1))


def test_a_reader_that_went_away_is_one_clear_line() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with (
        open(write_end, "wb") as stream,  # noqa: PTH123  # a descriptor
        pytest.raises(OutputError, match=r"^cannot write the output stream: broken pipe$"),
    ):
        write(StreamSink(stream), b"x")


def test_a_closed_stream_is_one_clear_line() -> None:
    stream = io.BytesIO()
    stream.close()

    with pytest.raises(OutputError, match=r"^cannot write the output stream: .* closed file"):
        write(StreamSink(stream), b"x")


def test_sinks_leave_no_descriptor_behind(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    pipe = Path(f"/proc/self/fd/{read_end}").readlink()
    with open(read_end, "rb"), open(write_end, "wb") as stream:  # noqa: PTH123
        for end in ("commit", "abort"):
            for sink in (StreamSink(stream), FileSink(tmp_path / "out")):
                write(sink, b"x")
                getattr(sink, end)()

    assert not [place for place in open_places() if place == pipe or tmp_path in place.parents]


def open_places() -> Iterator[Path]:
    """Tell what the descriptors of this process lead to; other threads open and close some."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield descriptor.readlink()
