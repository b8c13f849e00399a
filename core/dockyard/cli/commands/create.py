"""``create``: make a builder, or add, change or take out one of its nodes."""

from __future__ import annotations

from pathlib import Path

from dockyard.builder.creation import Change, Creation, Wish, parse_driver_options, undo
from dockyard.builder.flags import parse_flags
from dockyard.cli.boot import boot
from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.errors import BuilderError
from dockyard.platforms import parse_list


def _flags(parser: CommandParser) -> None:
    parser.switch("append", help="Append a node to builder instead of changing it")
    parser.switch("bootstrap", help="Boot builder after creation")
    parser.text("buildkitd-config", help="BuildKit daemon config file")
    parser.text("config", help="BuildKit daemon config file", hidden=True)
    parser.text("buildkitd-flags", help="BuildKit daemon flags")
    parser.text("driver", help="Driver to use; dockyard drivers lists what is installed")
    parser.texts("driver-opt", csv=True, help="Options for the driver")
    parser.switch("leave", help="Remove a node from builder instead of changing it")
    parser.text("name", help="Builder instance name")
    parser.text("node", help="Create/modify node with given name")
    parser.texts("platform", csv=True, help="Fixed platforms for current node")
    parser.duration(
        "timeout",
        default="20s",
        help="Override the default timeout for loading builder status",
    )
    parser.switch("use", help="Set the current builder instance")


def _run(invocation: Invocation, options: Options) -> int:
    creation = Creation(
        invocation.environment, invocation.store, invocation.contexts, invocation.manager
    )
    if options.leave:
        creation.leave(options.name, options.node)
        return 0
    change = creation.create(_wish(options))
    try:
        _check(invocation, options, change)
    except BaseException:
        undo(invocation.store, change)
        raise
    name = change.after.name
    if change.needs_restart:
        invocation.warn("new settings may not be used until builder is restarted")
    if options.use:
        key = invocation.contexts.endpoint_key()
        with invocation.store.locked() as records:
            records.select(key, name)
    if options.bootstrap:
        (builder,) = invocation.loader.load([change.after], data=True, timeout=options.timeout)
        boot(invocation, builder)
    invocation.echo(name)
    return 0


def _wish(options: Options) -> Wish:
    config = options.buildkitd_config or options.config
    return Wish(
        name=options.name,
        driver=options.driver,
        endpoint=options.arguments[0] if options.arguments else None,
        node=options.node,
        append=options.append,
        platforms=parse_list(options.platform),
        options=parse_driver_options(options.driver_opt),
        flags=parse_flags(options.buildkitd_flags),
        config=Path(config) if config else None,
    )


def _check(invocation: Invocation, options: Options, change: Change) -> None:
    """Ask all nodes for their status, so that wrong options and dead engines show now.

    What drivers have to say of a node is said once, when it is made or changed.

    Raises:
        BuilderError: A node cannot be used.
    """
    group = change.after
    (builder,) = invocation.loader.load([group], data=True, timeout=options.timeout)
    if builder.error is not None:
        raise builder.error
    for info in builder.nodes:
        if info.error is not None:
            raise BuilderError(
                f"failed to initialize builder {group.name} ({info.entry.name}): {info.error}",
                hint=info.error.hint,
            ) from info.error
    known = change.before.nodes if change.before else ()
    for info in builder.nodes:
        if info.status is not None and info.entry not in known:
            for line in info.status.warnings:
                invocation.warn(line)


COMMAND = Command(
    usage="[OPTIONS] [CONTEXT|ENDPOINT]",
    arguments=(0, 1),
    flags=_flags,
    run=_run,
    has_builder_flag=False,
)
