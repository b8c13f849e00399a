"""How a registry is reached: what a node's ``buildkitd.toml`` says of it.

The file and the certificates that it names are kept with the node, under the paths that they
have in BuildKit's configuration directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.errors import ConfigError

if TYPE_CHECKING:
    import ssl

_FILE = "buildkitd.toml"
_DAEMON_DIRECTORY = "/etc/buildkit/"


class RegistrySettings(NamedTuple):
    """How one registry is reached."""

    http: bool | None = None
    """Whether it speaks plain HTTP; None when nobody said so."""
    insecure: bool = False
    """Whether its certificate need not be trusted, and plain HTTP will do."""
    authorities: tuple[bytes, ...] = ()
    """Certificates (PEM) to trust beside the system's."""
    pairs: tuple[tuple[bytes, bytes], ...] = ()
    """Our own certificates, each with its key (PEM)."""

    def tls(self) -> ssl.SSLContext:
        """Give what secure connections to the registry are made with.

        Raises:
            ConfigError: A certificate or key makes no sense.
        """
        import ssl

        tls = ssl.create_default_context()
        if self.insecure:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        try:
            for authority in self.authorities:
                tls.load_verify_locations(cadata=authority.decode("ascii"))
            for certificate, key in self.pairs:
                _load_pair(tls, certificate, key)
        except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
            raise ConfigError(f"a certificate or key in {_FILE} makes no sense: {error}") from error
        return tls


def registry_settings(files: Mapping[str, bytes], registry: str) -> RegistrySettings | None:
    """Give what a node's files say of a registry; None when they do not know it.

    Args:
        files: By their path below BuildKit's configuration directory.
        registry: Host and port, ``docker.io`` for Docker Hub.
    """
    import tomllib

    try:
        values = tomllib.loads(files.get(_FILE, b"").decode())
    except ValueError:
        return None  # the daemon has to judge it, not we
    known = values.get("registry")
    table = known.get(registry) if isinstance(known, dict) else None
    if not isinstance(table, dict):
        return None
    http = table.get("http")
    pairs = [pair for pair in _items(table, "keypair") if isinstance(pair, dict)]
    return RegistrySettings(
        http=http if isinstance(http, bool) else None,
        insecure=table.get("insecure") is True,
        authorities=tuple(filter(None, (_file(files, path) for path in _items(table, "ca")))),
        pairs=tuple(
            (_file(files, pair.get("cert")), _file(files, pair.get("key"))) for pair in pairs
        ),
    )


def _items(table: Mapping[str, Any], key: str) -> Sequence[object]:
    found = table.get(key)
    return found if isinstance(found, list) else ()


def _file(files: Mapping[str, bytes], path: object) -> bytes:
    return files.get(str(path).removeprefix(_DAEMON_DIRECTORY), b"")


def _load_pair(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate with its key; OpenSSL takes them from a file only."""
    import os
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix="dockyard-")  # readable by us alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate + b"\n" + key)
        tls.load_cert_chain(name, password=lambda: b"")
    finally:
        with suppress(OSError):
            Path(name).unlink()
