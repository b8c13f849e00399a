"""A builder as it is kept on disk: a node group and its node entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from dockyard.builder.name import check, node_name
from dockyard.errors import BuilderError
from dockyard.platforms import Platform
from dockyard.value import Value


@frozen(kw_only=True, eq=False, repr=False)
class NodeEntry(Value):
    """What is kept of one node."""

    name: str
    endpoint: str
    """Where, in the driver's own terms."""
    platforms: tuple[Platform, ...] = ()
    """Only those that a person gave, normalised."""
    options: Mapping[str, str] = field(factory=dict)
    """Driver options as they were typed, unchecked."""
    flags: tuple[str, ...] = ()
    """Flags for buildkitd."""
    files: Mapping[str, bytes] = field(factory=dict)
    """Configuration files by their path."""
    source: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)
    """The JSON object the entry was read from. What was not changed is written back as it was."""


@frozen(kw_only=True, eq=False, repr=False)
class NodeGroup(Value):
    """A builder: one driver and an ordered list of nodes."""

    name: str
    """With the letter case that was typed when it was made; look-ups ignore the case."""
    driver: str = ""
    """Empty for a docker context's builder, until the installed drivers were asked."""
    nodes: tuple[NodeEntry, ...] = ()
    is_context: bool = False
    """Whether this is a docker context's builder, which is not stored."""
    source: Mapping[str, Any] = field(factory=dict, eq=False, repr=False)
    """The JSON object the group was read from."""

    def node(self, name: str) -> NodeEntry | None:
        """Give the entry of this name."""
        return next((node for node in self.nodes if node.name == name), None)

    def with_node(self, entry: NodeEntry) -> NodeGroup:
        """Add an entry, or replace the one of its name.

        A platform belongs to one node only: the entry's are taken from the others.

        Raises:
            BuilderError: Another node has the same endpoint.
        """
        # By place and not by name: buildx 0.13 gives several nodes of "Rem" the name "rem0".
        names = [node.name for node in self.nodes]
        place = names.index(entry.name) if entry.name in names else len(names)
        nodes = list(self.nodes)
        nodes[place : place + 1] = [entry]
        others = nodes[:place] + nodes[place + 1 :]
        if any(other.endpoint == entry.endpoint for other in others):
            raise BuilderError(f"invalid duplicate endpoint {entry.endpoint}")
        return evolve(
            self,
            nodes=tuple(
                entry if node is entry else _without(node, entry.platforms) for node in nodes
            ),
        )

    def without_node(self, name: str) -> NodeGroup:
        """Take a node out.

        Raises:
            BuilderError: There is no such node, or it is the last one.
        """
        leaving = self.node(name)
        if leaving is None:
            raise BuilderError(f'node "{name}" not found for {self.name}')
        if len(self.nodes) == 1:
            raise BuilderError("can not leave last node, do you want to rm instance instead?")
        return evolve(self, nodes=tuple(node for node in self.nodes if node is not leaving))

    def next_node_name(self) -> str:
        """Give a node name that is not in use yet.

        Raises:
            InvalidNameError: The builder's own name breaks the rule for names.
        """
        return check(node_name(self.name, {node.name for node in self.nodes}))


def context_group(context: str) -> NodeGroup:
    """Make the builder of a docker context: one node, named and placed like the context."""
    return NodeGroup(
        name=context, nodes=(NodeEntry(name=context, endpoint=context),), is_context=True
    )


def _without(entry: NodeEntry, platforms: Iterable[Platform]) -> NodeEntry:
    taken = set(platforms)
    if taken.isdisjoint(entry.platforms):
        return entry
    kept = tuple(platform for platform in entry.platforms if platform not in taken)
    return evolve(entry, platforms=kept)
