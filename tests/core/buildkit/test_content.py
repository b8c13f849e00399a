from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from dockyard.buildkit.client import Client
from dockyard.buildkit.content import open_blob, serves_blobs
from dockyard.cancellation import Cancellation
from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from dockyard.errors import CanceledError, ConnectionLostError, DaemonError
from support.protos import protos

CONTENT = "containerd.services.content.v1"
MIB = 1 << 20

Read = Callable[[str, grpc.ServicerContext], Iterator[bytes]]
"""What a daemon sends for a digest."""


@contextmanager
def reading(read: Read | None) -> Iterator[tuple[Client, grpc.Server]]:
    """Connect to a daemon whose content store does what a test says; None: it has none."""
    import socket

    def behaviour(request: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        assert read is not None
        digest = protos().decode(f"{CONTENT}.ReadContentRequest", request).get("digest", "")
        for data in read(digest, call):
            yield protos().encode(f"{CONTENT}.ReadContentResponse", {"data": data})

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        if read is not None:
            handlers = {"Read": grpc.unary_stream_rpc_method_handler(behaviour)}
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(f"{CONTENT}.Content", handlers),)
            )
        path = Path(folder) / "s"
        server.add_insecure_port(f"unix:{path}")
        server.start()
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        client = Client(Connection(stream=SocketStream(made)))
        try:
            yield client, server
        finally:
            client.close()
            server.stop(0).wait(30)


def name(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def giving(data: bytes, piece: int = MIB) -> Read:
    def read(_digest: str, _call: grpc.ServicerContext) -> Iterator[bytes]:
        for start in range(0, len(data), piece):
            yield data[start : start + piece]

    return read


def fetch(client: Client, digest: str, size: int, silence: float = 20) -> bytes:
    with open_blob(client, digest, size, cancel=Cancellation(), silence=silence) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, 100, MIB, 10 * MIB + 7])
def test_a_blob_is_read_whole(size: int) -> None:
    data = os.urandom(size)
    with reading(giving(data)) as (client, _):
        assert fetch(client, name(data), size) == data


def test_several_blobs_are_read_one_after_the_other_and_a_part_of_one() -> None:
    blobs = {name(data): data for data in (b"one" * 99, b"two" * 99999)}

    def read(digest: str, call: grpc.ServicerContext) -> Iterator[bytes]:
        yield from giving(blobs[digest], 1000)(digest, call)

    with reading(read) as (client, _):
        for digest, data in blobs.items():
            with open_blob(client, digest, len(data), cancel=Cancellation()) as file:
                assert file.read(10) == data[:10]
        for digest, data in blobs.items():
            assert fetch(client, digest, len(data)) == data


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"x" * 5000, "has another digest"),
        (b"y" * 4000, "has 4000 bytes instead of 5000"),
        (b"y" * 6000, "is longer than its 5000 bytes"),
        (b"", "has 0 bytes instead of 5000"),
    ],
)
def test_another_blob_than_was_asked_for_never_comes_out_whole(sent: bytes, words: str) -> None:
    wanted = b"y" * 5000
    with reading(giving(sent, 1000)) as (client, _):
        got = bytearray()
        with open_blob(client, name(wanted), len(wanted), cancel=Cancellation()) as file:

            def read_all() -> None:
                while piece := file.read(1000):
                    got.extend(piece)

            with pytest.raises(DaemonError, match=words) as caught:
                read_all()
        assert caught.value.code == "DataLoss"
        assert len(got) < len(wanted)


def test_a_blob_that_is_not_there() -> None:
    def read(_digest: str, call: grpc.ServicerContext) -> Iterator[bytes]:
        call.abort(grpc.StatusCode.NOT_FOUND, "content sha256:x: not found")
        yield b""

    with reading(read) as (client, _):
        with pytest.raises(DaemonError, match="content sha256:x: not found") as caught:
            fetch(client, name(b"x"), 1)
        assert caught.value.code == "NotFound"
        assert serves_blobs(client)


def test_a_daemon_without_a_content_store() -> None:
    with reading(None) as (client, _):
        with pytest.raises(DaemonError) as caught:
            fetch(client, name(b"x"), 1)
        assert caught.value.code == "Unimplemented"
        assert not serves_blobs(client)


def test_what_nobody_reads_does_not_pile_up() -> None:
    sent = 0
    blocked = threading.Event()

    def read(_digest: str, call: grpc.ServicerContext) -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            yield bytes(MIB)
            sent += MIB
        blocked.set()

    data = bytes(200 * MIB)
    digest = name(data)
    del data
    with reading(read) as (client, _):
        tracemalloc.start()
        try:
            with open_blob(client, digest, 200 * MIB, cancel=Cancellation()) as file:
                file.read(1)
                client.loop.run(lambda: False, timeout=0.5)
                assert not blocked.is_set()
                total = 1
                while piece := file.read(256 << 10):
                    total += len(piece)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == 200 * MIB
    assert peak < 60 * MIB


def test_a_daemon_that_stops_in_the_middle() -> None:
    over = threading.Event()

    def read(_digest: str, _call: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"some"
        over.wait(20)

    with reading(read) as (client, _):
        started = time.monotonic()
        with pytest.raises(DaemonError, match="stopped for 0.3 s"):
            fetch(client, name(b"some more"), 9, silence=0.3)
        over.set()
        assert time.monotonic() - started < 10


def test_canceling_ends_a_read_that_waits() -> None:
    over, waiting = threading.Event(), threading.Event()

    def read(_digest: str, _call: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"some"
        waiting.set()
        over.wait(20)

    cancel = Cancellation()

    def turn() -> None:
        waiting.wait(10)
        cancel.cancel()

    with reading(read) as (client, _):
        thread = threading.Thread(target=turn)
        thread.start()
        with (
            open_blob(client, name(b"some more"), 9, cancel=cancel) as file,
            pytest.raises(CanceledError),
        ):
            file.read()
        over.set()
        thread.join()


def test_a_connection_that_breaks() -> None:
    stop: list[grpc.Server] = []
    over = threading.Event()

    def read(_digest: str, _call: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"some"
        threading.Thread(target=lambda: stop[0].stop(0)).start()
        over.wait(20)

    with reading(read) as (client, server):
        stop.append(server)
        with pytest.raises((ConnectionLostError, DaemonError)):
            fetch(client, name(b"some more"), 9)
        over.set()


def test_nonsense_in_place_of_content() -> None:
    with reading(giving(b"")) as (client, _):
        with pytest.raises(DaemonError, match="has 0 bytes instead of 1"):
            fetch(client, name(b"x"), 1)
        assert fetch(client, name(b""), 0) == b""
