"""``rm``: remove builders, and what their drivers made for them."""

from __future__ import annotations

from functools import partial

from dockyard.builder.builder import Builder, NodeInfo
from dockyard.builder.gather import gather
from dockyard.builder.group import NodeGroup
from dockyard.builder.name import is_valid
from dockyard.builder.selection import choose
from dockyard.cancellation import Cancellation
from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.prompt import confirm
from dockyard.errors import BuilderError, DockyardError, StoreError

_REMOVAL_TIMEOUT = 600.0
"""Seconds for all drivers together to tear down what they made: a cluster may take minutes."""

_QUESTION = (
    "WARNING! This will remove all builders that are not in running state. "
    "Are you sure you want to continue?"
)


def _flags(parser: CommandParser) -> None:
    parser.switch("all-inactive", help="Remove all inactive builders")
    parser.switch("force", short="f", help="Do not prompt for confirmation")
    parser.switch("keep-daemon", help="Keep the BuildKit daemon running")
    parser.switch("keep-state", help="Keep BuildKit state")
    parser.duration(
        "timeout", help="Override the default timeout for loading builder status", default="20s"
    )


def _run(invocation: Invocation, options: Options) -> int:
    if options.all_inactive:
        names = _inactive(invocation, options)
    else:
        names = list(options.arguments or [invocation.builder])
    tasks = [partial(_remove, invocation, options, name) for name in names]
    failed = False
    for name, outcome in zip(names, gather(tasks, timeout=_REMOVAL_TIMEOUT), strict=True):
        if isinstance(outcome, DockyardError):
            failed = True
            invocation.note(f"failed to remove {name}: {outcome}")
            if outcome.hint:
                invocation.note(outcome.hint)
        else:
            invocation.note(f"{outcome} removed")
    if failed:
        raise BuilderError("failed to remove one or more builders")
    return 0


def _inactive(invocation: Invocation, options: Options) -> list[str]:
    """Name the builders none of whose nodes run, once the person agreed to remove them.

    Raises:
        BuilderError: Names were given, too.
    """
    if options.arguments:
        raise BuilderError("cannot specify builder name when --all-inactive is set")
    if not options.force and not confirm(invocation, _QUESTION):
        return []
    with invocation.store.locked() as records:
        listing = records.groups()
    for problem in listing.problems:
        invocation.warn(str(problem))
    builders = invocation.loader.load(listing.groups, data=True, timeout=options.timeout)
    return [builder.name for builder in builders if _is_inactive(invocation, builder)]


def _is_inactive(invocation: Invocation, builder: Builder) -> bool:
    if builder.is_dynamic or any(info.is_running for info in builder.nodes):
        return False
    guesses = (info.status.reason for info in builder.nodes if info.status and info.status.is_guess)
    doubt = builder.first_error() or next(guesses, None)
    if doubt is not None:
        invocation.warn(f"{builder.name} is kept, because it may be running: {doubt}")
    return doubt is None


def _remove(invocation: Invocation, options: Options, name: str, cancel: Cancellation) -> str:
    """Remove one builder; gives its name, as it was given.

    The record goes even when a node cannot be removed, as buildx does it; the error tells. It
    stays when the builder has no driver that could be asked.

    Raises:
        DockyardError: It cannot be removed, or something of it is left.
    """
    group = _find(invocation, options, name)
    if group is None:
        return name
    failures = [] if options.keep_daemon else _remove_nodes(invocation, options, group)
    with invocation.store.locked() as records:
        records.remove(group.name)
    if failures:
        raise BuilderError("\n".join(failures))
    return name or group.name


def _find(invocation: Invocation, options: Options, name: str) -> NodeGroup | None:
    """Give the builder to remove; None when only a damaged record was there, and is gone.

    Raises:
        BuilderError: It is a docker context's builder.
        StoreError: Its record is damaged and removal was not forced.
    """
    try:
        group = choose(invocation.store, invocation.contexts, name)
    except StoreError as error:
        if not (options.force and is_valid(name)):
            if is_valid(name):
                error.hint = f"{error.hint}, or remove it: dockyard rm --force {name}"
            raise
        with invocation.store.locked() as records:
            records.remove(name)
        return None
    if group.is_context:
        raise BuilderError(
            "context builder cannot be removed, "
            f"run `docker context rm {group.name}` to remove this context"
        )
    return group


def _remove_nodes(invocation: Invocation, options: Options, group: NodeGroup) -> list[str]:
    (builder,) = invocation.loader.load([group])
    if builder.error is not None:
        # Without the driver nobody finds what it made; the record says what that was.
        builder.error.hint = f"{builder.error.hint or ''}; --keep-daemon removes the record alone"
        raise builder.error
    return [
        failure
        for info in builder.nodes
        if (failure := _remove_node(invocation, options, info)) is not None
    ]


def _remove_node(invocation: Invocation, options: Options, info: NodeInfo) -> str | None:
    name = info.entry.name
    if info.node is None:
        return f"failed to load node {name}: {info.error}"
    try:
        invocation.manager.stop(info.node)
    except DockyardError as error:
        return f"failed to stop node {name}: {error}"
    try:
        invocation.manager.remove(info.node, force=True, keep_state=options.keep_state)
    except DockyardError as error:
        return f"failed to remove node {name}: {error}"
    return None


COMMAND = Command(run=_run, usage="[OPTIONS] [NAME] [NAME...]", arguments=(0, None), flags=_flags)
