"""Which settings of a ``buildkitd.toml`` have to be of which type.

A daemon that finds another type does not start, so it is better said when a builder is made. What
is not listed here is left to the daemon, which may know more settings than we do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SWITCHES = """
    debug trace proxyNetwork cdi.disabled frontend.*.enabled
    registry.*.http registry.*.insecure
    worker.*.enabled worker.*.gc worker.*.gcpolicy.all worker.*.noProcessSandbox
    worker.*.rootless worker.*.selinux
"""
_NUMBERS = """
    grpc.uid grpc.gid history.maxEntries system.maxRegistryConcurrency
    worker.*.cniPoolSize worker.*.max-parallelism
"""
_TEXTS = """
    root provenanceEnvDir log.format log.level otel.socketPath
    grpc.debugAddress grpc.securityDescriptor grpc.tls.cert grpc.tls.key grpc.tls.ca
    registry.*.keypair.cert registry.*.keypair.key
    worker.*.address worker.*.apparmor-profile worker.*.binary worker.*.bridgeName
    worker.*.bridgeSubnet worker.*.cniBinaryPath worker.*.cniConfigPath
    worker.*.defaultCgroupParent worker.*.labels.* worker.*.namespace worker.*.networkMode
    worker.*.snapshotter
"""
_LISTS = """
    insecure-entitlements grpc.address cdi.specDirs cdi.autoAllowed
    dns.nameservers dns.options dns.searchDomains
    registry.*.ca registry.*.mirrors registry.*.tlsconfigdir
    worker.*.gcpolicy.filters worker.*.platforms
"""
_TABLES = """
    cache cdi dns frontend frontend.* grpc grpc.tls history log otel registry registry.* system
    worker worker.* worker.*.labels
"""
_ARRAYS = "registry.*.keypair worker.*.gcpolicy"

_WORDS = {
    "switch": "true or false",
    "number": "a whole number",
    "text": "a text",
    "list": "a list of texts",
    "table": "a table",
    "array": "a list of tables",
}


def type_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Say of each setting of a wrong type what it should be; the nearest to the root first."""
    yield from _problems(values, (), ())


def _problems(
    values: Mapping[str, Any], shown: tuple[str, ...], path: tuple[str, ...]
) -> Iterator[str]:
    for key, value in values.items():
        place = (*path, key if (*path, key) in _KINDS or (*path, "*") not in _INNER else "*")
        wanted = _KINDS.get(place)
        name = ".".join((*shown, key))
        if wanted is not None and not _is(wanted, value):
            yield f"{name} has to be {_WORDS[wanted]}, not {value!r}"
        elif isinstance(value, Mapping):
            yield from _problems(value, (*shown, key), place)
        elif wanted == "array":
            for table in value:
                yield from _problems(table, (*shown, key), place)


def _is(wanted: str, value: object) -> bool:
    match wanted:
        case "switch":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "table":
            return isinstance(value, Mapping)
    item = str if wanted == "list" else Mapping
    return isinstance(value, list) and all(isinstance(one, item) for one in value)


def _kinds() -> Iterator[tuple[tuple[str, ...], str]]:
    listed = (_SWITCHES, _NUMBERS, _TEXTS, _LISTS, _TABLES, _ARRAYS)
    for kind, names in zip(_WORDS, listed, strict=True):
        for name in names.split():
            yield tuple(name.split(".")), kind


_KINDS = dict(_kinds())
_INNER = {path[: end + 1] for path in _KINDS for end in range(len(path))}
