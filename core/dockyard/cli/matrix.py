"""The feature matrix: what the installed drivers declare, as a table, as JSON, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockyard.cli.table import table
from dockyard.driver import DriverType, Feature, Support


def table_lines(drivers: Sequence[DriverType]) -> list[str]:
    """Give the matrix as aligned text, the reasons as numbered lines below it."""
    notes: list[str] = []
    rows = [["FEATURE", *(driver.name for driver in drivers)]]
    for feature in Feature:
        cells = (_cell(driver.support(feature), notes, "[{}]") for driver in drivers)
        rows.append([feature.label, *cells])
    lines = [line.rstrip() for line in table(rows)]
    if notes:
        lines.append("")
    return lines + [f"[{number}] {note}" for number, note in enumerate(notes, 1)]


def markdown_lines(drivers: Sequence[DriverType]) -> list[str]:
    """Give the matrix as a Markdown table, the reasons as numbered lines below it."""
    notes: list[str] = []
    lines = [
        _markdown_row(["Feature", *(f"`{driver.name}`" for driver in drivers)]),
        _markdown_row(["---"] * (len(drivers) + 1)),
    ]
    for feature in Feature:
        cells = (_cell(driver.support(feature), notes, "<sup>{}</sup>") for driver in drivers)
        lines.append(_markdown_row([feature.label, *cells]))
    if notes:
        lines.append("")
    return lines + [f"{number}. {_escape(note)}" for number, note in enumerate(notes, 1)]


def describe(driver: DriverType, provider: str) -> dict[str, Any]:
    """Give everything that a driver declares as values for JSON."""
    distribution, _, version = provider.rpartition(" ")
    return {
        "name": driver.name,
        "summary": driver.summary,
        "distribution": distribution,
        "version": version,
        "hookSpec": driver.hook_spec,
        "creatable": driver.creatable,
        "endpoints": [{"form": form.form, "help": form.help} for form in driver.endpoints],
        "options": [
            {
                "name": option.name,
                "type": option.type,
                "default": option.default,
                "help": option.help,
                "losesCache": option.loses_cache,
            }
            for option in driver.options
        ],
        "features": {
            feature.value: _describe_support(driver.support(feature)) for feature in Feature
        },
    }


def inspect_lines(driver: DriverType, provider: str) -> list[str]:
    """Give everything that a driver declares as text for people."""
    distribution, _, version = provider.rpartition(" ")
    lines = [
        f"Name:\t{driver.name}",
        f"Summary:\t{driver.summary}",
        f"Distribution:\t{distribution}",
        f"Version:\t{version}",
        f"Hook spec:\t{driver.hook_spec}",
        f"Creatable:\t{'yes' if driver.creatable else 'no'}",
    ]
    lines += ["", "Endpoints:"]
    lines += [f" {form.form}\t{form.help}" for form in driver.endpoints] or [" none"]
    lines += ["", "Options:"]
    lines += [
        f" {option.name}{'<key>' if option.is_family else ''}\t{option.type}\t"
        f"{option.default or '-'}\t{option.help}"
        f"{'; changing it loses the build cache' if option.loses_cache else ''}"
        for option in driver.options
    ] or [" none"]
    lines += ["", "Features:"]
    for feature in Feature:
        support = driver.support(feature)
        reason = f"\t{support.reason}" if support.reason else ""
        lines.append(f" {feature.label}:\t{support.level}{reason}")
    return lines


def _cell(support: Support, notes: list[str], mark: str) -> str:
    if not support.reason:
        return str(support.level)
    if support.reason not in notes:
        notes.append(support.reason)
    return f"{support.level} {mark.format(notes.index(support.reason) + 1)}"


def _describe_support(support: Support) -> dict[str, str]:
    values = {"level": str(support.level)}
    return values | ({"reason": support.reason} if support.reason else {})


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
