"""``stop``: stop a builder's nodes."""

from __future__ import annotations

from dockyard.builder.builder import NodeInfo
from dockyard.builder.selection import choose
from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, Options
from dockyard.errors import DockyardError


def _run(invocation: Invocation, options: Options) -> int:
    name = options.arguments[0] if options.arguments else invocation.builder
    group = choose(invocation.store, invocation.contexts, name)
    (builder,) = invocation.loader.load([group])
    if builder.error is not None:
        raise builder.error
    errors = [error for info in builder.nodes if (error := _stop(invocation, info)) is not None]
    if errors:
        raise errors[0]
    return 0


def _stop(invocation: Invocation, info: NodeInfo) -> DockyardError | None:
    if info.node is None:
        return info.error
    try:
        invocation.manager.stop(info.node)
    except DockyardError as error:
        return error
    return None


COMMAND = Command(run=_run, usage="[NAME]", arguments=(0, 1))
