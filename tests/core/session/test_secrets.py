from __future__ import annotations

import os
import threading
from pathlib import Path

import grpc
import pytest

from core.session.daemon import Daemon, serving
from dockyard.errors import InputError
from dockyard.session.secrets import MAX_SECRET, Secrets

GET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"


def get(running: Daemon, name: str) -> object:
    request = ("moby.buildkit.secrets.v1.GetSecretRequest", {"ID": name})
    return running.ask(GET, request, "moby.buildkit.secrets.v1.GetSecretResponse").get("data", b"")


def test_a_value_is_given_by_its_id() -> None:
    with serving(Secrets({"token": b"\0hush"})) as (running, _):
        assert get(running, "token") == b"\0hush"


def test_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"early")
    secrets = Secrets({"file": str(path)})
    path.write_bytes(b"late")

    with serving(secrets) as (running, _):
        assert get(running, "file") == b"late"


def test_a_secret_may_be_empty() -> None:
    with serving(Secrets({"none": b""})) as (running, _):
        assert get(running, "none") == b""


def test_the_largest_secret_is_given() -> None:
    with serving(Secrets({"big": b"x" * MAX_SECRET})) as (running, _):
        assert get(running, "big") == b"x" * MAX_SECRET


def test_an_unknown_secret_is_not_found() -> None:
    with serving(Secrets({})) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            get(running, "nosuch")

        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert session.failed is None


def test_a_file_that_vanished_is_told(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    secrets = Secrets({"file": str(path)})
    path.unlink()

    with serving(secrets) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            get(running, "file")

        assert caught.value.code() == grpc.StatusCode.UNKNOWN
        assert str(session.failed) == (
            f"secret file cannot be read from {path}: no such file or directory"
        )


def test_a_pipe_can_hold_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"hush"))
    writer.start()

    with serving(Secrets({"pipe": str(path)})) as (running, _):
        assert get(running, "pipe") == b"hush"
    writer.join()


def test_a_file_that_grew_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    secrets = Secrets({"file": str(path)})
    path.write_bytes(b"x" * (MAX_SECRET + 1))

    with (
        serving(secrets) as (running, _),
        pytest.raises(grpc.RpcError, match="too big. max size 500KiB"),
    ):
        get(running, "file")


def test_a_missing_file_is_told_before_anything_is_sent() -> None:
    with pytest.raises(
        InputError, match=r"^failed to stat nosuch: stat nosuch: no such file or directory$"
    ):
        Secrets({"x": "nosuch"})


def test_a_directory_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        Secrets({"x": str(tmp_path)})


def test_what_is_too_large_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x" * (MAX_SECRET + 1))

    for secret in (str(path), b"x" * (MAX_SECRET + 1)):
        with pytest.raises(InputError, match="secret big too big. max size 500KiB"):
            Secrets({"big": secret})


def test_values_are_not_in_the_repr() -> None:
    assert repr(Secrets({"b": b"hush", "a": b"hush"})) == "Secrets(['a', 'b'])"


def test_a_malformed_request_is_refused() -> None:
    with serving(Secrets({})) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            running.unary(GET, b"\x0a\xff")

        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_pipe_that_nobody_writes_to_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.session.secrets._PATIENCE", 0.05)
    os.mkfifo(tmp_path / "pipe")

    with (
        serving(Secrets({"x": "pipe"}, tmp_path)) as (running, session),
        pytest.raises(grpc.RpcError, match="secret x: nobody writes to pipe"),
    ):
        get(running, "x")

    assert isinstance(session.failed, InputError)


def test_paths_are_relative_to_the_given_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hush")

    with serving(Secrets({"x": "file"}, tmp_path)) as (running, _):
        assert get(running, "x") == b"hush"


def test_a_secret_without_an_id_is_told() -> None:
    with pytest.raises(InputError, match=r"^secret missing ID$"):
        Secrets({"": b"x"})
