"""``update``: give a builder new settings and make its nodes anew, their build cache kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.builder.builder import Builder
from dockyard.builder.creation import Change, parse_driver_options, undo, write
from dockyard.builder.flags import parse_flags
from dockyard.builder.gather import gather
from dockyard.builder.group import NodeGroup
from dockyard.builder.recreation import Job, Recreation
from dockyard.builder.selection import choose
from dockyard.builder.update import NodeChange, Settings, node_changes, with_settings
from dockyard.cancellation import Cancellation
from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.watch import watch
from dockyard.driver import Node, NodeStatus, Progress, State
from dockyard.errors import BuilderError, DockyardError
from dockyard.platforms import Platform, parse_list

if TYPE_CHECKING:
    from dockyard.plugin.manager import PluginManager

_ALL_THE_SAME = "--allow-cache-loss changes it all the same"


def _flags(parser: CommandParser) -> None:
    parser.switch("allow-cache-loss", help="Make changes that lose the build cache, too")
    parser.texts(
        "buildkitd-config",
        value="string",
        help="BuildKit daemon config file, in place of the old one; empty for none",
    )
    parser.texts(
        "buildkitd-flags",
        value="string",
        help="BuildKit daemon flags, in place of the old ones; empty for the default",
    )
    parser.texts("driver-opt", csv=True, help="Options for the driver, added to those it has")
    parser.texts("driver-opt-rm", csv=True, help="Options for the driver to remove, by name")
    parser.switch("dry-run", help="Show what would be done, and do nothing")
    parser.text("node", help="The node to change; all of them when it is not given")
    parser.texts("platform", help="Fixed platforms, in place of the old ones; empty for none")
    parser.switch("recreate", help="Make nodes anew even when none of their settings change")
    parser.duration(
        "timeout",
        default="20s",
        help="Override the default timeout for loading builder status",
    )


def _run(invocation: Invocation, options: Options) -> int:
    name = options.arguments[0] if options.arguments else invocation.builder
    before = choose(invocation.store, invocation.contexts, name)
    if before.is_context:
        raise BuilderError(
            "context builder cannot be updated",
            hint=f"make a builder that can be: dockyard create --name NAME {before.name}",
        )
    declared = invocation.manager.driver_type(before.driver)
    settings = _settings(invocation, options)
    after = with_settings(before, settings, declared)
    changes = node_changes(before, after, settings, declared)
    if not changes:
        invocation.echo(f"{before.name}: nothing to change")
        return 0
    if not options.allow_cache_loss:
        _check_cache(changes)
    jobs = _jobs(invocation, options, before, after, changes)
    for change in changes:
        invocation.echo(_text(change, jobs.get(change.place)))
    if not options.dry_run:
        invocation.stdout.flush()
        needed = [job for job in jobs.values() if job.is_needed]
        _carry_out(invocation, Change(before, after, needs_restart=False), needed)
        invocation.note(f"{before.name} updated")
    return 0


def _settings(invocation: Invocation, options: Options) -> Settings:
    return Settings(
        node=options.node,
        options=parse_driver_options(options.driver_opt),
        dropped=tuple(options.driver_opt_rm),
        platforms=_platforms(options.platform),
        flags=parse_flags(options.buildkitd_flags[-1]) if options.buildkitd_flags else None,
        files=_files(invocation, options.buildkitd_config),
        recreate=options.recreate,
    )


def _platforms(typed: Sequence[str]) -> tuple[Platform, ...] | None:
    return parse_list(text for text in typed if text) if typed else None


def _files(invocation: Invocation, typed: Sequence[str]) -> dict[str, bytes] | None:
    if not typed:
        return None
    if not typed[-1]:
        return {}
    from dockyard.builder.daemon_config import load_config

    here = invocation.environment.working_directory
    return load_config(here / Path(typed[-1]), working_directory=here)


# --- what is to be done ----------------------------------------------------------------------


def _check_cache(changes: Sequence[NodeChange]) -> None:
    """Refuse what loses a build cache.

    Raises:
        BuilderError: A change does.
    """
    for change in changes:
        for difference in change.differences:
            if difference.loses_cache:
                raise BuilderError(
                    f"changing {difference.name} would lose the build cache of node {change.name}",
                    hint=_ALL_THE_SAME,
                )


def _jobs(
    invocation: Invocation,
    options: Options,
    before: NodeGroup,
    after: NodeGroup,
    changes: Sequence[NodeChange],
) -> dict[int, Job]:
    """Find out what there is to make anew; by the node's place.

    Raises:
        BuilderError: The new settings cannot be used, or a node does not say how it is.
    """
    (new,) = invocation.loader.load([after])
    nodes = _usable(new)
    (old,) = invocation.loader.load([before])  # this one need not be usable
    manager = invocation.manager
    places = [change.place for change in changes if change.recreates]
    tasks = [partial(_status, manager, old.nodes[place].node, nodes[place]) for place in places]
    jobs = {}
    for place, status in zip(places, gather(tasks, timeout=options.timeout), strict=True):
        node = nodes[place]
        if isinstance(status, DockyardError):
            raise _unusable(after.name, node.name, status)
        if status.is_guess:  # what runs there would go on with the old settings
            raise _unusable(after.name, node.name, BuilderError(status.reason))
        if status.cache_loss and not options.allow_cache_loss:
            raise BuilderError(
                f"making node {node.name} anew would lose its build cache, "
                f"because {status.cache_loss}",
                hint=_ALL_THE_SAME,
            )
        declared = any(change.loses_cache for change in changes if change.place == place)
        loses = declared or bool(status.cache_loss)
        jobs[place] = Job(old.nodes[place].node, node, status.state, keeps_cache=not loses)
    return jobs


def _status(manager: PluginManager, old: Node | None, new: Node, _: Cancellation) -> NodeStatus:
    """Ask for the node's status; with new settings it may be looked for where it is not yet."""
    status = manager.status(new)
    if status.state is State.INACTIVE and old is not None:
        with suppress(DockyardError):  # the old settings may be what is to be repaired
            return manager.status(old)
    return status


