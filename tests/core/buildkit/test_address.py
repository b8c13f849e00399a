from __future__ import annotations

import pytest

from dockyard.buildkit.address import without_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a.git", "https://example.com/a.git"),
        ("https://token@example.com/a", "https://xxxxx@example.com/a"),
        ("https://me:secret@example.com/a", "https://xxxxx:xxxxx@example.com/a"),
        ("https://:secret@example.com/a", "https://:xxxxx@example.com/a"),
        ("https://me:p@ss@example.com/a", "https://xxxxx:xxxxx@example.com/a"),
        ("https://me:%zz@example.com/a", "https://xxxxx:xxxxx@example.com/a"),
        ("ssh://git@example.com/a", "ssh://xxxxx@example.com/a"),
        ("git@example.com:a/b", "git@example.com:a/b"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("/srv/a@b", "/srv/a@b"),
    ],
)
def test_credentials_are_only_hinted_at(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
