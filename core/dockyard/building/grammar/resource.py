"""The grammar of ``--resource``: limits for the containers that run a build's steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockyard.building.grammar.number import byte_count, integer
from dockyard.errors import InputError
from dockyard.quote import quoted

CAPABILITY = "exec.meta.linux.resources"
"""What a daemon calls its ability to limit steps."""
_ATTRIBUTES = {
    "memory": "memory",
    "memory-swap": "memswap",
    "cpu-shares": "cpushares",
    "cpu-period": "cpuperiod",
    "cpu-quota": "cpuquota",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
}
NAMES = tuple(_ATTRIBUTES)
"""All limits; each was a flag of its own once."""


def parse_resources(values: Iterable[str]) -> dict[str, str]:
    """Turn ``name=value`` limits into a mapping; sizes become bytes, and the last of a name counts.

    Raises:
        InputError: A limit is unknown, or its value is none.
    """
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise InputError(f"invalid resource {quoted(value)}, expected key=value")
        name, text = name.strip(), text.strip()
        if name not in _ATTRIBUTES:
            raise InputError(
                f"unknown resource {quoted(name)}", hint=f"the resources are {', '.join(NAMES)}"
            )
        try:
            found[name] = _parsed(name, text)
        except ValueError as error:
            raise InputError(
                f"invalid value {quoted(text)} for resource {name}: {error}"
            ) from error
    return found


def resource_attributes(resources: Mapping[str, str]) -> dict[str, str]:
    """Give the attributes for the limits that limit something."""
    return {_ATTRIBUTES[name]: text for name, text in resources.items() if _limits(name, text)}


def _limits(name: str, text: str) -> bool:
    if name.startswith("cpuset"):
        return bool(text)  # the first processor is called 0
    return text not in {"", "0"} and (not text.startswith("-") or name == "memory-swap")


def _parsed(name: str, text: str) -> str:
    if name.startswith("cpuset"):
        return text
    if name == "memory-swap" and text == "-1":
        return text  # no limit
    return str(byte_count(text) if name.startswith("memory") else integer(text))
