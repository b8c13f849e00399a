"""``ls``: all builders and docker contexts, with what their nodes say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.builder.group import NodeGroup, context_group
from dockyard.builder.store import Listing, Records
from dockyard.cli.invocation import Invocation
from dockyard.cli.listing import HEADERS, Listed, describe, rows
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.table import table
from dockyard.errors import BuilderNotFoundError, DockyardError, StoreError

if TYPE_CHECKING:
    from datetime import datetime

_COLUMNS = ("Name", "DriverEndpoint", "Status", "Buildkit", "Platforms")


def _flags(parser: CommandParser) -> None:
    parser.text("format", default="table", help="Format the output")
    parser.switch("no-trunc", help="Don't truncate output")
    parser.duration(
        "timeout",
        default="20s",
        help="Override the default timeout for loading builder status",
    )


class _Known(NamedTuple):
    """What the disk says, before anybody is asked."""

    groups: tuple[NodeGroup, ...]
    current: str | None
    activity: dict[str, datetime | None]
    problems: tuple[DockyardError, ...]


def _run(invocation: Invocation, options: Options) -> int:
    _check_format(options.format)
    known = _read(invocation)
    loaded = invocation.loader.load(known.groups, data=True, timeout=options.timeout)
    loaded.sort(key=lambda builder: builder.error is not None)
    listed = [
        Listed(
            builder=builder,
            last_activity=known.activity[builder.name],
            is_current=builder.name == known.current,
        )
        for builder in loaded
    ]
    _print(invocation, options, listed)
    invocation.stdout.flush()
    is_table = _table_template(options.format) is not None
    _report(invocation, listed if is_table else [], known.problems)
    return 0


def _read(invocation: Invocation) -> _Known:
    """Take everything off the disk in one go.

    Raises:
        BuilderNotFoundError: The current docker context does not exist.
    """
    contexts = invocation.contexts
    names, problems = contexts.scan()
    key = contexts.endpoint_key()
    with invocation.store.locked() as records:
        listing = records.groups()
        selected, selection_problems = _selected(records, key, listing)
        stored = {group.name.lower() for group in listing.groups}
        groups = (
            *listing.groups,
            *(context_group(name) for name in names if name.lower() not in stored),
        )
        activity = {group.name: records.last_activity(group.name) for group in groups}
    if selected == "":
        selected = contexts.current_name
        if not contexts.exists(selected):
            raise BuilderNotFoundError(selected)
    return _Known(
        groups=groups,
        current=selected,
        activity=activity,
        problems=(*listing.problems, *selection_problems, *problems),
    )


def _selected(
    records: Records, key: str, listing: Listing
) -> tuple[str | None, tuple[StoreError, ...]]:
    """Name the selected builder; empty is the docker context's own, None one that is damaged."""
    try:
        group = records.selected(key)
    except StoreError as error:
        known = {str(problem) for problem in listing.problems}
        return None, () if str(error) in known else (error,)
    return group.name if group else "", ()


def _table_template(text: str) -> str | None:
    """Give the template of a table format, empty for the usual table; None when it is none."""
    return text.removeprefix("table").strip(" ") if text.startswith("table") else None


def _check_format(text: str) -> None:
    """Refuse a template that cannot be parsed before anybody is asked anything.

    Raises:
        InputError: It cannot.
    """
    template = _table_template(text)
    if text != "json" and template != "":
        from dockyard.cli.template import Template

        Template(text if template is None else template)


def _print(invocation: Invocation, options: Options, listed: Sequence[Listed]) -> None:
    text: str = options.format
    if text == "json":
        from dockyard.cli.template import to_json

        for item in listed:
            invocation.echo(to_json(describe(item)))
        return
    template = _table_template(text)
    for_table = template is not None
    lines = [
        row
        for item in listed
        for row in rows(item, for_table=for_table, truncate=for_table and not options.no_trunc)
    ]
    for line in _format(text, template, lines):
        invocation.echo(line)


def _format(text: str, template: str | None, lines: Sequence[dict[str, Any]]) -> list[str]:
    if template == "":
        keys = [HEADERS[column] for column in _COLUMNS]
        return table([keys, *([str(row[column]) for column in _COLUMNS] for row in lines)])
    from dockyard.cli.template import Template

    if template is None:
        each = Template(text)
        return [each.render(row) for row in lines]
    columns = Template(template)
    rendered = [columns.render(row) for row in (HEADERS, *lines)]
    return table([line.split("\t") for line in rendered])


def _report(
    invocation: Invocation, listed: Sequence[Listed], problems: Sequence[DockyardError]
) -> None:
    lines = [
        f"Cannot load builder {item.builder.name}: {_words(item.builder.error)}"
        for item in listed
        if item.builder.error is not None
    ]
    lines += [
        f"Failed to get status for {item.builder.name} ({info.entry.name}): {_words(info.error)}"
        for item in listed
        for info in item.builder.nodes
        if item.builder.error is None and info.error is not None
    ]
    lines += [f"WARNING: {_words(problem)}" for problem in problems]
    lines += [f"WARNING: {_words(problem)}" for problem in invocation.manager.problems]
    if lines:
        invocation.note("\n".join(["", *lines]))


def _words(error: DockyardError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


COMMAND = Command(flags=_flags, run=_run, has_builder_flag=False)
