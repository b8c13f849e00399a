"""What a person should be told about a builder that others could listen to, or use."""

from __future__ import annotations

from dockyard.driver import Node
from dockyard_remote.declaration import ALLOW_PLAINTEXT
from dockyard_remote.reach import target_of


def warnings(node: Node) -> tuple[str, ...]:
    """Give the lines to show when the node is made or changed.

    Raises:
        EndpointError: The endpoint makes no sense.
        OptionError: The TLS options don't fit together.
    """
    endpoint, settings = target_of(node)
    if endpoint.command:
        given = [name for name in ("cacert", "cert", "key", "servername") if node.options.get(name)]
        words = f"{', '.join(given)}: without effect on {node.endpoint}, which is no TLS connection"
        return (words,) if given else ()
    if settings or not endpoint.is_plain_elsewhere or node.options.get(ALLOW_PLAINTEXT):
        return ()
    return (
        f"{node.endpoint} is not encrypted: whoever is on the way can read what is built, secrets "
        "included, and whoever reaches the port can build there. Use TLS (--driver-opt "
        "cacert=/PATH,cert=/PATH,key=/PATH) or ssh://, or say that it is meant to be so "
        f"(--driver-opt {ALLOW_PLAINTEXT}=true)",
    )
