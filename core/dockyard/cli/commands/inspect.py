"""``inspect``: everything about one builder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dockyard.builder.builder import Builder, NodeInfo
from dockyard.builder.selection import choose
from dockyard.cli.boot import boot
from dockyard.cli.duration import format_duration
from dockyard.cli.invocation import Invocation
from dockyard.cli.listing import platform_texts
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.table import align
from dockyard.driver import Feature, GCPolicy
from dockyard.errors import DockyardError


def _flags(parser: CommandParser) -> None:
    parser.switch("bootstrap", help="Ensure builder has booted before inspecting")
    parser.duration(
        "timeout",
        default="20s",
        help="Override the default timeout for loading builder status",
    )


def _run(invocation: Invocation, options: Options) -> int:
    name = options.arguments[0] if options.arguments else invocation.builder
    group = choose(invocation.store, invocation.contexts, name)
    with invocation.store.locked() as records:
        last_activity = records.last_activity(group.name)
    (builder,) = invocation.loader.load([group], data=True, timeout=options.timeout)
    if options.bootstrap and builder.error is None and boot(invocation, builder):
        (builder,) = invocation.loader.load([group], data=True, timeout=options.timeout)
    for line in align(_lines(builder, last_activity, debug=invocation.debug)):
        invocation.echo(line)
    return 0


def _lines(builder: Builder, last_activity: datetime | None, *, debug: bool) -> Iterator[str]:
    yield f"Name:\t{builder.name}"
    yield f"Driver:\t{builder.driver}"
    if last_activity is not None:
        yield f"Last Activity:\t{last_activity:%Y-%m-%d %H:%M:%S} +0000 UTC"
    if builder.error is not None:
        yield from _error(builder.error)
        return
    yield ""
    yield "Nodes:"
    for index, info in enumerate(builder.nodes):
        if index:
            yield ""
        yield from _node_lines(info, debug=debug)


def _node_lines(info: NodeInfo, *, debug: bool) -> Iterator[str]:
    entry = info.entry
    yield f"Name:\t{entry.name}"
    yield f"Endpoint:\t{entry.endpoint}"
    if entry.options:
        typed = sorted(entry.options.items())
        yield "Driver Options:\t" + " ".join(f'{key}="{value}"' for key, value in typed)
    if info.error is not None:
        yield from _error(info.error)
        return
    yield f"Status:\t{info.state or ''}"
    if info.status is not None and info.status.reason and not info.is_running:
        yield f"Reason:\t{_flat(info.status.reason)}"
    if entry.flags:
        yield f"BuildKit daemon flags:\t{' '.join(entry.flags)}"
    if info.version:
        yield f"BuildKit version:\t{info.version}"
    platforms = platform_texts(info)
    if platforms:
        yield f"Platforms:\t{', '.join(platforms)}"
    if debug:
        yield from _feature_lines(info)
    yield from _worker_lines(info)
    for path, content in sorted(entry.files.items()):
        yield f"File#{path}:"
        for line in content.decode("utf-8", "replace").split("\n"):
            yield f" > {line}"


def _feature_lines(info: NodeInfo) -> Iterator[str]:
    if info.features is None:
        return
    yield "Features:"
    for feature in sorted(Feature, key=lambda feature: feature.label):
        yield f"\t{feature.label}:\t{'true' if info.features.has(feature) else 'false'}"


def _worker_lines(info: NodeInfo) -> Iterator[str]:
    if not info.workers:
        return
    worker = info.workers[0]
    if worker.labels:
        yield "Labels:"
        for key, value in sorted(worker.labels.items()):
            yield f" {key}:\t{value}"
    for index, policy in enumerate(worker.gc_policies):
        yield f"GC Policy rule#{index}:"
        yield from _policy_lines(policy)


def _policy_lines(policy: GCPolicy) -> Iterable[str]:
    yield f" All:\t{'true' if policy.all else 'false'}"
    if policy.filters:
        yield f" Filters:\t{' '.join(policy.filters)}"
    if policy.keep_duration:
        yield f" Keep Duration:\t{format_duration(policy.keep_duration)}"
    if policy.reserved_space:
        yield f" Reserved Space:\t{_size(policy.reserved_space)}"
    if policy.max_used_space:
        yield f" Max Used Space:\t{_size(policy.max_used_space)}"
    if policy.min_free_space:
        yield f" Min Free Space:\t{_size(policy.min_free_space)}"


def _error(error: DockyardError) -> Iterator[str]:
    yield f"Error:\t{_flat(str(error))}"
    if error.hint:
        yield f"Hint:\t{_flat(error.hint)}"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _size(count: int) -> str:
    """Write a number of bytes with four significant digits and a binary unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024 or unit == "PiB":
            return f"{size:.4g}{unit}"
        size /= 1024
    raise AssertionError  # the loop always returns


COMMAND = Command(
    usage="[OPTIONS] [NAME]", arguments=(0, 1), flags=_flags, run=_run, has_builder_flag=True
)
