"""Finding the engine that a machine already has, in the order in which Docker's CLI looks."""

from __future__ import annotations

import hashlib
import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import existing


class Pong(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK")


@pytest.fixture
def answering() -> Iterator[str]:
    """The host of something that answers like an engine."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/e.sock"
        with socketserver.UnixStreamServer(path, Pong) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"unix://{path}"
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty configuration folder, and no variable that leads to the machine's own engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(existing, "DEFAULT_SOCKET", f"unix://{tmp_path}/none.sock")
    return tmp_path


def write_docker_context(config: Path, name: str, host: str) -> None:
    folder = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(meta))


def test_docker_host_is_used_when_it_answers(
    answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", answering)

    found = existing.find()

    assert found is not None
    assert (found.host, found.docker_context, found.found) == (answering, "default", "DOCKER_HOST")


def test_the_default_socket_is_used_when_nothing_is_set(
    answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(existing, "DEFAULT_SOCKET", answering)

    found = existing.find()

    assert found is not None
    assert found.host == answering


def test_the_current_docker_context_is_used(answering: str, nothing_set: Path) -> None:
    write_docker_context(nothing_set, "far", answering)
    (nothing_set / "config.json").write_text('{"currentContext": "far"}')

    found = existing.find()

    assert found is not None
    assert (found.host, found.docker_context) == (answering, "far")


def test_a_set_host_that_is_silent_is_not_replaced_by_the_default(
    answering: str, monkeypatch: pytest.MonkeyPatch, nothing_set: Path
) -> None:
    monkeypatch.setattr(existing, "DEFAULT_SOCKET", answering)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{nothing_set}/gone.sock")

    assert existing.find() is None


@pytest.mark.parametrize("config", ["", "[]", '{"currentContext": "unknown"}'])
def test_a_damaged_configuration_finds_nothing(config: str, nothing_set: Path) -> None:
    (nothing_set / "config.json").write_text(config)

    assert existing.find() is None
