from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import BinaryIO

import grpc
import pytest

from core.session.daemon import BYTES, SECONDS, Daemon, assert_workers_ended, serving
from dockyard.errors import ContextError
from dockyard.session.upload import Upload
from support.protos import protos

PULL = "/moby.upload.v1.Upload/Pull"
KINDS = pytest.mark.parametrize("tunnel", [False, True], ids=["own-stream", "tunnel"])


def pull(running: Daemon, path: str) -> list[bytes]:
    messages = running.stream(PULL, [("urlpath", path), ("urlhost", "buildkit-session")])
    return [protos().decode(BYTES, message).get("data", b"") for message in messages]


@KINDS
def test_a_stream_is_given_with_what_was_read_of_it_already(tunnel: bool) -> None:
    data = os.urandom(5_000_000)
    upload = Upload(io.BytesIO(data[100:]), data[:100])

    with serving(upload, tunnel=tunnel) as (running, session):
        parts = pull(running, f"/{upload.id}")

    assert b"".join(parts) == data
    assert max(map(len, parts)) <= 1 << 20
    assert session.failed is None


def test_the_address_is_for_the_daemon() -> None:
    upload = Upload(io.BytesIO())

    assert upload.url == f"http://buildkit-session/{upload.id}"


def test_an_empty_stream_is_given() -> None:
    upload = Upload(io.BytesIO())

    with serving(upload) as (running, _):
        assert pull(running, upload.id) == []


def test_much_that_was_read_already_is_cut_into_pieces() -> None:
    upload = Upload(io.BytesIO(), bytes(3_500_000))

    with serving(upload) as (running, _):
        parts = pull(running, upload.id)

    assert [len(part) for part in parts] == [1 << 20, 1 << 20, 1 << 20, 3_500_000 - (3 << 20)]


def test_a_file_is_given(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "context.tar").write_bytes(data)

    with (tmp_path / "context.tar").open("rb") as file:
        upload = Upload(file, file.read(512))
        with serving(upload) as (running, _):
            assert b"".join(pull(running, upload.id)) == data


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_is_given(buffering: int) -> None:
    read_end, write_end = os.pipe()
    data = os.urandom(3_000_000)

    def write() -> None:
        with open(write_end, "wb") as stream:  # noqa: PTH123  # a descriptor
            stream.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    with open(read_end, "rb", buffering=buffering) as stream:  # noqa: PTH123
        first = stream.read(512)
        upload = Upload(stream, first)
        with serving(upload) as (running, _):
            assert b"".join(pull(running, upload.id)) == data
    thread.join()


def test_a_stream_is_given_once() -> None:
    upload = Upload(io.BytesIO(b"data"))

    with serving(upload) as (running, _):
        assert pull(running, upload.id) == [b"data"]
        with pytest.raises(grpc.RpcError) as caught:
            pull(running, upload.id)

    assert caught.value.details() == f"no http response from session for {upload.id}"


@pytest.mark.parametrize("path", ["", "/", "/other", "/{id}/more", "{id}x"])
def test_another_address_is_refused_and_the_stream_kept(path: str) -> None:
    upload = Upload(io.BytesIO(b"data"))
    path = path.replace("{id}", upload.id)

    with serving(upload) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            pull(running, path)

        assert caught.value.details() == (
            f"no http response from session for {path.rpartition('/')[2]}"
        )
        assert pull(running, upload.id) == [b"data"]


def test_a_stream_that_cannot_be_read_is_one_clear_line() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError(5, "Input/output error")

    upload = Upload(io.BufferedReader(Broken()))
    with serving(upload) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            pull(running, upload.id)

        assert caught.value.details() == "cannot read the build context: input/output error"
        assert isinstance(session.failed, ContextError)


def test_a_closed_stream_is_one_clear_line() -> None:
    stream: BinaryIO = io.BytesIO()
    stream.close()
    upload = Upload(stream)

    with serving(upload) as (running, session):
        with pytest.raises(grpc.RpcError, match="cannot read the build context"):
            pull(running, upload.id)

        assert isinstance(session.failed, ContextError)


def test_a_slow_stream_holds_nothing_else_up() -> None:
    read_end, write_end = os.pipe()
    with (
        open(read_end, "rb") as stream,  # noqa: PTH123  # a descriptor
        open(write_end, "wb", buffering=0) as writing,  # noqa: PTH123  # a descriptor
    ):
        upload = Upload(stream)
        with serving(upload) as (running, _):

            def work() -> list[bytes]:
                answers = running.start(PULL, [("urlpath", upload.id)], iter(()))
                got = []
                for word in (b"one", b"two"):
                    writing.write(word)
                    got.append(next(answers))
                    running.later("/grpc.health.v1.Health/Check", b"").result(SECONDS)
                writing.close()
                return [*got, *answers]

            messages = running.run(work)

    assert [protos().decode(BYTES, message)["data"] for message in messages] == [b"one", b"two"]


def test_closing_the_session_frees_a_reader_that_waits() -> None:
    strangers = set(threading.enumerate())
    read_end, write_end = os.pipe()
    with (
        open(read_end, "rb") as stream,  # noqa: PTH123  # a descriptor
        open(write_end, "wb", buffering=0) as writing,  # noqa: PTH123  # a descriptor
    ):
        upload = Upload(stream)
        with serving(upload) as (running, session):

            def work() -> None:
                answers = running.start(PULL, [("urlpath", upload.id)], iter(()))
                calls.append(answers)
                writing.write(b"x")
                next(answers)

            calls: list[object] = []
            running.run(work)
            session.close()
            running.client.close()
            assert_workers_ended(strangers)