def _usable(builder: Builder) -> list[Node]:
    """Give the nodes of a builder that no driver objects to.

    Raises:
        BuilderError: One does.
    """
    if builder.error is not None:
        raise builder.error
    nodes = []
    for info in builder.nodes:
        if info.node is None:
            raise _unusable(builder.name, info.entry.name, info.error)
        nodes.append(info.node)
    return nodes


def _unusable(builder: str, node: str, error: DockyardError | None) -> BuilderError:
    failure = BuilderError(
        f"failed to initialize builder {builder} ({node}): {error}",
        hint=error.hint if error else None,
    )
    failure.__cause__ = error
    return failure


def _text(change: NodeChange, job: Job | None) -> str:
    """Say in a line what changes for a node, and what happens to it."""
    what = ", ".join(difference.text for difference in change.differences) or "no new settings"
    if job is None:
        return f"{change.name}: {what}; the node is not recreated"
    if not job.is_needed:
        return f"{change.name}: {what}; the node is not booted, there is nothing to recreate"
    cache = "kept" if job.keeps_cache else "lost"
    if job.is_booted:
        return (
            f"{change.name}: {what}; the node is recreated, its build cache is {cache}; "
            "builds that run on it are cut off"
        )
    return (
        f"{change.name}: {what}; the stopped node is removed, its build cache is {cache}; "
        "the next build boots it anew"
    )


# --- doing it --------------------------------------------------------------------------------


def _carry_out(invocation: Invocation, change: Change, jobs: Sequence[Job]) -> None:
    """Write the record and make the nodes anew; on failure all is put back.

    Raises:
        DockyardError: It failed.
    """
    cancel = invocation.cancellation  # from here on Ctrl-C comes as a switch, not an exception
    cancel.check()
    write(invocation.store, change)
    if not jobs:
        return

    def put_back() -> bool:
        return undo(invocation.store, change)

    def recreate(progress: Progress, cancel: Cancellation) -> None:
        Recreation(invocation.manager, progress, cancel, put_back=put_back).run(jobs)

    builder = Builder(group=change.after, driver=change.after.driver)
    try:
        watch(invocation, builder, recreate)
    except KeyboardInterrupt:
        put_back()
        raise


COMMAND = Command(
    usage="[OPTIONS] [NAME]", arguments=(0, 1), flags=_flags, run=_run, has_builder_flag=True
)
