"""Caches in other people's services: credentials from the environment, and what a daemon lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from attrs import evolve

from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, CacheEntry, boolean
from dockyard.errors import ConfigError

_CAPABILITIES = {"gha": "cache.gha", "s3": "cache.s3"}
_SINCE = {"gha": "0.9", "s3": "0.11"}
_KEYS = {"access_key_id", "secret_access_key"}

Warn = Callable[[str], None]
AskCapabilities = Callable[[], frozenset[str]]


class RemoteCaches(NamedTuple):
    """Says what the daemon is told of each cache."""

    variables: Mapping[str, str]
    home: Path
    capabilities: AskCapabilities
    """Asked only when a build has such a cache."""
    warn: Warn
    cancel: Cancellation

    def prepare(self, request: BuildRequest) -> BuildRequest:
        """Give a request as the daemon has to be asked: caches that it can use, with credentials.

        A build goes on without a cache that it cannot have; a person is told of it.
        """
        everything = (*request.cache_from, *request.cache_to)
        if not any(entry.type in _CAPABILITIES for entry in everything):
            return request
        able = self.capabilities()
        keys: dict[str, str] = {}
        if _CAPABILITIES["s3"] in able and any(_lacks_keys(entry) for entry in everything):
            keys = self._aws()
        return evolve(
            request,
            cache_from=tuple(self._usable(request.cache_from, able, keys, "import from")),
            cache_to=tuple(self._usable(request.cache_to, able, keys, "export to")),
        )

    def _usable(
        self,
        entries: Iterable[CacheEntry],
        able: frozenset[str],
        keys: Mapping[str, str],
        role: str,
    ) -> Iterator[CacheEntry]:
        for entry in entries:
            capability = _CAPABILITIES.get(entry.type)
            if capability is not None and capability not in able:
                self.warn(
                    f"cache {role} {entry.type} skipped: BuildKit lacks {capability}, which "
                    f"version {_SINCE[entry.type]} has"
                )
            elif entry.type == "gha":
                yield from self._actions(entry, role)
            elif _lacks_keys(entry):
                yield evolve(entry, attributes={**keys, **entry.attributes})
            else:
                yield entry

    def _actions(self, entry: CacheEntry, role: str) -> Iterator[CacheEntry]:
        """Give a cache of GitHub Actions, unless nothing says where it is."""
        attributes = dict(entry.attributes)
        version = attributes.get("version")
        if version is None and _is_true(self.variables.get("ACTIONS_CACHE_SERVICE_V2", "")):
            version = "2"
        self._fill(attributes, "token", "ACTIONS_RUNTIME_TOKEN")
        if version == "2":
            self._fill(attributes, "url_v2", "ACTIONS_RESULTS_URL")
        self._fill(attributes, "url", "ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL")
        if attributes.get("token") and (attributes.get("url") or attributes.get("url_v2")):
            yield evolve(entry, attributes=attributes)
        else:
            self.warn(
                f"cache {role} gha skipped: it needs ACTIONS_RUNTIME_TOKEN, and "
                "ACTIONS_RESULTS_URL or ACTIONS_CACHE_URL"
            )

    def _fill(self, attributes: dict[str, str], key: str, *names: str) -> None:
        found = next((name for name in names if name in self.variables), None)
        if found is not None:
            attributes.setdefault(key, self.variables[found])

    def _aws(self) -> dict[str, str]:
        """Find credentials for S3; without any the daemon looks for its own."""
        from dockyard.building.caches.aws import aws_credentials

        try:
            found = aws_credentials(self.variables, self.home, self.cancel)
        except ConfigError as error:
            self.warn(f"{error}" + (f" ({error.hint})" if error.hint else ""))
            return {}
        return {key: value for key, value in found._asdict().items() if value} if found else {}


def _lacks_keys(entry: CacheEntry) -> bool:
    return entry.type == "s3" and not entry.attributes.keys() >= _KEYS


def _is_true(value: str) -> bool:
    try:
        return boolean(value)
    except ValueError:
        return False
