"""The grammars of a build's other flags, each turned into its part of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockyard.building.grammar.csvline import fields, pairs, shown
from dockyard.building.grammar.number import byte_count, ulimit
from dockyard.driver import CacheEntry
from dockyard.errors import InputError
from dockyard.quote import in_line, quoted

_GATEWAY = "host-gateway"


def parse_assignments(values: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Turn ``KEY=VALUE`` build arguments into a mapping; ``KEY`` alone takes the environment's.

    Raises:
        InputError: A key is empty.
    """
    found = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not key:
            raise InputError(f"invalid key-value pair {quoted(value)}: empty key")
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
            raise InputError(f"invalid key-value pair {quoted(value)}: empty key")
        found[key] = text
    return found


def parse_size(value: str, flag: str) -> int:
    """Turn a size such as ``64m`` into bytes; units are powers of 1024.

    Raises:
        InputError: It is no size.
    """
    try:
        return byte_count(value)
    except ValueError as error:
        raise _argument(value, flag, error) from error


def parse_ulimits(values: Iterable[str]) -> tuple[str, ...]:
    """Check limits, each ``name=soft[:hard]``, and give them with both limits and by name.

    Of one name the last counts.

    Raises:
        InputError: The name is unknown, or a limit is no number, or soft is above hard.
    """
    found = {}
    for value in values:
        try:
            limit = ulimit(value)
        except ValueError as error:
            raise _argument(value, "ulimit", error) from error
        found[limit.partition("=")[0]] = limit
    return tuple(found[name] for name in sorted(found))


def parse_add_host(value: str) -> list[tuple[str, str]]:
    """Turn ``host:ip`` or ``host=ip[,ip]`` into pairs of host and address.

    What makes no sense stays as it is, with no address: :func:`check_hosts` refuses it.
    """
    host, _, addresses = value.partition("=" if "=" in value else ":")
    found = [(host, _bare(address)) for address in addresses.split(",")]
    if host and (addresses == _GATEWAY or all(_is_address(address) for _, address in found)):
        return found
    return [(value, "")]


def check_hosts(pairs: Iterable[tuple[str, str]]) -> None:
    """Make sure that there is a host and an address in each pair.

    Raises:
        InputError: One is missing, or the address is none.
    """
    for host, address in pairs:
        if not address:
            raise InputError(f"invalid host {in_line(host)}", hint="it is NAME=IP or NAME:IP")
        if not host or (address != _GATEWAY and not _is_address(address)):
            raise InputError(f"invalid host {in_line(host)}:{in_line(address)}")


def check_network(mode: str) -> None:
    """Check the value of ``--network``.

    Raises:
        InputError: BuildKit has no such mode.
    """
    if mode not in {"", "default", "none", "host"}:
        raise InputError(
            f"network mode {quoted(mode)} not supported by buildkit - you can define a custom "
            "network for your builder using the network driver-opt in buildx create"
        )


def parse_cache(values: Iterable[str]) -> tuple[CacheEntry, ...]:
    """Turn the values of ``--cache-from`` or ``--cache-to`` into entries; empty ones are none.

    Raises:
        InputError: A value does not follow the grammar.
    """
    entries = []
    for value in filter(None, values):
        if "=" not in value:
            entries += [_registry(field) for field in fields(value)]
            continue
        attributes = dict(pairs(value, strip=False))
        kind = attributes.pop("type", "")
        if not kind:
            raise InputError(f"type required for {quoted(shown(value))}")
        entries.append(CacheEntry(type=kind, attributes=attributes))
    return tuple(entries)


def _registry(reference: str) -> CacheEntry:
    """Give what a bare reference stands for; one in quotes may have quotes itself."""
    first, *more = fields(reference)
    if more:
        raise InputError(f"invalid value {in_line(first)}")
    return CacheEntry(type="registry", attributes={"ref": first})


def _argument(value: str, flag: str, error: ValueError) -> InputError:
    return InputError(f'invalid argument {quoted(value)} for "--{flag}" flag: {error}')


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _bare(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text
