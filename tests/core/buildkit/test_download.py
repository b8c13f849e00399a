from __future__ import annotations

import threading

import pytest

from dockyard.buildkit.client import Client
from dockyard.buildkit.download import LIMIT, download
from dockyard.cancellation import Cancellation
from dockyard.errors import ContextError, ProtocolError
from support.protos import protos
from support.scripted_buildkit import ScriptedBuildKit, Values

from .test_gateway import Led

URL = "http://example.invalid/Dockerfile"


@pytest.fixture
def led(daemon: ScriptedBuildKit) -> Led:
    daemon.bridge["Solve"] = lambda _: {"result": {"ref": {"id": "r"}}}
    return Led(daemon)


def serve(daemon: ScriptedBuildKit, content: bytes, size: int | None = None) -> None:
    """Answer as a daemon that has the file; ``size`` is what it claims."""
    stat = {"path": "Dockerfile", "size": len(content) if size is None else size}

    def read(request: Values) -> Values:
        return {"Data": content[: request["Range"]["Length"]]}

    daemon.bridge["StatFile"] = lambda _: {"stat": stat}
    daemon.bridge["ReadFile"] = read


def fetch(client: Client) -> bytes:
    return download(client, URL, lambda _: None, Cancellation())


def test_a_file_is_fetched_by_the_daemon_and_nothing_is_kept(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    serve(daemon, b"FROM scratch\n")

    assert fetch(client) == b"FROM scratch\n"

    assert led.returned == [{"result": {}}]
    requests = dict(daemon.requests)
    assert requests["Solve"]["Internal"] is True
    assert requests["bridge.ReadFile"]["Ref"] == "r"


@pytest.mark.parametrize("size", [None, 5])
def test_a_file_that_is_too_long_is_refused_whatever_the_daemon_claims(
    led: Led, daemon: ScriptedBuildKit, client: Client, size: int | None
) -> None:
    serve(daemon, b"x" * (LIMIT + 10), size)

    with pytest.raises(ContextError, match=r"bigger than allowed max size \(2\.097MB\)"):
        fetch(client)


def test_the_longest_file_is_fetched(led: Led, daemon: ScriptedBuildKit, client: Client) -> None:
    serve(daemon, b"x" * LIMIT)

    assert len(fetch(client)) == LIMIT
    assert led.returned == [{"result": {}}]


def test_credentials_in_the_address_are_told_to_nobody_but_the_daemon(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    url = "https://me:secret@example.invalid/Dockerfile"
    serve(daemon, b"FROM scratch")

    download(client, url, lambda _: None, Cancellation())

    (graph,) = [asked["Definition"] for name, asked in daemon.requests if name == "bridge.Solve"]
    source = protos().decode("pb.Op", graph["def"][0])["source"]
    assert source == {"identifier": url, "attrs": {"http.filename": "Dockerfile"}}
    assert "secret" not in str(graph["metadata"])
    assert led.returned == [{"result": {}}]


def test_a_daemon_that_ends_the_build_without_the_file_makes_no_sense(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    def succeed(_request: Values, _gone: threading.Event) -> Values:
        return {"ExporterResponse": {}}

    daemon.solve = succeed

    with pytest.raises(ProtocolError, match="before it had a result"):
        fetch(client)
