"""Find what docker's ``config.json`` knows about a registry: user, password, tokens.

The order is docker's: a helper named for the registry in ``credHelpers``, else the one in
``credsStore``, else what stands in ``auths``. Secrets stay out of every ``repr`` and error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dockyard.cancellation import Cancellation
from dockyard.errors import ConfigError
from dockyard.value import Value

HUB_KEY = "https://index.docker.io/v1/"
"""The name under which docker's configuration keeps Docker Hub."""

_HUB_HOSTS = frozenset({"registry-1.docker.io", "index.docker.io", "docker.io"})
_HUB_ACCOUNT_HOSTS = frozenset({"dhi.io", "registry.scout.docker.com"})
"""Registries that take a Docker Hub account when they have none of their own."""

_MAX_HOST = 1000
"""Hosts come from the daemon; what cannot be one is not put before a helper."""

_KEEP = 290.0
"""Seconds an answer is remembered: less than the 5 minutes that short-lived passwords live."""


@frozen(kw_only=True, eq=False, repr=False)
class Credential(Value):
    """What is known about one registry; all empty when nothing is."""

    username: str = ""
    secret: str = field(default="", repr=False)
    """The password that goes with the user name."""
    identity_token: str = field(default="", repr=False)
    """A refresh token, in place of user name and password."""
    registry_token: str = field(default="", repr=False)
    """A bearer token to be sent as it is."""

    def __bool__(self) -> bool:
        return bool(self.secret or self.identity_token or self.registry_token)


class Credentials:
    """The credentials that one docker configuration gives access to.

    Look-ups may come from several threads; helpers are asked one after the other, because some
    of them open a window or a lock.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        path: Path | None = None,
        variables: Mapping[str, str] | None = None,
        deadline: float = 30.0,
    ) -> None:
        """Take a parsed ``config.json``.

        Args:
            config: The content of the file; empty when there is none.
            path: Where it came from, for messages.
            variables: The environment of the helpers; without it they have no ``PATH``.
            deadline: Seconds a helper may take.

        Raises:
            ConfigError: The file's parts about credentials have the wrong shape.
        """
        self._path = path
        self._variables = dict(variables or {})
        self._deadline = deadline
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Credential]] = {}
        self._auths = self._table(config, "auths")
        self._helpers = self._table(config, "credHelpers")
        store = config.get("credsStore") or ""
        if not isinstance(store, str):
            raise self._wrong("credsStore is no string")
        self._store = store

    def lookup(self, host: str, *, cancel: Cancellation | None = None) -> Credential:
        """Give the credentials for a registry's host, empty when there are none.

        Blocks while a helper runs, and while another thread waits for one.

        Raises:
            CredentialError: The credential helper is missing, failed, hung, or answered nonsense.
            ConfigError: The configuration's entry for the host makes no sense.
            CanceledError: ``cancel`` was turned.
        """
        if not host.isprintable() or " " in host or len(host) > _MAX_HOST:
            return Credential()
        cancel = cancel or Cancellation()
        key = HUB_KEY if host in _HUB_HOSTS else host
        found = self._remembered(key, cancel)
        if not found and host in _HUB_ACCOUNT_HOSTS:
            return self._remembered(HUB_KEY, cancel)
        return found

    def _remembered(self, key: str, cancel: Cancellation) -> Credential:
        with self._lock:
            cancel.check()
            at, known = self._known.get(key, (0.0, None))
            if known is not None and time.monotonic() - at < _KEEP:
                return known
            found = self._find(key, cancel)
            self._known[key] = (time.monotonic(), found)
            return found

    def _find(self, key: str, cancel: Cancellation) -> Credential:
        helper = self._helpers.get(key, self._store)
        if not isinstance(helper, str):
            raise self._wrong(f"the credential helper for {key} is no string")
        if helper:
            found = self._ask(helper, key, cancel)
            if found:
                return found
        return self._stored(key)

    def _ask(self, helper: str, key: str, cancel: Cancellation) -> Credential:
        from dockyard.engine.credential_helper import ask

        username, secret = ask(
            helper, key, variables=self._variables, deadline=self._deadline, cancel=cancel
        )
        if username == "<token>":
            return Credential(identity_token=secret)
        return Credential(username=username, secret=secret)

    def _stored(self, key: str) -> Credential:
        if key in self._auths:
            return self._entry(key, self._auths[key])
        for stored, entry in self._auths.items():
            if hostname(stored) in (key, hostname(key)):
                return self._entry(stored, entry)
        return Credential()

    def _entry(self, key: str, entry: object) -> Credential:
        if not isinstance(entry, Mapping):
            raise self._wrong(f"the entry for {key} in auths is no object")
        fields = {
            name: entry.get(name) or ""
            for name in ("auth", "username", "password", "identitytoken", "registrytoken")
        }
        if not all(isinstance(value, str) for value in fields.values()):
            raise self._wrong(f"the entry for {key} in auths has a value that is no string")
        username, password = fields["username"], fields["password"]
        if fields["auth"]:
            username, password = self._decode(key, fields["auth"])
        return Credential(
            username=username,
            secret=password,
            identity_token=fields["identitytoken"],
            registry_token=fields["registrytoken"],
        )

    def _decode(self, key: str, auth: str) -> tuple[str, str]:
        """Take ``base64(user:password)`` apart; old files pad it with zero bytes."""
        import base64
        import binascii

        try:
            text = base64.b64decode(auth, validate=True).decode().strip("\0")
        except (binascii.Error, ValueError):
            # The cause is left out on purpose: it would quote the secret.
            raise self._wrong(f"the auth of {key} is not base64") from None
        username, colon, password = text.partition(":")
        if not colon:
            raise self._wrong(f"the auth of {key} is not base64 of USER:PASSWORD")
        return username, password

    def _table(self, config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        table = config.get(name) or {}
        if not isinstance(table, Mapping):
            raise self._wrong(f"{name} is no object")
        return table

    def _wrong(self, what: str) -> ConfigError:
        where = f"docker configuration {self._path}" if self._path else "docker configuration"
        return ConfigError(f"{where}: {what}", hint="docker login writes it anew")


def hostname(stored: str) -> str:
    """Give the host of a key in ``auths``, which may be a whole URL."""
    _, separator, rest = stored.partition("://")
    return (rest if separator else stored).partition("/")[0]
