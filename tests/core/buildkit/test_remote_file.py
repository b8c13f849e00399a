from __future__ import annotations

import grpc
import pytest

from dockyard.buildkit.client import Client
from dockyard.buildkit.remote_file import RemoteFile, read_remote
from dockyard.buildkit.source import http_source
from dockyard.cancellation import Cancellation
from dockyard.errors import BuildError, ContextError
from support.scripted_buildkit import Refusal, ScriptedBuildKit, Values

from .test_gateway import Led

SOURCE = http_source("http://example.invalid/x", "x", "x").definition()


@pytest.fixture
def led(daemon: ScriptedBuildKit) -> Led:
    daemon.bridge["Solve"] = lambda _: {"result": {"ref": {"id": "r"}}}
    daemon.bridge["StatFile"] = lambda _: {"stat": {"mode": 0o644}}
    daemon.bridge["ReadFile"] = lambda asked: {"Data": b"content"[: asked["Range"]["Length"]]}
    return Led(daemon)


def read(client: Client, limit: int = 100) -> bytes | None:
    file = RemoteFile(SOURCE, "sub/f", limit)
    return read_remote(client, file, lambda _: None, Cancellation(), session="s")


def test_a_file_is_read_out_of_what_the_daemon_fetched(
    led: Led, daemon: ScriptedBuildKit, client: Client
) -> None:
    assert read(client) == b"content"

    assert led.returned == [{"result": {}}]
    asked = dict(daemon.requests)
    assert (asked["Solve"]["Session"], asked["Solve"]["Internal"]) == ("s", True)
    assert asked["bridge.ReadFile"]["Ref"] == asked["bridge.StatFile"]["Ref"] == "r"
    assert asked["bridge.ReadFile"]["FilePath"] == asked["bridge.StatFile"]["Path"] == "sub/f"


@pytest.mark.usefixtures("led")
def test_of_a_long_file_one_byte_too_many_is_read(client: Client) -> None:
    assert read(client, limit=3) == b"cont"


@pytest.mark.usefixtures("led")
def test_nothing_is_taken_that_was_not_asked_for(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.bridge["ReadFile"] = lambda _: {"Data": b"content and more"}

    assert read(client, limit=3) == b"cont"


@pytest.mark.parametrize("words", ["lstat sub/f", "stat /mnt/1/sub/f", "x: lstat sub/f"])
def test_a_file_that_is_not_there_is_none(
    led: Led, daemon: ScriptedBuildKit, client: Client, words: str
) -> None:
    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, f"{words}: no such file or directory")

    daemon.bridge["StatFile"] = refuse

    assert read(client) is None
    assert led.returned == [{"result": {}}]


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize(
    "words",
    [
        "failed to load cache key: repository not found",
        "dial unix /run/agent: connect: no such file or directory",
        "lstat another/f: no such file or directory: and more",
        "lstat x-sub/f: no such file or directory",
        "lstat sub/f: permission denied",
    ],
)
def test_what_else_goes_wrong_is_no_absence(
    daemon: ScriptedBuildKit, client: Client, words: str
) -> None:
    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, words)

    daemon.bridge["StatFile"] = refuse

    with pytest.raises(BuildError, match=words):
        read(client)


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("mode", [0x80000000 | 0o755, 0x02000000, 0x08000000])
def test_a_folder_or_pipe_is_not_opened(
    daemon: ScriptedBuildKit, client: Client, mode: int
) -> None:
    daemon.bridge["StatFile"] = lambda _: {"stat": {"mode": mode}}

    with pytest.raises(ContextError, match="^failed to read sub/f: not a regular file$"):
        read(client)
    assert "bridge.ReadFile" not in dict(daemon.requests)
