"""Flags for buildkitd: what a person typed, and what is added where nothing was said."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.errors import InputError

NETWORK_HOST = "network.host"
_FLAG = "--allow-insecure-entitlement"


def parse_flags(text: str) -> tuple[str, ...]:
    """Split what was typed as a shell would.

    Raises:
        InputError: A quote is not closed.
    """
    if not text:
        return ()
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(
            "failed to parse buildkit flags: EOF found when expecting closing quote"
            if "quotation" in str(error)
            else f"failed to parse buildkit flags: {str(error).lower()}"
        ) from error


def with_default_flags(
    typed: Sequence[str], *, configured: Sequence[str] = (), host_network: bool = False
) -> tuple[str, ...] | None:
    """Let builds use the host's network unless somebody decided about such rights.

    Args:
        typed: The flags that were given.
        configured: The rights that the configuration file gives.
        host_network: Whether the daemon itself runs in the host's network.

    Returns:
        The flags, or None when there is nothing to say.
    """
    allowed = _allowed(typed)
    undecided = not allowed and NETWORK_HOST not in configured
    if undecided or (host_network and NETWORK_HOST not in allowed):
        return (*typed, f"{_FLAG}={NETWORK_HOST}")
    return tuple(typed) or None


def _allowed(typed: Sequence[str]) -> list[str]:
    """Give the rights among the flags. As in buildx, the first other flag ends the search."""
    found = []
    words = list(typed)
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name != _FLAG:
            break
        if not equals:
            if not words:
                break
            value = words.pop(0)
        found.append(value)
    return found
