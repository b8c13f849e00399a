"""A daemon that remembers builds, on grpcio's server and protobuf's runtime."""

from __future__ import annotations

import hashlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from dockyard.buildkit.client import Client
from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from support.protos import protos

CONTROL = "moby.buildkit.v1"
CONTENT = "containerd.services.content.v1"
KIND = "https://slsa.dev/provenance/v0.2"

Record = dict[str, Any]
Tell = Callable[[Record, grpc.ServicerContext], Iterator[Record]]
"""Gives the events for a request."""


@contextmanager
def remembering(tell: Tell | None, blobs: dict[str, bytes] | None = None) -> Iterator[Client]:
    """Connect to a daemon with records; None: it keeps none."""

    def listen(request: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        assert tell is not None
        for event in tell(protos().decode(f"{CONTROL}.BuildHistoryRequest", request), call):
            yield protos().encode(f"{CONTROL}.BuildHistoryEvent", event)

    def read(request: bytes, _call: grpc.ServicerContext) -> Iterator[bytes]:
        digest = protos().decode(f"{CONTENT}.ReadContentRequest", request)["digest"]
        yield protos().encode(f"{CONTENT}.ReadContentResponse", {"data": (blobs or {})[digest]})

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        methods: dict[str, dict[str, Callable[..., Iterator[bytes]]]] = {
            f"{CONTROL}.Control": {"ListenBuildHistory": listen} if tell else {},
            f"{CONTENT}.Content": {"Read": read},
        }
        for service, behaviours in methods.items():
            handlers = {
                name: grpc.unary_stream_rpc_method_handler(behaviour)
                for name, behaviour in behaviours.items()
            }
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        path = Path(folder) / "s"
        server.add_insecure_port(f"unix:{path}")
        server.start()
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        client = Client(Connection(stream=SocketStream(made)))
        try:
            yield client
        finally:
            client.close()
            server.stop(0).wait(30)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(data: bytes, predicate: str = KIND, kind: str = "application/vnd.in-toto+json") -> Record:
    return {
        "media_type": kind,
        "digest": digest(data),
        "size": len(data),
        "annotations": {"in-toto.io/predicate-type": predicate},
    }


def one(**record: object) -> Tell:
    return lambda _request, _call: iter([{"type": 1, "record": {"Ref": "ref", **record}}])
