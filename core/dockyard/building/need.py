"""Refusing what a daemon would not do: said by name, with the version that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from dockyard.errors import UnsupportedFeatureError

Capabilities = Callable[[], frozenset[str]]
"""Asks the daemon what it can do."""


class Need(NamedTuple):
    """Something that a daemon without it would ignore, or not understand."""

    words: str
    capability: str
    version: str
    hint: str | None = None


def require(needs: Iterable[Need], capabilities: Capabilities, driver: str) -> None:
    """Make sure that a daemon has what is needed.

    Args:
        needs: What is needed; if it is nothing, the daemon is not asked.
        capabilities: Asks the daemon.
        driver: The node's driver.

    Raises:
        UnsupportedFeatureError: It is too old; says for what.
    """
    for need in needs:
        if need.capability not in capabilities():
            raise UnsupportedFeatureError(
                f"{need.words} not supported by the current BuildKit daemon, please upgrade to "
                f"version {need.version}+",
                feature=need.capability,
                driver=driver,
                hint=need.hint,
            )
