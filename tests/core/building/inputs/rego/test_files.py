from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.building.inputs.rego.files import NoFileError, PolicyFiles
from dockyard.errors import InputError


@pytest.fixture
def files(tmp_path: Path) -> PolicyFiles:
    context, here = tmp_path / "context", tmp_path / "here"
    for folder, content in ((context, b"in context"), (here, b"here"), (tmp_path, b"outside")):
        folder.mkdir(exist_ok=True)
        (folder / "p.rego").write_bytes(content)
    return PolicyFiles(context, here)


def test_a_file_lies_in_the_context_or_where_we_are(files: PolicyFiles, tmp_path: Path) -> None:
    assert files.read("p.rego") == b"in context"
    assert files.read(f"{tmp_path}/context/p.rego") == b"in context"
    assert files.read("cwd://p.rego") == b"here"


@pytest.mark.parametrize("name", ["../p.rego", "link.rego", "folder/p.rego", "cwd://../p.rego"])
def test_nothing_outside_is_read(files: PolicyFiles, tmp_path: Path, name: str) -> None:
    (tmp_path / "context/link.rego").symlink_to(tmp_path / "p.rego")
    (tmp_path / "context/folder").symlink_to(tmp_path)

    with pytest.raises(InputError, match="it lies outside of"):
        files.read(name)


def test_an_absolute_path_elsewhere_is_refused(files: PolicyFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it lies outside of"):
        files.read(f"{tmp_path}/p.rego")


def test_what_is_not_there_is_told(files: PolicyFiles) -> None:
    with pytest.raises(NoFileError, match="^policy file nope.rego not found$"):
        files.read("nope.rego")


def test_of_an_archive_only_files_from_here_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.rego").write_bytes(b"x")
    files = PolicyFiles(None, tmp_path)

    assert files.read("cwd://p.rego") == b"x"
    with pytest.raises(NoFileError, match="the build context is an archive"):
        files.read("p.rego")


def test_a_pipe_and_what_is_too_long_are_refused(files: PolicyFiles, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "context/pipe")
    (tmp_path / "context/long").write_bytes(b"x" * 2049)

    with pytest.raises(InputError, match="not a regular file"):
        files.read("pipe")
    with pytest.raises(InputError, match="more than 2 KiB"):
        files.read("long", 2048)
    with pytest.raises(InputError, match="failed to read policy file"):
        files.read("a\0b")
