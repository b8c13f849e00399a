from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.cli.commands import build
from dockyard.cli.parser import Options
from dockyard.driver import BuildResult
from dockyard.errors import InputError, ProtocolError


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "meta").write_text("an older and longer one")

    build._replace(tmp_path / "meta", "new")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("meta", "new")]


def test_half_a_character_of_a_daemon_is_written_as_json_has_it(tmp_path: Path) -> None:
    text = json.dumps({"é": "\ud800"}, ensure_ascii=False)

    build._replace(tmp_path / "meta", text)

    assert json.loads((tmp_path / "meta").read_text()) == {"é": "\ud800"}


@pytest.mark.parametrize("path", ["/", ".", "..", "missing/meta"])
def test_a_path_that_cannot_be_a_file_is_named(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=f"^cannot write {path}: "):
        build._replace(Path(path), "text")
    assert list(tmp_path.iterdir()) == []


def test_an_image_id_cannot_be_something_that_a_terminal_obeys() -> None:
    good, bad = (
        BuildResult(ref="", response={"containerimage.digest": text})
        for text in ("sha256:00", "sha256:00\x1b[2J")
    )

    assert build._image_id(good) == "sha256:00"
    with pytest.raises(ProtocolError, match="makes no sense"):
        build._image_id(bad)
    assert build._readable("a\tb\n\x1b[2Jc\r") == "a\tb\n[2Jc"


@pytest.mark.parametrize(
    ("mode", "quiet", "expected"),
    [("", False, "auto"), ("", True, "quiet"), ("plain", False, "plain")],
)
def test_an_empty_progress_mode_is_the_default(mode: str, quiet: bool, expected: str) -> None:
    assert build._progress_mode(Options(progress=mode, quiet=quiet)) == expected
