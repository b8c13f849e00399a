"""What a daemon remembers of a finished build: its record, from BuildKit 0.11 on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from dockyard.buildkit.client import CONTROL, Client
from dockyard.cancellation import Cancellation
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Code
from dockyard.wire.messages import BUILD_HISTORY_EVENT, BUILD_HISTORY_REQUEST

_METHOD = CONTROL + "ListenBuildHistory"
_PREDICATE = "in-toto.io/predicate-type"
_IN_TOTO = "application/vnd.in-toto+json"
_MOST = 1000
"""Attestations of one build; what comes after them is left aside."""


class Attestation(NamedTuple):
    """Something that was attested of a result, as a blob in the daemon's store."""

    platform: str
    """Of the result; empty when the build had only one."""
    predicate: str
    """What it says, as an URL."""
    digest: str
    size: int


def attestations(
    client: Client, ref: str, *, cancel: Cancellation, timeout: float = 30
) -> list[Attestation]:
    """Give what was attested of a build's results; nothing where the daemon keeps no records.

    Raises:
        DaemonError: The daemon refused, or did not answer in time.
        ConnectionLostError: The connection broke.
        CanceledError: ``cancel`` was turned.
    """
    found: list[Attestation] = []
    ends: list[WireError | None] = []

    def on_message(message: memoryview) -> None:
        try:
            record = decode(BUILD_HISTORY_EVENT, message).get("record", {})
        except CodecError as error:
            ends.append(error)
            call.cancel(Code.INTERNAL)
            return
        if record.get("Ref") == ref:
            found[:] = islice(_of_record(record), _MOST)

    loop = client.loop
    call = client.channel.start(_METHOD, on_message=on_message, on_end=ends.append)
    call.send(encode(BUILD_HISTORY_REQUEST, {"Ref": ref, "EarlyExit": True}))
    call.half_close()
    forget = cancel.on_cancel(lambda: loop.call_soon(call.cancel))
    timer = loop.call_later(timeout, lambda: call.cancel(Code.DEADLINE_EXCEEDED))
    try:
        loop.run(lambda: bool(ends))
    except WireError as error:
        raise client.error(error) from error
    finally:
        forget()
        timer.cancel()
        call.cancel()
    cancel.check()
    failure = ends[0]
    if isinstance(failure, CallError) and failure.code is Code.UNIMPLEMENTED:
        return []
    if failure is not None:
        raise client.error(failure) from failure
    return found


def _of_record(record: Mapping[str, Any]) -> Iterator[Attestation]:
    results: Mapping[str, Any] = record.get("Results") or {"": record.get("Result", {})}
    for platform, result in sorted(results.items()):
        for blob in result.get("Attestations", ()):
            predicate = blob.get("annotations", {}).get(_PREDICATE, "")
            if blob.get("media_type") == _IN_TOTO and predicate:
                digest, size = blob.get("digest", ""), blob.get("size", 0)
                yield Attestation(platform, predicate, digest, size)
