"""Which node builds which platform.

First the platforms that people gave their nodes are looked at, strictly, so that only the nodes
that are needed get booted. Only when those don't settle everything does the caller boot all nodes
and ask again with what their workers can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dockyard.platforms import Platform, better, matches


class Assignment(NamedTuple):
    """One node's share of a build."""

    node: int
    """The node's place in the list."""
    platforms: tuple[Platform, ...]
    """In the order in which they were asked for; empty when no platform was."""


def resolve_declared(
    requested: Sequence[Platform], declared: Sequence[Sequence[Platform]]
) -> tuple[Assignment, ...] | None:
    """Assign platforms to nodes by what people declared, without any node running.

    Args:
        requested: What shall be built; empty means whatever the first node builds.
        declared: For each node the platforms that it was given by hand.

    Returns:
        The shares, or None when a platform was declared for no node.
    """
    if not requested:
        return (Assignment(node=0, platforms=()),)
    chosen = []
    for platform in requested:
        # Nobody but the exact platform counts: an amd64 node isn't picked for 386 unasked.
        wanted = str(platform.normalise())
        node = next(
            (
                index
                for index, candidates in enumerate(declared)
                if any(str(candidate.normalise()) == wanted for candidate in candidates)
            ),
            None,
        )
        if node is None:
            return None
        chosen.append(node)
    return _grouped(requested, chosen)


def resolve(
    requested: Sequence[Platform], available: Sequence[Sequence[Platform]]
) -> tuple[Assignment, ...]:
    """Assign platforms to nodes by what the nodes can build.

    A platform that no node can build goes to the first, which then says so, or emulates.

    Args:
        requested: What shall be built; empty means whatever the first node builds.
        available: For each node its declared platforms, then its workers'.
    """
    if not requested:
        return (Assignment(node=0, platforms=()),)
    return _grouped(requested, [_best_node(platform, available) for platform in requested])


def _best_node(platform: Platform, available: Sequence[Sequence[Platform]]) -> int:
    best: tuple[int, Platform] | None = None
    for node, candidates in enumerate(available):
        for candidate in candidates:
            if best is None:
                if matches(candidate, platform):
                    best = node, candidate
            elif better(candidate, best[1], platform):
                best = node, candidate
    return 0 if best is None else best[0]


def _grouped(requested: Sequence[Platform], chosen: Sequence[int]) -> tuple[Assignment, ...]:
    shares: dict[int, list[Platform]] = {}
    for platform, node in zip(requested, chosen, strict=True):
        shares.setdefault(node, []).append(platform)
    return tuple(
        Assignment(node=node, platforms=tuple(platforms)) for node, platforms in shares.items()
    )
