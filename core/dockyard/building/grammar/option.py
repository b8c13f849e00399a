"""The grammars of a build's other flags, each turned into its part of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dockyard.building.grammar.csvline import fields, pairs, shown
from dockyard.driver import CacheEntry
from dockyard.errors import InputError

_SIZE = r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([kKmMgGtTpP])?[iI]?[bB]?"
_ULIMITS = (
    "core cpu data fsize locks memlock msgqueue nice nofile nproc "
    "rss rtprio rttime sigpending stack"
)


def parse_assignments(values: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Turn ``KEY=VALUE`` build arguments into a mapping; ``KEY`` alone takes the environment's.

    Raises:
        InputError: A key is empty.
    """
    found = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key:
            raise InputError(f'invalid key-value pair "{value}": empty key')
        if equals:
            found[key] = text
        elif key in variables:
            found[key] = variables[key]
    return found


def parse_labels(values: Iterable[str]) -> dict[str, str]:
    """Turn ``KEY=VALUE`` labels into a mapping; ``KEY`` alone is an empty label.

    Raises:
        InputError: A key is empty.
    """
    found = {}
    for value in values:
        key, _, text = value.partition("=")
        if not key:
            raise InputError(f'invalid key-value pair "{value}": empty key')
        found[key] = text
    return found


def parse_size(value: str, flag: str) -> int:
    """Turn a size such as ``64m`` into bytes; units are powers of 1024.

    Raises:
        InputError: It is no size.
    """
    size = byte_count(value.strip())
    if size is None:
        raise InputError(
            f'invalid argument "{value}" for "--{flag}" flag: invalid size: \'{value}\''
        )
    return size


def byte_count(text: str) -> int | None:
    """Turn a size such as ``64m`` into bytes, None when it is no size."""
    match = re.fullmatch(_SIZE, text)
    if match is None:
        return None
    power = " kmgtp".index((match[2] or " ").lower())
    return int(float(match[1]) * 1024**power)


def parse_ulimit(value: str) -> str:
    """Check one ``type=soft[:hard]`` and give it with both limits.

    Raises:
        InputError: The type is unknown, or a limit is no number, or soft is above hard.
    """
    wrong = InputError(
        f'invalid argument "{value}" for "--ulimit" flag: invalid ulimit argument: {value}'
    )
    name, equals, limits = value.partition("=")
    if not equals:
        raise wrong
    if name not in _ULIMITS.split(" "):
        raise InputError(
            f'invalid argument "{value}" for "--ulimit" flag: invalid ulimit type: {name}'
        )
    parts = limits.split(":")
    try:
        soft, hard = int(parts[0]), int(parts[-1])
    except ValueError as error:
        raise wrong from error
    if len(parts) > 2:
        raise wrong
    if hard != -1 and (soft == -1 or soft > hard):
        raise InputError(
            f'invalid argument "{value}" for "--ulimit" flag: ulimit soft limit must be less than '
            f"or equal to hard limit: {soft} > {hard}"
        )
    return f"{name}={soft}:{hard}"


def parse_add_host(value: str) -> list[tuple[str, str]]:
    """Turn ``host:ip`` or ``host=ip`` into pairs of host and address.

    After a comma comes another address of that host, or another host with its own.

    Raises:
        InputError: It has no host, or an address is none.
    """
    found: list[tuple[str, str]] = []
    for part in value.split(","):
        if found and (_is_address(part) or not re.search("[:=]", part)):
            found.append((found[-1][0], _address(part, value)))
            continue
        host, _, address = part.partition("=" if "=" in part else ":")
        if not host or not address:
            raise InputError(f"invalid host {value}")
        found.append((host, _address(address, value)))
    return found


def parse_network(value: str) -> str:
    """Check the value of ``--network``.

    Raises:
        InputError: BuildKit has no such mode.
    """
    if value not in {"", "default", "none", "host"}:
        raise InputError(
            f'network mode "{value}" not supported by buildkit - you can define a custom network '
            "for your builder using the network driver-opt in buildx create"
        )
    return value


def parse_cache(values: Iterable[str]) -> tuple[CacheEntry, ...]:
    """Turn the values of ``--cache-from`` or ``--cache-to`` into entries; empty ones are none.

    Raises:
        InputError: A value does not follow the grammar.
    """
    entries = []
    for value in filter(None, values):
        record = fields(value)
        if not any("=" in field for field in record):
            entries += [CacheEntry(type="registry", attributes={"ref": ref}) for ref in record]
            continue
        attributes = dict(pairs(value))
        kind = attributes.pop("type", "")
        if not kind:
            raise InputError(f'type required for "{shown(value)}"')
        entries.append(CacheEntry(type=kind, attributes=attributes))
    return tuple(entries)


def _address(text: str, value: str) -> str:
    if text == "host-gateway":
        return text
    if not _is_address(text):
        raise InputError(f"invalid host {value}", hint=f"{text} is not an IP address")
    return _bare(text)


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(_bare(text))
    except ValueError:
        return False
    return True


def _bare(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text
