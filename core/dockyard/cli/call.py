"""Showing what a call gave, and the exit code that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve

from dockyard.building.call.grammar import Call
from dockyard.building.call.result import (
    CallResult,
    LintError,
    LintResult,
    LintWarning,
    Methods,
    Outline,
    OutlineItem,
    Targets,
    call_result,
)
from dockyard.cli.table import align
from dockyard.driver import BuildRequest
from dockyard.errors import InputError
from dockyard.events import SourceInfo, SourceRange

_DIGITS = 10
_OURS = (1, 0, 0)
"""The version of the answers that we can show; what is newer shows itself."""

Echo = Callable[[str], None]
"""Takes one line, or several."""


def show_call(call: Call, answer: Mapping[str, str], request: BuildRequest, echo: Echo) -> int:
    """Show the answer to a call, and give the exit code.

    Args:
        call: What was called, and how its answer shall be shown.
        answer: What the frontend said.
        request: What it was asked about.
        echo: Writes to ``stdout``.

    Raises:
        InputError: The Dockerfile that was checked cannot be built; says why.
        ProtocolError: The answer makes no sense.
    """
    result = call_result(call.name, answer)
    if call.format == "json":
        echo(answer.get("result.json", ""))
    elif _is_newer(answer) or type(result) is CallResult:
        text = answer.get("result.txt")
        echo(f"{call.name} {dict(answer)}" if text is None else text.removesuffix("\n"))
    else:
        for line in _lines(result, _dockerfile(request)):
            echo(line)
    if isinstance(result, LintResult) and result.error is not None:
        raise _broken(result.error, _dockerfile(request))
    return 0 if call.ignore_status else result.status


def _lines(result: CallResult, dockerfile: str) -> list[str]:
    if isinstance(result, LintResult):
        return _lint(result, dockerfile)
    if isinstance(result, Outline):
        return _outline(result)
    if isinstance(result, Targets):
        return _targets(result)
    assert isinstance(result, Methods)
    rows = [(one.name, one.version, one.description) for one in result.methods]
    return _table([("NAME", "VERSION", "DESCRIPTION"), *rows], 1)


def _is_newer(answer: Mapping[str, str]) -> bool:
    parts = answer.get("version", "").split(".")
    understood = all(part.isdecimal() and len(part) < _DIGITS for part in parts)
    if not answer.get("result.txt") or not understood:
        return False
    return tuple(int(part) for part in parts) > _OURS


# --- a check -----------------------------------------------------------------------------------


def _lint(result: LintResult, dockerfile: str) -> list[str]:
    count = len(result.warnings)
    if not count:
        return [] if result.error else ["Check complete, no warnings found."]
    number = "1 warning has" if count == 1 else f"{count} warnings have"
    lines = [f"Check complete, {number} been found!"]
    for warning in sorted(result.warnings, key=_order):
        title = f"{warning.rule} - {warning.url}" if warning.url else warning.rule
        lines += ["", f"WARNING: {title}", warning.detail]
        lines += _excerpt(warning.source, warning.ranges, dockerfile)
    return [*lines, ""] if result.error else lines


def _order(warning: LintWarning) -> tuple[int, str, int, str]:
    """Sort by place; what is about no place comes first, by name."""
    if warning.source is None:
        return (-1, "", 0, warning.rule)
    if not warning.ranges:
        return (0, warning.source.filename, -1, warning.rule)
    return (0, warning.source.filename, warning.line, "")


def _broken(error: LintError, dockerfile: str) -> InputError:
    lines = [error.message, *_excerpt(error.source, error.ranges, dockerfile)]
    return InputError("\n".join([*lines, ""]))


def _excerpt(
    source: SourceInfo | None, ranges: Sequence[SourceRange], dockerfile: str
) -> list[str]:
    """Show lines of a Dockerfile, which is called by the name that a person gave it."""
    from dockyard.buildkit.details import excerpt

    if source is None:
        return []
    shown = excerpt(evolve(source, filename=dockerfile or source.filename), ranges)
    return [] if shown is None else [shown]


def _dockerfile(request: BuildRequest) -> str:
    if request.dockerfile == "-":
        return "stdin"
    return request.dockerfile or str(Path(request.build_context, "Dockerfile"))


# --- outline and targets -----------------------------------------------------------------------


def _outline(outline: Outline) -> list[str]:
    lines = []
    if outline.name or outline.description:
        rows = [("TARGET:", outline.name or "(default)")]
        if outline.description:
            rows.append(("DESCRIPTION:", outline.description))
        lines += [*_table(rows, 1), ""]
    if outline.args:
        rows3 = [(arg.name, arg.value, arg.description) for arg in outline.args]
        lines += [*_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows3], 3), ""]
    for title, items in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if items:
            lines += [*_table([(title, "REQUIRED"), *map(_required, items)], 3), ""]
    return lines


def _required(item: OutlineItem) -> tuple[str, str]:
    return item.name, "true" if item.required else ""


def _targets(targets: Targets) -> list[str]:
    rows = []
    for target in targets.targets:
        name = target.name
        if target.default:
            name = f"{name} (default)" if name else "(default)"
        rows.append((name, target.description))
    return _table([("TARGET", "DESCRIPTION"), *rows], 1)


def _table(rows: Iterable[Sequence[str]], padding: int) -> list[str]:
    return align(
        ("\t".join(" ".join(cell.split()) for cell in row) for row in rows), padding=padding
    )
