"""Docker contexts: the names that people give to Docker Engines, and which one is current.

They lie below docker's configuration directory, each in a directory named by the SHA-256 of its
name. ``default`` is no file: it is made of ``--host``, ``DOCKER_HOST`` and the TLS settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.config import Environment
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.errors import BuilderNotFoundError, ConfigError, EndpointError

DEFAULT = "default"
DEFAULT_HOST = "unix:///var/run/docker.sock"

_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+"
_SCHEMES = frozenset({"unix", "tcp", "ssh", "npipe", "fd"})
_MAX_META = 1 << 20


class DockerContexts:
    """The docker contexts of one environment. Nothing is read before it is asked for."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._root = environment.docker_config / "contexts"

    @property
    def environment(self) -> Environment:
        """The environment whose docker contexts these are."""
        return self._environment

    @property
    def current_name(self) -> str:
        """The name of the current docker context, whether it exists or not.

        Raises:
            ConfigError: ``config.json`` is needed for it and cannot be read.
        """
        environment = self._environment
        if environment.docker_context:
            return environment.docker_context
        if environment.host or environment.get("DOCKER_HOST"):
            return DEFAULT
        return environment.get("DOCKER_CONTEXT") or environment.docker.current_context or DEFAULT

    def current(self) -> EngineEndpoint:
        """Give the engine of the current docker context.

        Raises:
            BuilderNotFoundError: There is no such docker context.
            ConfigError: Its files, or ``config.json``, cannot be read.
        """
        return self.get(self.current_name)

    def endpoint_key(self) -> str:
        """Give what selections of builders are kept under: the context, or the default's host.

        Raises:
            ConfigError: ``config.json`` cannot be read.
            EndpointError: The default's host is malformed.
        """
        name = self.current_name
        return name if name != DEFAULT else self._default().host

    def names(self) -> tuple[str, ...]:
        """Give the names of all docker contexts, ``default`` among them, sorted."""
        return self.scan()[0]

    def scan(self) -> tuple[tuple[str, ...], tuple[ConfigError, ...]]:
        """Give the names of all docker contexts, and what is wrong with those set aside."""
        names, problems = {DEFAULT}, []
        for file in sorted(self._meta_files()):
            try:
                names.add(self._name(file))
            except ConfigError as problem:
                problems.append(problem)
        return tuple(sorted(names)), tuple(problems)

    def exists(self, name: str) -> bool:
        """Say whether there is a docker context of this name."""
        return name == DEFAULT or (_is_name(name) and self._meta_file(name).is_file())

    def get(self, name: str) -> EngineEndpoint:
        """Give the engine that a docker context names.

        Raises:
            BuilderNotFoundError: There is no such docker context.
            ConfigError: Its files cannot be read.
            EndpointError: The host in it is malformed.
        """
        if name == DEFAULT:
            return self._default()
        if not self.exists(name):
            error = BuilderNotFoundError(name)
            error.hint = f"docker context {name} does not exist; docker context ls lists them"
            raise error
        return self._stored(name)

    def resolve(self, name_or_host: str) -> EngineEndpoint:
        """Give the engine behind a stored endpoint: a docker context's name, or an address.

        An address is taken without TLS, whatever the environment says.

        Raises:
            ConfigError: The docker context's files cannot be read.
            EndpointError: It is neither a docker context nor an address.
        """
        if self.exists(name_or_host):
            return self.get(name_or_host)
        return EngineEndpoint(host=parse_host(name_or_host), context="")

    def _default(self) -> EngineEndpoint:
        tls = self._default_tls()
        host = self._environment.host or self._environment.get("DOCKER_HOST")
        return _endpoint(DEFAULT, parse_host(host, tls=tls is not None), tls)

    def _default_tls(self) -> TLSFiles | None:
        """Combine flags and variables as docker does: asking to verify switches TLS on."""
        flags, get = self._environment.tls, self._environment.get
        verify = bool(get("DOCKER_TLS_VERIFY")) if flags.verify is None else flags.verify
        enabled = bool(get("DOCKER_TLS")) if flags.enabled is None else flags.enabled
        if not (enabled or verify or flags.verify is not None):
            return None
        directory = Path(get("DOCKER_CERT_PATH") or self._environment.docker_config)
        directory = self._environment.working_directory / directory
        return TLSFiles(
            ca=flags.ca or (str(directory / "ca.pem") if verify else ""),
            cert=flags.cert or _if_there(directory / "cert.pem"),
            key=flags.key or _if_there(directory / "key.pem"),
            verify=verify,
        )

    def _stored(self, name: str) -> EngineEndpoint:
        file = self._meta_file(name)
        docker = _table(file, _table(file, _read_meta(file), "Endpoints"), "docker")
        host = docker.get("Host") or DEFAULT_HOST
        if not isinstance(host, str):
            raise _damaged(file, "Endpoints.docker.Host is no string")
        directory = _tls_directory(file, "docker")
        ca, cert, key = (_if_there(directory / f"{part}.pem") for part in ("ca", "cert", "key"))
        skip = docker.get("SkipTLSVerify") is True
        tls = None
        if ca or cert or key or skip:
            tls = TLSFiles(ca=ca, cert=cert, key=key, verify=not skip)
        return _endpoint(name, parse_host(host, tls=tls is not None), tls)

    def _meta_file(self, name: str) -> Path:
        return _meta_file(self._root, name)

    def _meta_files(self) -> list[Path]:
        try:
            directories = list((self._root / "meta").iterdir())
        except OSError:
            return []
        files = (directory / "meta.json" for directory in directories)
        return [file for file in files if file.is_file()]

    def _name(self, file: Path) -> str:
        name = _read_meta(file).get("Name")
        if not isinstance(name, str) or not _is_name(name):
            raise _damaged(file, "it has no valid Name")
        if self._meta_file(name) != file:
            raise _damaged(file, f"it claims the name {name} but does not lie in its place")
        return name


