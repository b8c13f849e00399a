from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.errors import ContextError
from dockyard.fsutil.patterns import Matcher
from dockyard.fsutil.tree import Tree
from dockyard.fsutil.walk import Entry, Walk


def walk(root: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[Entry]:
    with Tree(root) as tree:
        found = Walk(tree, root, include=Matcher(include), exclude=Matcher(exclude))
        return [entry for entry in found if entry is not None]


def paths(root: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    return [entry.path.decode() for entry in walk(root, include, exclude)]


def by_path(root: Path) -> dict[str, Entry]:
    return {entry.path.decode(): entry for entry in walk(root)}


def plant(root: Path, *names: str) -> None:
    for name in names:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            place.mkdir(exist_ok=True)
        else:
            place.write_text(name)


def test_order_is_by_the_bytes_of_each_component(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c", "a-b", "a.txt", "a0", "ab", "B", "\u00e4", "\uffff", "\U0001f600")

    expected = ["B", "a", "a/b", "a/b/c", "a-b", "a.txt", "a0", "ab"]
    assert paths(tmp_path) == [*expected, "\u00e4", "\uffff", "\U0001f600"]


def test_files_and_directories_are_told_as_they_are(tmp_path: Path) -> None:
    plant(tmp_path, "d/f")
    (tmp_path / "d/f").chmod(0o4751)
    os.utime(tmp_path / "d/f", ns=(0, 1_234_567_890_123_456_789))
    os.utime(tmp_path / "d", ns=(0, -5))

    found = by_path(tmp_path)

    assert found["d"].mode == 0x80000000 | stat.S_IMODE((tmp_path / "d").stat().st_mode)
    assert (found["d"].size, found["d"].mtime_ns) == (0, -5)
    assert found["d/f"].mode == 0x00800000 | 0o751
    assert (found["d/f"].size, found["d/f"].mtime_ns) == (3, 1_234_567_890_123_456_789)
    assert (found["d/f"].link, found["d/f"].device) == (b"", (0, 0))


def test_symbolic_links_carry_their_raw_text(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("../some//where/./")
    (tmp_path / "loop").symlink_to("loop")

    found = by_path(tmp_path)

    assert found["link"].link == b"../some//where/./"
    assert found["link"].mode == 0x08000000 | 0o777
    assert found["link"].size == len("../some//where/./")
    assert found["loop"].link == b"loop"


def test_loop_through_a_directory_is_not_walked_into(tmp_path: Path) -> None:
    plant(tmp_path, "d/f")
    (tmp_path / "d/up").symlink_to("..")

    assert paths(tmp_path) == ["d", "d/f", "d/up"]


def test_pipe_and_socket_are_listed_without_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        (tmp_path / "sock").chmod(0o755)

        found = by_path(tmp_path)

    assert (found["pipe"].mode, found["pipe"].size) == (0x02000000 | 0o600, 0)
    assert (found["sock"].mode, found["sock"].size) == (0o755, 0)
    assert not found["pipe"].readable
    assert not found["sock"].readable


def test_devices_carry_their_numbers(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    except PermissionError:
        pytest.skip("making devices needs a privilege")

    found = by_path(tmp_path)

    assert (found["null"].mode, found["null"].device) == (0x04200000 | 0o600, (1, 3))
    assert (found["disk"].mode, found["disk"].device) == (0x04000000 | 0o600, (259, 70000))


def test_later_names_of_a_file_are_links_to_the_first(tmp_path: Path) -> None:
    plant(tmp_path, "a/x")
    for name in ("b", "c"):
        os.link(tmp_path / "a/x", tmp_path / name)

    found = by_path(tmp_path)

    assert (found["a/x"].link, found["a/x"].size) == (b"", 3)
    assert [(found[name].link, found[name].size) for name in "bc"] == [(b"a/x", 0)] * 2


def test_first_name_that_survives_the_filter_holds_the_content(tmp_path: Path) -> None:
    plant(tmp_path, "a/x")
    for name in ("b", "c"):
        os.link(tmp_path / "a/x", tmp_path / name)

    entries = walk(tmp_path, exclude=("a",))

    assert [(e.path, e.link, e.size) for e in entries] == [(b"b", b"", 3), (b"c", b"b", 0)]


def test_extended_attributes_are_read(tmp_path: Path) -> None:
    plant(tmp_path, "d/f")
    try:
        os.setxattr(tmp_path / "d/f", "user.color", b"\0blue")
    except OSError as exc:
        pytest.skip(f"this file system has no extended attributes: {exc}")
    os.setxattr(tmp_path / "d", "user.com.apple.x", b"1")
    os.setxattr(tmp_path / "d/f", "user.empty", b"")

    found = by_path(tmp_path)

    assert found["d/f"].xattrs == {b"user.color": b"\0blue", b"user.empty": b""}
    assert found["d"].xattrs == {b"user.com.apple.x": b"1"}


def test_dropped_directory_is_sent_for_what_is_kept_in_it(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/keep", "a/b/drop", "a/c/drop", "z")
    os.utime(tmp_path / "a", ns=(0, 77))

    entries = walk(tmp_path, exclude=("*", "!a/b/keep"))

    assert [entry.path for entry in entries] == [b"a", b"a/b", b"a/b/keep"]
    assert entries[0].mtime_ns == 77


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), "a a/x.c a/x.md b b/c b/c/y.md top.md"),
        (("a",), (), "a a/x.c a/x.md"),
        (("b/c/y.md",), (), "b b/c b/c/y.md"),
        (("**/*.md",), (), "a a/x.md b b/c b/c/y.md top.md"),
        (("*",), ("b",), "a a/x.c a/x.md top.md"),
        (("a", "b"), ("**/*.md",), "a a/x.c b b/c"),
        (("nothing",), (), ""),
        ((), ("**",), ""),
        ((), ("*", "!**/*.c"), "a a/x.c"),
        (("./a/", " top.md "), (), "a a/x.c a/x.md top.md"),
    ],
)
def test_filters_choose_what_is_sent(
    tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...], expected: str
) -> None:
    plant(tmp_path, "a/x.c", "a/x.md", "b/c/y.md", "top.md")

    assert " ".join(paths(tmp_path, include, exclude)) == expected


def test_directories_that_cannot_match_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "keep/f", "keep/deep/g", *(f"node_modules/m{n}/f" for n in range(20)))
    read: list[bytes] = []
    opened = Tree.directory

    def watch(self: Tree, path: bytes) -> int:
        read.append(path)
        return opened(self, path)

    monkeypatch.setattr(Tree, "directory", watch)

    assert paths(tmp_path, exclude=("*", "!keep/f")) == ["keep", "keep/f"]
    assert set(read) == {b"", b"keep"}


