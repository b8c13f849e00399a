"""What BuildKit is told about the GitHub Actions run that it is booted in."""

from __future__ import annotations

from dockyard.driver import Node, provenance


def provenance_files(node: Node) -> dict[str, bytes]:
    """Give the file about the run, if this is one and the node's options don't forbid it.

    Raises:
        BootstrapError: The event that started the run cannot be read.
    """
    if not node.options.get("provenance-add-gha", True):
        return {}
    return provenance.provenance_files(node.variables)
