"""A network bridge for one private engine.

Two engines on one machine would both take ``docker0``. Each of ours gets a bridge of its own, made
with the kernel's ioctl calls: a bare Debian has no ``ip`` command.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from tools.report import DevError

SIOCBRADDBR = 0x89A0
SIOCBRDELBR = 0x89A1
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
IFF_UP = 1

RANGES = (IPv4Network("172.26.0.0/16"), IPv4Network("10.213.0.0/16"))


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge that exists and is up."""

    name: str
    address: IPv4Interface


def create(alias: str) -> Bridge:
    """Make a bridge with the first free name and network; making it is what claims the name.

    Args:
        alias: Kept by the kernel beside the name; it tells whose bridge this is.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for bridge in _candidates():
            try:
                fcntl.ioctl(control, SIOCBRADDBR, bridge.name.encode() + b"\0")
            except OSError as error:
                if error.errno == errno.EEXIST:
                    continue
                raise DevError(f"cannot make a network bridge: {error.strerror}") from error
            _set_address(control, bridge)
            with suppress(OSError):  # where /sys is read-only, it goes without
                Path("/sys/class/net", bridge.name, "ifalias").write_text(alias)
            _set_flags(control, bridge.name, IFF_UP, 0)
            return bridge
    raise DevError("no network is free for a private engine's bridge")


def remove(name: str) -> None:
    """Remove a bridge; one that is gone already is fine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            _set_flags(control, name, 0, IFF_UP)
            fcntl.ioctl(control, SIOCBRDELBR, name.encode() + b"\0")
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENXIO):
                raise


def exists(name: str) -> bool:
    """Tell whether there is a network interface of this name."""
    return Path("/sys/class/net", name).exists()


def _candidates() -> Iterator[Bridge]:
    routes = _routes()
    for number, network in enumerate(net for wide in RANGES for net in wide.subnets(new_prefix=24)):
        if not any(network.overlaps(route) for route in routes):
            first = next(network.hosts())
            yield Bridge(name=f"dockyard{number}", address=IPv4Interface(f"{first}/24"))


def _routes() -> list[IPv4Network]:
    """Return the networks that this machine already knows a way to, the default route left out."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[n]), "little") for n in (1, 7))
        if mask:
            routes.append(IPv4Network((destination, mask.bit_count())))
    return routes


def _set_address(control: socket.socket, bridge: Bridge) -> None:
    values = ((SIOCSIFADDR, bridge.address.ip), (SIOCSIFNETMASK, bridge.address.netmask))
    for request, value in values:
        address = struct.pack("<HH4s8x", socket.AF_INET, 0, value.packed)
        fcntl.ioctl(control, request, struct.pack("16s16s", bridge.name.encode(), address))


def _set_flags(control: socket.socket, name: str, on: int, off: int) -> None:
    request = struct.pack("16sh22x", name.encode(), 0)
    flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
    changed = (flags | on) & ~off
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), changed))
