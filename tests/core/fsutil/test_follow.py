from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dockyard.fsutil.follow import NoLinks, TreeLinks, follow_paths, include_list
from dockyard.fsutil.tree import Tree


def plant(root: Path, *paths: str) -> None:
    """Make files, directories (``a/``) and links (``a -> b``)."""
    for path in paths:
        name, _, target = path.partition(" -> ")
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            place.symlink_to(target)
        elif name.endswith("/"):
            place.mkdir(exist_ok=True)
        else:
            place.touch()


def follow(root: Path, *paths: str) -> list[str]:
    with Tree(root) as tree:
        return list(follow_paths(TreeLinks(tree), paths))


@pytest.mark.parametrize(
    ("tree", "paths", "expected"),
    [
        (["a/b"], ["a/b"], ["a/b"]),
        ([], ["missing/x"], ["missing/x"]),
        (["a/b"], ["/a/./b/"], ["a/b"]),
        (["v2/app", "now -> v2"], ["now/app"], ["now", "v2/app"]),
        (["v2/app", "now -> v2"], ["now/app", "now/lib"], ["now", "v2/app", "v2/lib"]),
        (["real", "d/link -> ../real"], ["d/link"], ["d/link", "real"]),
        (["real", "d/link -> /real"], ["d/link"], ["d/link", "real"]),
        (["a -> b", "b -> c", "c"], ["a"], ["a", "b", "c"]),
        (["d/a -> ../../../../etc/passwd"], ["d/a"], ["d/a", "etc/passwd"]),
        (["a -> /etc/passwd"], ["a"], ["a", "etc/passwd"]),
        ([], ["../../etc/passwd"], ["etc/passwd"]),
        (["a -> missing"], ["a/x"], ["a", "missing/x"]),
        (["x/l1 -> ../t1", "x/l2 -> ../t2", "x/o -> ../t3", "x/f"], ["x/l*"], ["t1", "t2", "x/l*"]),
        (["x/l1 -> ../t1", "t1/f"], ["x/*/f"], ["t1/f", "x/*"]),
        (["x/f"], ["x/*"], ["x/*"]),
        (["x/f"], ["x/*/y"], ["x/*/y"]),
        (["x/f"], ["x/[", "x/[a-]"], ["x/[", "x/[a-]"]),
        (["a/b/c"], ["a", "a/b", "a/b/c", "a-b"], ["a", "a-b"]),
        (["here -> ."], ["here"], [".", "here"]),
    ],
)
def test_links_are_followed_inside_the_root(
    tmp_path: Path, tree: Sequence[str], paths: Sequence[str], expected: Sequence[str]
) -> None:
    plant(tmp_path, *tree)

    assert follow(tmp_path, *paths) == expected


@pytest.mark.parametrize(
    "tree", [["a -> a"], ["a -> b", "b -> a"], ["a -> a/x"], ["a -> b/y", "b -> a/z"]]
)
def test_loop_of_links_comes_to_an_end(tmp_path: Path, tree: Sequence[str]) -> None:
    plant(tmp_path, *tree)

    assert "a" in follow(tmp_path, "a")


def test_many_links_to_one_place_are_followed_once(tmp_path: Path) -> None:
    plant(tmp_path, *(f"l{n} -> ." for n in range(10)))

    assert follow(tmp_path, "/".join(["l*"] * 20) + "/x") == ["l*", "x"]


def test_directory_outside_is_not_listed_through_a_link(tmp_path: Path) -> None:
    plant(tmp_path, "outside/secret -> /x", "root/out -> ../outside")

    assert follow(tmp_path / "root", "out/*") == ["out", "outside/*"]


def test_link_whose_name_is_not_utf_8_is_followed(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/l\xe9")).symlink_to("target")

    assert follow(tmp_path, "l*") == ["l*", "target"]


@pytest.mark.parametrize(
    ("include", "follow", "expected"),
    [
        ([], [], ()),
        (["a"], [], ("a",)),
        ([], ["b", "a"], ("a", "b")),
        (["*.md", "!x"], ["a", "*.md"], ("*.md", "!x", "a")),
        (["a"], ["."], ()),
        (["./"], ["a"], ()),
    ],
)
def test_followed_paths_join_the_include_list(
    include: list[str], follow: list[str], expected: tuple[str, ...]
) -> None:
    assert include_list(NoLinks(), include, follow) == expected
