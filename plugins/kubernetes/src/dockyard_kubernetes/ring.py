"""The ring by which builds of one place find the same pod again, as the reference has it.

Each pod has one point on the ring, and so has the key. The pod that comes next after the key is
the chosen one. A pod that comes or goes changes the choice for the keys just before it only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

_Point = tuple[int, int]


def next_on_ring(key: str, names: Iterable[str]) -> str:
    """Choose the name that the key belongs to. There has to be one at least."""
    points = sorted((_point(f"{name}-0"), name) for name in names)
    place = _point(key)
    return next((name for point, name in points if point > place), points[0][1])


def _point(text: str) -> _Point:
    """Give a text's place: two signed numbers, the first being the more important one."""
    digest = hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    first, second = struct.unpack("<qq", digest)
    return first, second
