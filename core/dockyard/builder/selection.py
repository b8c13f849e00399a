"""Choose the builder that a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.builder.group import NodeGroup, context_group
from dockyard.errors import BuilderError, BuilderNotFoundError

if TYPE_CHECKING:
    from dockyard.builder.store import Store
    from dockyard.engine.context import DockerContexts


def choose(store: Store, contexts: DockerContexts, name: str) -> NodeGroup:
    """Give the named builder, or the selected one when the name is empty.

    Args:
        store: Where builders are kept.
        contexts: The docker contexts.
        name: A stored builder in any letter case, or a docker context; may be empty.

    Raises:
        BuilderNotFoundError: There is neither a builder nor a docker context of this name, or
            the current docker context does not exist.
        StoreError: The records cannot be read.
    """
    key = "" if name else contexts.endpoint_key()
    with store.locked() as records:
        found = records.group(name) if name else records.selected(key)
    if found is not None:
        return found
    wanted = name or contexts.current_name
    if not contexts.exists(wanted):
        raise BuilderNotFoundError(wanted)
    return context_group(wanted)


def check_context(group: NodeGroup, contexts: DockerContexts) -> None:
    """Refuse a docker context's builder while another docker context is the current one.

    Raises:
        BuilderError: It is.
    """
    if group.is_context and group.name != contexts.current_name:
        raise BuilderError(
            f'use `docker --context={group.name} buildx` to switch to context "{group.name}"'
        )
