"""``drivers``: the feature matrix of what is installed, and one driver in full."""

from __future__ import annotations

from dockyard.cli.invocation import Invocation
from dockyard.cli.matrix import describe, inspect_lines, markdown_lines, table_lines
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.table import align
from dockyard.errors import UsageError


def _flags(parser: CommandParser) -> None:
    parser.text(
        "format",
        default="table",
        choices=("table", "json", "markdown"),
        help="Format the output (table, json, markdown)",
    )


def _run(invocation: Invocation, options: Options) -> int:
    words: list[str] = options.arguments
    if not words:
        return _show_matrix(invocation, options.format)
    if words[0] != "inspect":
        raise UsageError(f'unknown command: "{words[0]}"', hint="dockyard drivers inspect NAME")
    if len(words) == 1:
        raise UsageError("drivers inspect requires 1 argument: a driver's name")
    return _show_driver(invocation, words[1], options.format)


def _show_matrix(invocation: Invocation, form: str) -> int:
    manager = invocation.manager
    drivers = manager.driver_types()
    if form == "json":
        import json

        content = {
            "drivers": [describe(driver, manager.provider(driver.name)) for driver in drivers],
            "problems": [str(problem) for problem in manager.problems],
        }
        invocation.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return 0
    if drivers:
        for line in (markdown_lines if form == "markdown" else table_lines)(drivers):
            invocation.echo(line)
    else:
        invocation.note("no driver is installed")
        invocation.note(manager.missing_hint(None))
    _show_problems(invocation)
    return 0


def _show_problems(invocation: Invocation) -> None:
    invocation.stdout.flush()
    problems = invocation.manager.problems
    if problems:
        invocation.note("")
    for problem in problems:
        invocation.warn(f"{problem} ({problem.hint})" if problem.hint else str(problem))


def _show_driver(invocation: Invocation, name: str, form: str) -> int:
    driver = invocation.manager.driver_type(name)
    provider = invocation.manager.provider(name)
    if form == "json":
        import json

        invocation.echo(json.dumps(describe(driver, provider), indent=2, ensure_ascii=False))
        return 0
    for line in align(inspect_lines(driver, provider), padding=3):
        invocation.echo(line.rstrip())
    return 0


COMMAND = Command(
    usage="[OPTIONS] [inspect NAME]",
    arguments=(0, 2),
    flags=_flags,
    run=_run,
    has_builder_flag=False,
)
