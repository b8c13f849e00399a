"""Tests for columns of text; the samples are lines that Go's tabwriter made."""

from __future__ import annotations

from dockyard.cli.table import align, table


def test_columns_are_as_wide_as_their_widest_cell_and_three_spaces() -> None:
    rows = [
        ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS"],
        ["default*", "docker", "", "", ""],
        [" \\_ default", " \\_ default", "running", "v0.0.0+unknown", "linux/amd64 (+4)"],
        ["r1", "remote", "", "", ""],
    ]

    assert table(rows) == [
        "NAME/NODE     DRIVER/ENDPOINT   STATUS    BUILDKIT         PLATFORMS",
        "default*      docker                                       ",
        " \\_ default    \\_ default       running   v0.0.0+unknown   linux/amd64 (+4)",
        "r1            remote                                       ",
    ]


def test_columns_are_at_least_ten_wide() -> None:
    assert table([["a", "b"], ["c", "d"]]) == ["a         b", "c         d"]


def test_a_cell_with_line_ends_stays_one_cell() -> None:
    assert table([["a\nb\tc", "d"]]) == ["a b c     d"]


def test_blocks_that_a_line_without_tabs_separates_are_aligned_apart() -> None:
    lines = ["Name:\tx", "Driver:\ty", "", "Nodes:", "BuildKit version:\tv1", "Labels:", " a:\tb"]

    assert align(lines) == [
        "Name:   x",
        "Driver: y",
        "",
        "Nodes:",
        "BuildKit version: v1",
        "Labels:",
        " a: b",
    ]


def test_a_shorter_line_ends_only_the_columns_it_lacks() -> None:
    assert align(["a\tbbb\tc", "aaaa\tb", "a\tb\tc"]) == ["a    bbb c", "aaaa b", "a    b c"]


def test_no_lines_stay_no_lines() -> None:
    assert align([]) == []
