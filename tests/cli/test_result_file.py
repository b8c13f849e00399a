from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dockyard.cli.result_file import remove_image_id, write_image_id, write_metadata
from dockyard.errors import InputError


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "meta").write_text("an older and longer one")
    (tmp_path / "iid").write_text("an older and longer one")

    write_metadata(tmp_path, "meta", "new")
    write_image_id(tmp_path, "iid", "sha256:00")

    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"meta": "new", "iid": "sha256:00"}


def test_half_a_character_of_a_daemon_is_written_as_json_has_it(tmp_path: Path) -> None:
    text = json.dumps({"é": "\ud800"}, ensure_ascii=False)

    write_metadata(tmp_path, "meta", text)

    assert json.loads((tmp_path / "meta").read_text()) == {"é": "\ud800"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/", "cannot write to a directory"),
        (".", "cannot write to a directory"),
        ("missing/meta", "invalid output path: stat missing: no such file or directory"),
        ("file/meta", "invalid output path: stat file: not a directory"),
        ("link", "cannot write to a symbolic link directly"),
        ("fifo", r"cannot write to a named pipe \(FIFO\)"),
        ("/dev/null", "cannot write to a character device file"),
        ("x" * 300, "failed to write the metadata file x+: file name too long"),
    ],
)
def test_metadata_goes_into_plain_files_only(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(InputError, match=f"^{words}$"):
        write_metadata(tmp_path, name, "text")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "file", "link"]
    assert (tmp_path / "file").read_text() == ""


def test_an_image_id_of_an_earlier_build_is_removed(tmp_path: Path) -> None:
    (tmp_path / "iid").touch()

    remove_image_id(tmp_path, "iid")
    remove_image_id(tmp_path, "iid")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "why"), [("full", "directory not empty"), ("full/file/iid", "not a directory")]
)
def test_what_cannot_be_removed_is_named(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()

    with pytest.raises(InputError, match=f"^removing image ID file: remove {name}: {why}$"):
        remove_image_id(tmp_path, name)


def test_a_missing_directory_gets_no_image_id(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="^writing image ID file: open no/iid: no such file or directory$"
    ):
        write_image_id(tmp_path, "no/iid", "sha256:00")


def test_a_device_takes_an_image_id_and_stays_what_it_is(tmp_path: Path) -> None:
    remove_image_id(tmp_path, "/dev/null")
    write_image_id(tmp_path, "/dev/null", "sha256:00")

    assert Path("/dev/null").is_char_device()
