"""Everybody whom Amazon's library asks for credentials, each asked over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.building.caches.aws_chain import find
from support.amazon import Amazon, amazon, role


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Amazon]:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The library waits for one second, which a busy machine may take.
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "45")
    with amazon() as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", found.url)
        yield found


def found(kind: str) -> dict[str, str]:
    return dict(
        zip(("access_key_id", "secret_access_key", "session_token"), role(kind), strict=True)
    )


def test_a_web_identity_becomes_a_role(
    service: Amazon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("proof")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")

    assert find() == found("AssumeRoleWithWebIdentity")
    (request,) = service.requests
    assert request.form["WebIdentityToken"] == "proof"
    assert request.form["RoleArn"] == "arn:aws:iam::1:role/r"


def test_a_container_has_a_role(service: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "proof")

    assert find() == found("container")
    (request,) = service.requests
    assert request.headers["Authorization"] == "proof"


def test_a_machine_has_a_role(service: Amazon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)

    assert find() == found("machine")
    assert [request.method for request in service.requests] == ["PUT", "GET", "GET"]


def test_a_program_gives_credentials(service: Amazon, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    values = dict(zip(names, role("program"), strict=True))
    (tmp_path / "answer").write_text(json.dumps({"Version": 1, **values}))
    (tmp_path / ".aws/config").write_text(
        f"[default]\ncredential_process = cat {tmp_path}/answer\n"
    )

    assert find() == found("program")
    assert service.requests == []


def test_nobody_may_have_any(service: Amazon) -> None:
    assert find() == {}
    assert service.requests == []


def test_a_file_that_is_not_there_is_named(
    service: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")

    assert find() == {"error": "/nonexistent/token: No such file or directory"}
    assert service.requests == []
