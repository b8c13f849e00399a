"""Tests for the state directory: real files, locks and modes."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.builder.directory import StateDirectory
from dockyard.config import Owner
from dockyard.errors import StoreError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "deep" / "state")


def test_the_lock_makes_the_directory_and_an_empty_lock_file(directory: StateDirectory) -> None:
    with directory.locked():
        assert (directory.path / ".lock").read_bytes() == b""

    assert mode(directory.path / ".lock") == 0o600
    assert mode(directory.path) == 0o700
    assert mode(directory.path.parent) == 0o700


def test_the_lock_is_an_flock_that_other_processes_see(directory: StateDirectory) -> None:
    attempt = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1])\n"
        "try:\n    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError:\n    sys.exit(9)\n"
    )
    command = [sys.executable, "-c", attempt, str(directory.path / ".lock")]

    with directory.locked():
        while_locked = subprocess.run(command, check=False).returncode
    afterwards = subprocess.run(command, check=False).returncode

    assert (while_locked, afterwards) == (9, 0)


def test_the_lock_is_let_go_when_the_block_fails(directory: StateDirectory) -> None:
    with pytest.raises(ZeroDivisionError), directory.locked():
        raise ZeroDivisionError

    with (directory.path / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_files_are_private_whatever_the_umask(directory: StateDirectory) -> None:
    before = os.umask(0)
    try:
        directory.replace("defaults/x", b"1")
        directory.replace("refs/b/n/1", b"2", mode=0o644)
    finally:
        os.umask(before)

    assert mode(directory.path / "defaults/x") == 0o600
    assert mode(directory.path / "defaults") == 0o700
    assert mode(directory.path / "refs/b/n/1") == 0o644


def test_replacing_leaves_no_temporary_file_behind(directory: StateDirectory) -> None:
    directory.replace("instances/a", b"1")
    directory.replace("instances/a", b"2")

    assert directory.read("instances/a") == b"2"
    assert directory.names("") == ["instances"]
    assert directory.names("instances") == ["a"]


_CRASH = """
import os, sys
from pathlib import Path
from dockyard.builder.directory import StateDirectory

sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" else None)
StateDirectory(Path(sys.argv[1])).replace("instances/a", b"new")
"""


def test_a_crash_while_writing_leaves_the_old_record_and_nothing_beside_it(
    directory: StateDirectory,
) -> None:
    directory.replace("instances/a", b"old")

    died = subprocess.run([sys.executable, "-c", _CRASH, directory.path], check=False).returncode

    assert died == 9
    assert directory.read("instances/a") == b"old"
    assert directory.names("instances") == ["a"]
    assert len(directory.names("")) == 2


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from dockyard.builder.directory import StateDirectory
from dockyard.errors import StoreError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    StateDirectory(Path(sys.argv[1])).replace("instances/a", b"x" * 100)
except StoreError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_takes_no_more_leaves_the_old_record_and_no_temporary_file(
    directory: StateDirectory,
) -> None:
    directory.replace("instances/a", b"old")

    failed = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, directory.path],
        check=False,
        capture_output=True,
        text=True,
    )

    assert failed.stderr == f"{directory.path}/instances/a: file too large\n"
    assert directory.read("instances/a") == b"old"
    assert directory.names("") == ["instances"]


def test_a_failed_replacement_keeps_the_old_content(directory: StateDirectory) -> None:
    directory.replace("current", b"old")

    with pytest.raises(TypeError):
        directory.replace("current", "no bytes")  # type: ignore[arg-type]  # fails while writing

    assert directory.read("current") == b"old"
    assert directory.names("") == ["current"]


def test_a_symbolic_link_is_not_written_through(directory: StateDirectory, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    directory.make("instances")
    (directory.path / "instances" / "a").symlink_to(target)

    with pytest.raises(StoreError, match="a is a symbolic link and is not written through"):
        directory.replace("instances/a", b"x")

    assert target.read_text() == "keep"


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_regular_file_is_neither_read_nor_replaced(
    directory: StateDirectory, kind: str
) -> None:
    directory.make("instances")
    place = directory.path / "instances" / "a"
    place.mkdir() if kind == "directory" else os.mkfifo(place)

    with pytest.raises(StoreError, match="not a regular file"):
        directory.replace("instances/a", b"x")
    with pytest.raises(StoreError, match="not a regular file"):
        directory.read("instances/a")


def test_a_file_that_is_not_there_reads_as_none(directory: StateDirectory) -> None:
    assert directory.read("nothing") is None
    assert directory.read("nothing/below") is None
    assert directory.names("nothing") == []
    assert not directory.remove("nothing")


def test_a_name_that_is_too_long_is_an_error_of_ours(directory: StateDirectory) -> None:
    with pytest.raises(StoreError, match="file name too long"):
        directory.replace(f"instances/{'a' * 300}", b"x")


def test_a_state_directory_below_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(StoreError, match="not a directory|file exists"),
        StateDirectory(tmp_path / "file" / "state").locked(),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_everything_made_is_given_to_the_person_behind_sudo(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state", owner=Owner(uid=12345, gid=23456))

    with directory.locked():
        directory.replace("instances/a", b"x")

    made = [directory.path, *directory.path.rglob("*")]
    assert len(made) == 4
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in made} == {(12345, 23456)}
