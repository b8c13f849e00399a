"""Builders as values to print: the rows of ``ls``, its JSON form, shortened platform lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.builder.builder import Builder, NodeInfo
from dockyard.driver import GCPolicy

if TYPE_CHECKING:
    from datetime import datetime

_MAIN_PLATFORMS = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/mips64",
)
_SHOWN_PLATFORMS = 4
_ZERO_TIME = "0001-01-01T00:00:00Z"

HEADERS = {
    "Name": "NAME/NODE",
    "DriverEndpoint": "DRIVER/ENDPOINT",
    "LastActivity": "LAST ACTIVITY",
    "Status": "STATUS",
    "Buildkit": "BUILDKIT",
    "Platforms": "PLATFORMS",
    "Error": "ERROR",
    "Builder": "BUILDER",
}


class Listed(NamedTuple):
    """A builder to be listed."""

    builder: Builder
    last_activity: datetime | None
    is_current: bool


def rows(listed: Listed, *, for_table: bool, truncate: bool) -> list[dict[str, Any]]:
    """Give the builder's row and its nodes' rows, by the names that templates use."""
    builder = listed.builder
    same = {"Builder": _describe(listed), ".": describe(listed)}  # "." is what {{.}} gives
    mark = "*" if for_table and listed.is_current else ""
    indent = " \\_ " if for_table else ""
    first = {
        "Name": builder.name + mark,
        "DriverEndpoint": builder.driver,
        "LastActivity": _time(listed.last_activity) if listed.last_activity else "",
        "Status": "error" if builder.error else "",
        "Buildkit": "",
        "Platforms": "",
        "Error": str(builder.error or ""),
        **same,
    }
    if builder.error is not None:
        return [first]
    return [
        first,
        *(
            {
                "Name": indent + info.entry.name,
                "DriverEndpoint": indent + info.entry.endpoint,
                "LastActivity": "",
                "Status": "error" if info.error else str(info.state or ""),
                "Buildkit": info.version,
                "Platforms": (shorten if truncate else ", ".join)(platform_texts(info)),
                "Error": str(info.error or ""),
                **same,
            }
            for info in builder.nodes
        ),
    ]


def describe(listed: Listed) -> dict[str, Any]:
    """Give the builder as ``ls --format json`` prints it, the keys sorted."""
    values = {"Current": listed.is_current, **_describe(listed)}
    for node in values["Nodes"]:
        if "GCPolicy" in node:
            node["GCPolicy"] = list(map(_sorted, node["GCPolicy"]))
    values["Nodes"] = list(map(_sorted, values["Nodes"]))
    return _sorted(values)


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(values.items()))


def _describe(listed: Listed) -> dict[str, Any]:
    """Give the builder as a template gets it; the keys are in the order that buildx has."""
    builder = listed.builder
    values: dict[str, Any] = {
        "Name": builder.name,
        "Driver": builder.driver,
        "LastActivity": _time(listed.last_activity) if listed.last_activity else _ZERO_TIME,
        "Dynamic": builder.is_dynamic,
        "Nodes": [_describe_node(info) for info in builder.nodes],
    }
    if builder.error is not None:
        values["Err"] = str(builder.error)
    return values


def platform_texts(info: NodeInfo) -> list[str]:
    """Give a node's platforms, those that a person declared with a ``*``."""
    declared = set(info.entry.platforms)
    return [f"{item}*" if item in declared else str(item) for item in info.platforms]


def shorten(platforms: Sequence[str]) -> str:
    """Make a list of platforms short enough for a table: four groups, main platforms first.

    A group holds all variants of one architecture and says how many there are. The fourth group
    takes one member only, as in buildx.
    """
    groups: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for main in _MAIN_PLATFORMS:
        for text in platforms:
            if len(groups) < _SHOWN_PLATFORMS and _family(text) == main:
                groups.setdefault(main, []).append(text)
    for text in platforms:
        if _family(text) not in groups:
            others.setdefault(_family(text), []).append(text)
    for family in list(others)[: _SHOWN_PLATFORMS - len(groups)]:
        groups[family] = others[family]
    shown = [_group_text(family, members) for family, members in groups.items()]
    left = len(platforms) - sum(map(len, groups.values()))
    return ", ".join([*shown, *([f"({left} more)"] if left else [])])


def _group_text(family: str, members: Sequence[str]) -> str:
    if len(members) == 1:
        return members[0]
    mark = "*" if any(member.endswith("*") for member in members) else ""
    return f"{family}{mark} (+{len(members)})"


def _family(platform: str) -> str:
    return "/".join(platform.removesuffix("*").split("/")[:2])


def _describe_node(info: NodeInfo) -> dict[str, Any]:
    entry = info.entry
    optional: dict[str, Any] = {
        "Flags": list(entry.flags),
        "DriverOpts": dict(entry.options),
        "Files": {path: _base64(content) for path, content in sorted(entry.files.items())},
        "Status": "" if info.error else str(info.state or ""),
        "Version": info.version,
        "Err": str(info.error or ""),
        "IDs": sorted(worker.id for worker in info.workers),
        "Platforms": [str(platform) for platform in info.platforms],
        "GCPolicy": [_describe_policy(policy) for policy in _policies(info)],
        "Labels": dict(sorted(_labels(info).items())),
    }
    values = {"Name": entry.name, "Endpoint": entry.endpoint}
    return values | {key: value for key, value in optional.items() if value}


def _describe_policy(policy: GCPolicy) -> dict[str, Any]:
    return {
        "all": policy.all,
        "filter": list(policy.filters) or None,  # as Go writes a list that was never made
        "keepDuration": policy.keep_duration,
        "reservedSpace": policy.reserved_space,
        "maxUsedSpace": policy.max_used_space,
        "minFreeSpace": policy.min_free_space,
    }


def _policies(info: NodeInfo) -> Iterable[GCPolicy]:
    return info.workers[0].gc_policies if info.workers else ()


def _labels(info: NodeInfo) -> Mapping[str, str]:
    return info.workers[0].labels if info.workers else {}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode("ascii")
