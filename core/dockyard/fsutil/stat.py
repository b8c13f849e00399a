"""File modes and device numbers, as Go writes them and as POSIX does.

The transfer protocol carries Go's ``os.FileMode``, whose bits have nothing in common with
``st_mode`` but the nine permission bits (wire.md 5.2).
"""

from __future__ import annotations

import os
import stat

MODE_DIR = 0x80000000
MODE_SYMLINK = 0x08000000
MODE_DEVICE = 0x04000000
MODE_NAMED_PIPE = 0x02000000
MODE_SOCKET = 0x01000000
MODE_SETUID = 0x00800000
MODE_SETGID = 0x00400000
MODE_CHAR_DEVICE = 0x00200000
MODE_STICKY = 0x00100000
MODE_IRREGULAR = 0x00080000

TYPE_MASK = 0x8F280000
"""All bits that say what kind of entry it is; none of them set means a regular file."""

_GO_TYPE = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: MODE_DIR,
    stat.S_IFLNK: MODE_SYMLINK,
    stat.S_IFBLK: MODE_DEVICE,
    stat.S_IFCHR: MODE_DEVICE | MODE_CHAR_DEVICE,
    stat.S_IFIFO: MODE_NAMED_PIPE,
    stat.S_IFSOCK: MODE_SOCKET,
}
_POSIX_TYPE = {go: posix for posix, go in _GO_TYPE.items()}


def go_mode(st_mode: int) -> int:
    """Turn a ``st_mode`` into Go's mode."""
    mode = st_mode & 0o777 | _GO_TYPE.get(stat.S_IFMT(st_mode), MODE_IRREGULAR)
    if st_mode & stat.S_ISUID:
        mode |= MODE_SETUID
    if st_mode & stat.S_ISGID:
        mode |= MODE_SETGID
    if st_mode & stat.S_ISVTX:
        mode |= MODE_STICKY
    return mode


def permissions(mode: int) -> int:
    """Give what ``chmod`` wants: the permission, setuid, setgid and sticky bits of Go's mode."""
    posix = mode & 0o777
    if mode & MODE_SETUID:
        posix |= stat.S_ISUID
    if mode & MODE_SETGID:
        posix |= stat.S_ISGID
    if mode & MODE_STICKY:
        posix |= stat.S_ISVTX
    return posix


def posix_mode(mode: int) -> int | None:
    """Turn Go's mode into a ``st_mode``; None for a kind of file that POSIX does not have."""
    kind = _POSIX_TYPE.get(mode & TYPE_MASK)
    return None if kind is None else kind | permissions(mode)


def is_regular(mode: int) -> bool:
    """Tell whether Go's mode is a regular file's, whose content may be asked for."""
    return mode & TYPE_MASK == 0


def device_numbers(rdev: int) -> tuple[int, int]:
    """Split ``st_rdev`` into major and minor."""
    return rdev >> 8 & 0xFFF, rdev & 0xFF | rdev >> 12 & 0xFFF00


def device(major: int, minor: int) -> int:
    """Join a major and a minor number into what ``mknod`` wants.

    Raises:
        ValueError: One of them is out of range.
    """
    if not (0 <= major <= 0xFFF and 0 <= minor <= 0xFFFFF):
        raise ValueError(f"device number {major}:{minor} is out of range")
    return os.makedev(major, minor)
