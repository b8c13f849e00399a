from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dockyard.fsutil.name import display, display_in, reason


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("a b/\u00e4", '"a b/\u00e4"'),
        (b"caf\xe9", r'"caf\xe9"'),
        ("caf\udce9", r'"caf\xe9"'),
        ("a\nb\x1b[2J", r'"a\nb\x1b[2J"'),
        ("a\u202eb", r'"a\u202eb"'),
    ],
)
def test_path_is_shown_on_one_printable_line(path: bytes | str, shown: str) -> None:
    assert display(path) == shown


def test_path_is_shown_below_its_root() -> None:
    assert display_in(Path("/src"), b"a/b") == '"/src/a/b"'
    assert display_in(Path("/src"), b"") == '"/src"'
    assert display_in(Path("/"), b"a") == '"/a"'


def test_reason_is_the_systems_in_lower_case() -> None:
    assert reason(OSError(errno.EACCES, "whatever")) == "permission denied"
    assert reason(OSError("not a file")) == "not a file"
