"""How sizes, times and statuses are spelled in every display."""

from __future__ import annotations

from dockyard.events import VertexStatus

_SECOND = 1_000_000_000
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def size(count: int) -> str:
    """Spell a number of bytes in decimal units: ``123B``, ``1.23kB``, ``4.50MB``."""
    if abs(count) < 1000:
        return f"{count}B"
    value = count / 1000
    for unit in _UNITS[:-1]:
        if abs(value) < 1000:
            return f"{value:.2f}{unit}"
        value /= 1000
    return f"{value:.2f}{_UNITS[-1]}"


def log_time(nanoseconds: int) -> str:
    """Spell the time before a log line: the longer it took, the fewer decimals."""
    seconds = max(nanoseconds, 0) / _SECOND
    if seconds < 10:
        return f"{seconds:.3f}"
    return f"{seconds:.2f}" if seconds < 100 else f"{seconds:.1f}"


def status_title(status: VertexStatus) -> str:
    """Spell what a status is about and how many bytes of it are done."""
    return f"{status.id.rstrip()} {status_amount(status)}".rstrip()


def status_amount(status: VertexStatus) -> str:
    """Spell how many bytes are done; nothing if that is not known."""
    if status.total:
        return f"{size(status.current)} / {size(status.total)}"
    return size(status.current) if status.current else ""


def status_line(status: VertexStatus) -> str:
    """Spell a status in one line, as the plain display shows it."""
    line = status_title(status)
    if status.started is not None:
        end = status.timestamp if status.completed is None else status.completed
        seconds = (end - status.started) / _SECOND
        if seconds > 0.01:
            line += f" {seconds:.1f}s"
    return line if status.completed is None else line + " done"
