"""When a test is skipped for want of an engine, and when that is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import engine
from tools.report import DevError

from support.engines import Engines


@pytest.fixture(autouse=True)
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no engine can be started, and none is named."""
    monkeypatch.setattr(engine, "why_not", lambda: "starting an engine needs root")
    monkeypatch.delenv("DOCKYARD_TEST_DOCKER_HOST", raising=False)


def test_a_test_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKYARD_TEST_ENGINES", raising=False)

    with pytest.raises(pytest.skip.Exception, match="needs root"):
        Engines(tmp_path, None).get("20.10")


def test_a_test_fails_where_engines_are_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKYARD_TEST_ENGINES", "required")

    with pytest.raises(DevError, match="needs root"):
        Engines(tmp_path, None).get("20.10")
