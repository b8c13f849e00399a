from __future__ import annotations

import pytest

from dockyard.fsutil import VirtualRoot


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0"])
def test_virtual_file_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a plain file name"):
        VirtualRoot(files={name: b""})


def test_time_of_a_virtual_file_stands_for_its_content() -> None:
    assert VirtualRoot.mtime_ns(b"FROM a") == VirtualRoot.mtime_ns(b"FROM a")
    assert VirtualRoot.mtime_ns(b"FROM a") != VirtualRoot.mtime_ns(b"FROM b")
    assert 0 <= VirtualRoot.mtime_ns(b"x") < 1 << 63
