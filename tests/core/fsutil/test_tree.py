from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.fsutil.tree import NotRegularError, Tree


def names(tree: Tree, path: bytes) -> list[str]:
    with os.scandir(tree.directory(path)) as found:
        return sorted(item.name for item in found)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_directories_are_reached_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f").touch()
    (tmp_path / "c").mkdir()

    with Tree(tmp_path) as tree:
        assert names(tree, b"a/b") == ["f"]
        assert names(tree, b"") == ["a", "c"]
        assert names(tree, b"c") == []
        assert names(tree, b"a") == ["b"]


def test_failed_step_does_not_lose_the_place(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)

    with Tree(tmp_path) as tree:
        with pytest.raises(FileNotFoundError):
            tree.directory(b"a/b/missing/x")
        assert names(tree, b"") == ["a"]
        assert names(tree, b"a") == ["b"]
        assert names(tree, b"a/b") == []


def test_very_deep_directories_take_a_bounded_number_of_descriptors(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 300)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "f").touch()
    before = open_descriptors()

    with Tree(tmp_path) as tree:
        assert names(tree, deep.encode()) == ["f"]
        assert names(tree, deep[:-2].encode()) == ["d"]
        assert len(open_descriptors() - before) < 80
    assert open_descriptors() <= before  # others' may be closed meanwhile


@pytest.mark.parametrize("path", [b"link", b"link/x", b"a/up/x"])
def test_link_is_never_walked_through(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "outside/x").mkdir(parents=True)
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to("../outside")
    (tmp_path / "root/a/up").symlink_to("../../outside")

    with Tree(tmp_path / "root") as tree, pytest.raises(NotADirectoryError):
        tree.directory(path)


@pytest.mark.parametrize("path", [b"..", b"a/..", b"/etc", b"a//b", b"."])
def test_path_that_is_not_plain_is_a_mistake_of_the_caller(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "a").mkdir()

    with Tree(tmp_path) as tree, pytest.raises(ValueError, match="no name of an entry"):
        tree.directory(path)


def test_file_is_opened_and_a_link_to_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    (tmp_path / "link").symlink_to("f")

    with Tree(tmp_path) as tree:
        fd, status = tree.open_file(b"f")
        assert (os.read(fd, 9), status.st_size) == (b"hello", 5)
        os.close(fd)
        with pytest.raises(OSError, match="symbolic links"):
            tree.open_file(b"link")


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "d").mkdir()
    before = open_descriptors()

    with Tree(tmp_path) as tree:
        with pytest.raises(NotRegularError, match="not a regular file"):
            tree.open_file(b"pipe")
        with pytest.raises(NotRegularError, match="not a regular file"):
            tree.open_file(b"d")
    assert open_descriptors() <= before  # others' may be closed meanwhile


def test_twin_has_its_own_place_and_its_own_end(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    tree = Tree(tmp_path)
    twin = tree.twin()

    tree.directory(b"a")
    tree.close()
    tree.close()

    assert names(twin, b"a") == ["b"]
    twin.close()