def test_name_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with open(bytes(tmp_path) + b"/d/caf\xe9\n", "w"):  # noqa: PTH123
        pass

    with pytest.raises(ContextError, match=r'the file name ".*/d/caf\\xe9\\n" is not valid UTF-8'):
        walk(tmp_path)


def test_excluded_name_that_is_not_utf_8_does_not_matter(tmp_path: Path) -> None:
    for name in (b"/caf\xe9", b"/d\xff"):
        os.mkdir(bytes(tmp_path) + name)  # noqa: PTH102
    plant(tmp_path, "f")

    assert paths(tmp_path, exclude=("caf*", "d?")) == ["f"]


def test_link_target_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    os.symlink(b"\xff", bytes(tmp_path) + b"/link")  # noqa: PTH211

    with pytest.raises(ContextError, match=r'link ".*/link" leads to "\\xff", which is not valid'):
        walk(tmp_path)


def test_missing_root_is_the_trees_matter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tree(tmp_path / "missing")


def entries_one_by_one(root: Path) -> Iterator[Entry]:
    tree = Tree(root)
    yield from (entry for entry in Walk(tree, root) if entry is not None)
    tree.close()


def test_entries_that_vanish_meanwhile_are_skipped(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "d/x", "e/y", "f")
    found = entries_one_by_one(tmp_path)

    seen = [next(found).path]
    (tmp_path / "b").unlink()
    (tmp_path / "e/y").unlink()
    (tmp_path / "e").rmdir()
    seen += [entry.path for entry in found]

    assert seen == [b"a", b"d", b"d/x", b"f"]


def test_directory_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    plant(tmp_path, "root/a", "root/d/inside", "outside/secret")
    root = tmp_path / "root"
    found = entries_one_by_one(root)

    seen = [next(found).path, next(found).path]
    (root / "d").rename(tmp_path / "moved")
    (root / "d").symlink_to("../outside")
    seen += [entry.path for entry in found]

    assert seen == [b"a", b"d"]


def test_deep_tree_is_walked_with_few_descriptors(tmp_path: Path) -> None:
    depth = 200
    (tmp_path / "/".join(["d"] * depth)).mkdir(parents=True)
    (tmp_path / "d/d/z").touch()

    found = paths(tmp_path)

    assert len(found) == depth + 1
    assert found[-1] == "d/d/z"


def test_long_stretch_of_dropped_names_has_pauses(tmp_path: Path) -> None:
    for number in range(2500):
        (tmp_path / f"f{number}").touch()

    with Tree(tmp_path) as tree:
        found = list(Walk(tree, tmp_path, exclude=Matcher(["*"])))

    assert found.count(None) >= 3
    assert set(found) == {None}


UNREADABLE = """
import os, sys
from pathlib import Path
from dockyard.errors import ContextError
from dockyard.fsutil.patterns import Matcher
from dockyard.fsutil.tree import Tree
from dockyard.fsutil.walk import Walk
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
root = Path(sys.argv[1])
try:
    with Tree(root) as tree:
        walk = Walk(tree, root, exclude=Matcher(sys.argv[2:]))
        print(*[entry.path.decode() for entry in walk if entry])
except ContextError as exc:
    print("ContextError:", exc)
"""


def walk_as_nobody(root: Path, *exclude: str) -> str:
    """Walk in a process without the privileges of root, for which nothing is unreadable."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE, str(root), *exclude],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return done.stdout.strip()


@pytest.fixture
def closed(public_path: Path) -> Path:
    """A tree that others may read, but for one directory in it."""
    root = public_path / "root"
    plant(root, "a", "secret/x", "z")
    (root / "secret").chmod(0)
    return root


def test_unreadable_directory_is_an_error_that_names_it(closed: Path) -> None:
    said = walk_as_nobody(closed)

    assert said == f'ContextError: cannot read "{closed}/secret": permission denied'


def test_unreadable_directory_that_is_excluded_does_not_matter(closed: Path) -> None:
    assert walk_as_nobody(closed, "secret") == "a z"
    assert walk_as_nobody(closed, "secret", "!**/x") == "a z"


names = st.text("ab-.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=12))
def test_any_tree_is_listed_in_the_order_of_its_components(
    tmp_path_factory: pytest.TempPathFactory, wanted: set[str]
) -> None:
    root = tmp_path_factory.mktemp("walk")
    for path in wanted:
        (root / path).mkdir(parents=True, exist_ok=True)

    found = paths(root)

    everything = {str(place.relative_to(root)) for place in root.rglob("*")}
    assert found == sorted(everything, key=lambda path: path.encode().split(b"/"))