class ForeignEndpoint(NamedTuple):
    """What a docker context says of something else than an engine. It may have secrets."""

    file: Path
    """Where it stands."""
    content: Mapping[str, Any]
    tls: Path
    """The directory with its ``ca.pem``, ``cert.pem`` and ``key.pem``, as far as they are there."""

    def __repr__(self) -> str:
        return f"<endpoint in {self.file}>"


def foreign_endpoint(docker_config: Path, name: str, kind: str) -> ForeignEndpoint | None:
    """Give an endpoint of a docker context that is no engine, for example its ``kubernetes``.

    Args:
        docker_config: The directory of docker's configuration.
        name: The docker context's name, or what may be none.
        kind: Which endpoint.

    Returns:
        None when there is no such docker context, or it has no such endpoint.

    Raises:
        ConfigError: Its files cannot be read.
    """
    if not _is_name(name):
        return None
    file = _meta_file(docker_config / "contexts", name)
    if not file.is_file():
        return None
    endpoints = _table(file, _read_meta(file), "Endpoints")
    if kind not in endpoints:
        return None
    return ForeignEndpoint(file, _table(file, endpoints, kind), _tls_directory(file, kind))


def parse_host(text: str, *, tls: bool = False) -> str:
    """Give an engine's address in full, as docker completes it.

    Args:
        text: ``unix://PATH``, ``tcp://HOST[:PORT]``, ``ssh://...`` or only ``HOST[:PORT]``.
        tls: Whether the default port is the one for TLS.

    Raises:
        EndpointError: It is no address.
    """
    text = text.strip()
    if not text:
        return "tcp://localhost:2376" if tls else DEFAULT_HOST
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme not in _SCHEMES:
        raise EndpointError(
            f"invalid engine address {text}", hint="use unix://PATH, tcp://HOST:PORT or ssh://HOST"
        )
    if scheme == "tcp":
        return f"tcp://{_complete_tcp(text, rest, 2376 if tls else 2375)}"
    if scheme == "unix" and not rest:
        return DEFAULT_HOST
    return f"{scheme}://{rest}"


def split_tcp(address: str) -> tuple[str, int | None, str]:
    """Take ``HOST[:PORT][/PATH]`` apart; an IPv6 address stands in brackets.

    Raises:
        ValueError: It is nothing like that.
    """
    authority, slash, path = address.partition("/")
    if authority.startswith("["):
        host, bracket, after = authority[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise ValueError("a bracket is missing")
        port = after[1:]
    else:
        host, _, port = authority.partition(":")
    if any(character <= " " or character in '"<>\\^`{|}@?#' for character in address):
        raise ValueError("a character does not belong there")
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise ValueError("the port is no number from 1 to 65535")
    return host, int(port) if port else None, slash + path


def _complete_tcp(text: str, rest: str, default_port: int) -> str:
    try:
        host, port, path = split_tcp(rest)
    except ValueError as error:
        raise EndpointError(f"invalid engine address {text}: {error}") from error
    shown = f"[{host}]" if ":" in host else host or "localhost"
    return f"{shown}:{port or default_port}{path.rstrip('/')}"


def _endpoint(name: str, host: str, tls: TLSFiles | None) -> EngineEndpoint:
    # Only TCP is ever encrypted: a socket file and ssh have their own protection.
    return EngineEndpoint(host=host, context=name, tls=tls if host.startswith("tcp://") else None)


def _is_name(text: str) -> bool:
    return re.fullmatch(_NAME, text) is not None


def _meta_file(root: Path, name: str) -> Path:
    import hashlib

    return root / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"


def _tls_directory(meta: Path, kind: str) -> Path:
    """Give where the keys of an endpoint lie; each context's have their own directory."""
    return meta.parent.parent.parent / "tls" / meta.parent.name / kind


def _if_there(path: Path) -> str:
    return str(path) if path.is_file() else ""


def _read_meta(file: Path) -> dict[str, Any]:
    import json

    try:
        with file.open("rb") as opened:
            value = json.loads(opened.read(_MAX_META))
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise _damaged(file, "it is no JSON object")
    return value


def _table(file: Path, values: dict[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    if not isinstance(value, dict):
        raise _damaged(file, f"{key} is missing or no object")
    return value


def _damaged(file: Path, reason: str) -> ConfigError:
    return ConfigError(f"docker context file {file} is damaged: {reason}")
