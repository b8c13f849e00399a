from __future__ import annotations

import re

import pytest

from dockyard.errors import TransferError
from dockyard.fsutil.order import Order


def check(*paths: str) -> None:
    """Check a listing in which a path that ends in a slash is a directory."""
    order = Order()
    for path in paths:
        directory = path.endswith("/") and path != "/"
        order.check((path[:-1] if directory else path).encode(), is_directory=directory)


def test_components_are_compared_not_whole_paths() -> None:
    check("A", "a/", "a/b/", "a/b/c", "a-b", "a.txt", "a0", "ab", "\u00e4", "\U0001f600")


@pytest.mark.parametrize(
    "paths",
    [("b", "a"), ("a", "a"), ("a/", "a/b", "a/b"), ("a-b", "a/"), ("a/", "a"), ("a/", "b/", "a/c")],
)
def test_listing_out_of_order_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(TransferError, match=r"^changes out of order: |without the directory"):
        check(*paths)


def test_message_names_both_paths() -> None:
    with pytest.raises(TransferError, match=re.escape('changes out of order: "d/a" "d/b"')):
        check("d/", "d/b", "d/a")


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "..", "../a", "a/..", "a/../b", ".", "./a", "a//b", "a/./b", "a\0b", "a/\0"],
)
def test_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(TransferError, match="not allowed"):
        check("a/", path)


@pytest.mark.parametrize(
    "paths", [("a/b",), ("a", "a/b"), ("a/", "a/b", "a/b/c"), ("a/", "b", "b/c"), ("a/", "c/d")]
)
def test_entry_without_its_directory_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(TransferError, match="without the directory it is in"):
        check(*paths)
