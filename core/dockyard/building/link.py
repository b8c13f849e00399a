"""Open connections to nodes, and what is known of the nodes through them, during a build."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, NodeFeatures

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client
    from dockyard.plugin.manager import PluginManager


class Link(NamedTuple):
    """A connection to a node's BuildKit, and what the node can do."""

    client: Client
    features: NodeFeatures


class Links:
    """The open links by node. A node has one, which all who ask share."""

    def __init__(self, manager: PluginManager) -> None:
        self._manager = manager
        self._links: dict[Node, Link] = {}
        self._lock = threading.Lock()

    def get(self, node: Node, cancel: Cancellation) -> Link:
        """Give the node's link, opened if need be. The node has to run.

        Raises:
            ConnectError: Nothing answers there.
            ConnectionLostError: What answers falls silent.
        """
        with self._lock:
            link = self._links.get(node)
        if link is not None:
            return link
        opened = self._open(node, cancel)
        with self._lock:
            kept = self._links.setdefault(node, opened)
        if kept is not opened:  # somebody else was faster
            opened.client.close()
        return kept

    def close(self, node: Node) -> None:
        """Close the node's link, if it has one."""
        with self._lock:
            link = self._links.pop(node, None)
        if link is not None:
            link.client.close()

    def _open(self, node: Node, cancel: Cancellation) -> Link:
        from dockyard.buildkit.client import Client

        client = Client(self._manager.connect(node, cancel))
        client.loop.call_soon(_import_more)
        try:
            return Link(client=client, features=self._manager.features(node, client.workers()))
        except BaseException:
            client.close()
            raise


def _import_more() -> None:
    """Import what a build needs next. The daemon is looking at its workers: that takes it 30 ms."""
    import dockyard.building.attempt  # noqa: F401  # only to have it
