from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest

from core.buildkit.history_daemon import KIND, Record, blob, digest, one, remembering
from dockyard.buildkit.client import Client
from dockyard.buildkit.history import Attestation, attestations
from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, DaemonError


def ask(
    client: Client, cancel: Cancellation | None = None, timeout: float = 20
) -> list[Attestation]:
    return attestations(client, "ref", cancel=cancel or Cancellation(), timeout=timeout)


def test_what_was_attested_stands_in_the_builds_record() -> None:
    requests = []

    def tell(request: Record, _call: grpc.ServicerContext) -> Iterator[Record]:
        requests.append(request)
        yield {"type": 0}
        yield {"type": 1, "record": {"Ref": "other", "Result": {"Attestations": [blob(b"other")]}}}
        found = {"Attestations": [blob(b"one"), blob(b"sbom", "spdx"), blob(b"x", KIND, "other")]}
        yield {"type": 1, "record": {"Ref": "ref", "Result": found}}

    with remembering(tell) as client:
        found = ask(client)

    assert requests == [{"Ref": "ref", "EarlyExit": True}]
    assert found == [
        Attestation("", KIND, digest(b"one"), 3),
        Attestation("", "spdx", digest(b"sbom"), 4),
    ]


def test_several_platforms_have_a_result_each() -> None:
    results = {
        "linux/arm64": {"Attestations": [blob(b"b")]},
        "linux/amd64": {"Attestations": [blob(b"a")]},
    }

    with remembering(one(Results=results)) as client:
        found = ask(client)

    assert [each.platform for each in found] == ["linux/amd64", "linux/arm64"]


def test_without_a_record_nothing_was_attested() -> None:
    with remembering(lambda _request, _call: iter([])) as client:
        assert ask(client) == []


def test_a_daemon_that_keeps_no_records_is_no_error() -> None:
    with remembering(None) as client:
        assert ask(client) == []


def test_a_daemon_that_refuses_is_one() -> None:
    def tell(_request: Record, call: grpc.ServicerContext) -> Iterator[Record]:
        call.abort(grpc.StatusCode.UNKNOWN, "no database")

    with remembering(tell) as client, pytest.raises(DaemonError, match="^no database$"):
        ask(client)


def test_a_daemon_that_never_ends_is_waited_for_only_so_long() -> None:
    over = threading.Event()

    def tell(_request: Record, _call: grpc.ServicerContext) -> Iterator[Record]:
        over.wait(20)
        yield {"type": 0}

    with remembering(tell) as client:
        with pytest.raises(DaemonError) as caught:
            ask(client, timeout=0.2)
        cancel = Cancellation()
        threading.Timer(0.2, cancel.cancel).start()
        with pytest.raises(CanceledError):
            ask(client, cancel)
        over.set()
    assert caught.value.code == "DeadlineExceeded"


def test_only_so_many_attestations_are_looked_at() -> None:
    many = [blob(b"%d" % number) for number in range(1100)]

    with remembering(one(Result={"Attestations": many})) as client:
        assert len(ask(client)) == 1000
