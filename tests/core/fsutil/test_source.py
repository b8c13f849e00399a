from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.errors import ContextError
from dockyard.fsutil import DirectoryRoot, VirtualRoot
from dockyard.fsutil.source import Source, open_source


def opened(root: DirectoryRoot | VirtualRoot) -> Source:
    return open_source(root, include=(), exclude=(), follow=())


def test_reading_does_not_lead_the_walk_astray(tmp_path: Path) -> None:
    for path in ("d/a", "d/b", "d/c", "e/x"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    source = opened(DirectoryRoot(path=tmp_path))

    seen = []
    for entry in source.entries():
        if entry is None:
            continue
        seen.append(entry.path)
        content = source.open(b"e/x")
        assert content.read(9) == b"e/x"
        content.close()
    source.close()

    assert seen == [b"d", b"d/a", b"d/b", b"d/c", b"e", b"e/x"]


def test_directory_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    source = opened(DirectoryRoot(path=tmp_path))

    with pytest.raises(ContextError, match=r'^cannot read ".*/d": not a regular file any more$'):
        source.open(b"d")
    source.close()


def test_memory_is_read_in_pieces() -> None:
    content = opened(VirtualRoot(files={"a": b"12345"})).open(b"a")
    buffer = memoryview(bytearray(4))

    assert (content.size, content.read(2)) == (5, b"12")
    assert (content.read_into(buffer), bytes(buffer[:3])) == (3, b"345")
    assert (content.read_into(buffer), content.read(1)) == (0, b"")
