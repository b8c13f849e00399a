"""Which BuildKit is in which Docker Engine, for the engines whose BuildKit cannot tell."""

from __future__ import annotations

import re

_FIRST_WITH = (
    ((20, 10, 0), "v0.8.1"),
    ((20, 10, 3), "v0.8.1+68bb095"),
    ((20, 10, 4), "v0.8.2"),
    ((20, 10, 7), "v0.8.2+244e8cde"),
    ((20, 10, 11), "v0.8.2+bc07b2b8"),
    ((20, 10, 19), "v0.8.2+3a1eeca5"),
    ((20, 10, 20), "v0.8.2+c0149372"),
    ((20, 10, 21), "v0.8.2+eeb7b65"),
    ((20, 10, 24), "v0.8+unknown"),
    ((22, 6, 0), "v0.10.3"),
    ((23, 0, 0), "v0.10.6"),
    ((23, 0, 1), "v0.10.6+4f0ee09"),
    ((23, 0, 2), "v0.10.6+70f2ad5"),
    ((23, 0, 4), "v0.10.6+d52b2d5"),
    ((23, 0, 7), "v0.10+unknown"),
)
"""The first engine that has each BuildKit. Since 24.0 an engine's BuildKit tells its version."""


def buildkit_version(engine: str) -> str:
    """Give the version of the BuildKit in an engine of this version.

    For a new engine it is the engine's own version, for one that is too old nothing.
    """
    numbers = re.match(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", engine)
    if numbers is None:
        return engine.removesuffix("-moby")
    version = tuple(int(number or 0) for number in numbers.groups())
    if version >= (24,):
        return engine.removesuffix("-moby")
    known = [buildkit for first, buildkit in _FIRST_WITH if first <= version]
    return known[-1] if known else ""
