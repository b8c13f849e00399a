"""Processes and mounts as Linux shows them, for a program that must leave nothing behind."""

from __future__ import annotations

import ctypes
import os
import select
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every orphaned descendant, so that none of them can get away."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(signal_number: int) -> None:
    """Have this process sent a signal when its parent ends, however that ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and waits to be collected does not."""
    fields = _stat(pid)
    return fields is not None and fields[0] not in ("Z", "X")


def descendants(pid: int) -> set[int]:
    """Return the process ids of everything below a process, the ended ones left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and fields[0] not in ("Z", "X"):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until any process, also one that is not our child, has ended; False if it did not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def unmount_below(folder: Path) -> bool:
    """Unmount everything mounted on or below a folder, innermost first; False if some stayed."""
    for target in reversed(_mounts_below(folder)):
        _libc.umount2(os.fsencode(target), MNT_DETACH)
    return not _mounts_below(folder)


def _mounts_below(folder: Path) -> list[str]:
    prefix = str(folder)
    with Path("/proc/self/mountinfo").open() as lines:
        targets = [line.split()[4] for line in lines]
    return [path for path in targets if path == prefix or path.startswith(prefix + "/")]


def _stat(pid: int) -> list[str] | None:
    """Return what follows the name in a process's stat line: its state, its parent, and so on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
