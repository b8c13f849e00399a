from __future__ import annotations

import os
import stat

import pytest

from dockyard.fsutil.stat import (
    device,
    device_numbers,
    go_mode,
    is_regular,
    permissions,
    posix_mode,
)

# wire.md 5.2
MODES = [
    (stat.S_IFREG | 0o644, 0o644),
    (stat.S_IFREG | 0o777, 0o777),
    (stat.S_IFREG, 0),
    (stat.S_IFDIR | 0o755, 0x80000000 | 0o755),
    (stat.S_IFDIR | 0o1777, 0x80100000 | 0o777),
    (stat.S_IFDIR | 0o2755, 0x80400000 | 0o755),
    (stat.S_IFLNK | 0o777, 0x08000000 | 0o777),
    (stat.S_IFBLK | 0o660, 0x04000000 | 0o660),
    (stat.S_IFCHR | 0o666, 0x04200000 | 0o666),
    (stat.S_IFIFO | 0o600, 0x02000000 | 0o600),
    (stat.S_IFSOCK | 0o755, 0x01000000 | 0o755),
    (stat.S_IFREG | 0o4755, 0x00800000 | 0o755),
    (stat.S_IFREG | 0o2755, 0x00400000 | 0o755),
    (stat.S_IFREG | 0o7000, 0x00D00000),
]


@pytest.mark.parametrize(("posix", "go"), MODES)
def test_modes_convert_both_ways(posix: int, go: int) -> None:
    assert go_mode(posix) == go
    assert posix_mode(go) == posix


def test_unknown_kind_is_irregular_and_has_no_way_back() -> None:
    assert go_mode(0o160000 | 0o600) == 0x00080000 | 0o600
    assert posix_mode(0x00080000 | 0o600) is None


def test_only_the_kind_makes_a_file_regular() -> None:
    assert is_regular(0x00D00000 | 0o777)
    assert not any(is_regular(go) for posix, go in MODES if not stat.S_ISREG(posix))


def test_permissions_leave_out_the_kind() -> None:
    assert permissions(0x80000000 | 0x00D00000 | 0o750) == 0o7750


@pytest.mark.parametrize(
    ("rdev", "numbers"),
    [
        (0x801, (8, 1)),
        (0x103, (1, 3)),
        (0x12345678, (0x456, 0x12378)),
        (0xFFFFFFFF, (0xFFF, 0xFFFFF)),
    ],
)
def test_device_numbers_are_split(rdev: int, numbers: tuple[int, int]) -> None:
    assert device_numbers(rdev) == numbers


def test_device_numbers_are_joined_as_the_system_does() -> None:
    assert device(8, 1) == os.makedev(8, 1)
    assert device_numbers(device(0xABC, 0xFEDCB)) == (0xABC, 0xFEDCB)


@pytest.mark.parametrize(("major", "minor"), [(-1, 0), (0x1000, 0), (0, -1), (0, 0x100000)])
def test_device_number_out_of_range_is_refused(major: int, minor: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        device(major, minor)
