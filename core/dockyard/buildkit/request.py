"""What BuildKit is asked to build, and how that is said on the wire."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dockyard.driver import CacheEntry

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Exporter(NamedTuple):
    """What to do with the result, in BuildKit's terms."""

    type: str
    attributes: Mapping[str, str] = MappingProxyType({})


class SolveRequest(NamedTuple):
    """What BuildKit is asked to build."""

    ref: str
    """Names this build on the daemon; see :func:`new_id`."""
    session: str = ""
    """The id of the session that serves files and secrets."""
    frontend: str = "dockerfile.v0"
    attributes: Mapping[str, str] = MappingProxyType({})
    """The frontend's own options."""
    exporters: tuple[Exporter, ...] = ()
    cache_imports: tuple[CacheEntry, ...] = ()
    cache_exports: tuple[CacheEntry, ...] = ()
    entitlements: tuple[str, ...] = ()
    inputs: Mapping[str, bytes] = MappingProxyType({})
    """Definitions for the frontend, by name; only we can give them to it, see ``gateway``."""
    internal: bool = False
    """Keep no record of this build."""
    source_policy: Mapping[str, Any] | None = None
    """Rules for what the build may fetch, in the words of the wire."""
    policy_session: str = ""
    """The id of the session that is asked what the build may fetch."""
    proxy_network: bool = False
    """Let what runs reach the network only through the daemon's proxy."""


def new_id() -> str:
    """Make a random name for a build, a session or an upload: 25 letters and digits."""
    number = int.from_bytes(os.urandom(17), "big")
    out = ""
    for _ in range(25):
        number, digit = divmod(number, 36)
        out += _DIGITS[digit]
    return out


def request_values(request: SolveRequest) -> dict[str, Any]:
    """Put a request into the words of the wire."""
    attributes = dict(request.attributes)
    if request.cache_imports and "cache-imports" not in attributes:
        attributes["cache-imports"] = imports_attribute(request.cache_imports)
    values: dict[str, Any] = {
        "Ref": request.ref,
        "Session": request.session,
        "Frontend": request.frontend,
        "FrontendAttrs": attributes,
        "Exporters": [_entry(one) for one in request.exporters],
        # There even when empty: daemons look inside without asking whether it is there.
        "Cache": {
            "Imports": [_entry(one) for one in request.cache_imports],
            "Exports": [_entry(one) for one in request.cache_exports],
        },
        "Entitlements": list(request.entitlements),
        "Internal": request.internal,
    }
    if request.source_policy is not None:
        values["SourcePolicy"] = request.source_policy
    if request.policy_session:
        values["SourcePolicySession"] = request.policy_session
        values["ProxyNetwork"] = request.proxy_network
    if request.exporters:
        # All that daemons before 0.13 know; newer ones prefer the list.
        values["ExporterDeprecated"] = request.exporters[0].type
        values["ExporterAttrsDeprecated"] = request.exporters[0].attributes
    return values


def _entry(one: Exporter | CacheEntry) -> dict[str, Any]:
    return {"Type": one.type, "Attrs": one.attributes}


def imports_attribute(entries: tuple[CacheEntry, ...]) -> str:
    """Give the caches to read as the frontend wants them among its attributes: as JSON."""
    import json

    return json.dumps(
        [{"Type": one.type, "Attrs": dict(one.attributes)} for one in entries],
        separators=(",", ":"),
    )
