"""Columns of text, aligned as Go's tabwriter does it, so that scripts find what they know.

A cell ends at a tab; what follows the last tab of a line belongs to no column. A column is as
wide as its widest cell in neighbouring lines: a line that lacks the cell ends it, so a blank line
or a heading starts the alignment afresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def align(lines: Iterable[str], *, minimum: int = 0, padding: int = 1) -> list[str]:
    """Replace the tabs in lines by as many spaces as make columns.

    Args:
        lines: Text without line ends.
        minimum: How wide a column is at least, its padding included.
        padding: Spaces after a column's widest cell.
    """
    rows = [line.split("\t") for line in lines]
    widths: list[list[int]] = [[] for _ in rows]
    _measure(rows, widths, range(len(rows)), 0, minimum, padding)
    return [
        "".join(cell.ljust(width) for cell, width in zip(row, measured, strict=False)) + row[-1]
        for row, measured in zip(rows, widths, strict=True)
    ]


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Align rows of cells as docker's lists are: at least 10 wide, 3 spaces apart."""
    return align(("\t".join(_flat(cell) for cell in row) for row in rows), minimum=10, padding=3)


def _measure(
    rows: Sequence[Sequence[str]],
    widths: list[list[int]],
    lines: Iterable[int],
    column: int,
    minimum: int,
    padding: int,
) -> None:
    block: list[int] = []
    for line in lines:
        if column < len(rows[line]) - 1:
            block.append(line)
            continue
        _close(rows, widths, block, column, minimum, padding)
        block = []
    _close(rows, widths, block, column, minimum, padding)


def _close(
    rows: Sequence[Sequence[str]],
    widths: list[list[int]],
    block: Sequence[int],
    column: int,
    minimum: int,
    padding: int,
) -> None:
    if not block:
        return
    width = max(minimum, *(len(rows[line][column]) + padding for line in block))
    for line in block:
        widths[line].append(width)
    _measure(rows, widths, block, column + 1, minimum, padding)


def _flat(cell: str) -> str:
    """Keep a cell from being taken for several cells or lines."""
    return " ".join(cell.split()) if "\n" in cell or "\t" in cell else cell
