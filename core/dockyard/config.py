"""Where everything is, and what the environment says: read here, and nowhere else.

An :class:`Environment` is made once from the process and the global flags, and passed down.
``config.json`` of docker is parsed when something in it is needed, because most commands start
faster without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attrs import define, field, frozen

from dockyard.errors import ConfigError
from dockyard.value import Value

_MAX_CONFIG = 16 << 20
"""Bytes of a ``config.json`` that are read; nobody's is longer."""


class TLSFlags(NamedTuple):
    """What the global flags say of TLS; None where the flag was not given."""

    enabled: bool | None = None
    """``--tls``."""
    verify: bool | None = None
    """``--tlsverify``."""
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Owner(NamedTuple):
    """Who shall own what we create: the person behind ``sudo``."""

    uid: int
    gid: int


@frozen(kw_only=True, eq=False, repr=False)
class DockerConfig(Value):
    """Docker's ``config.json``, parsed. Empty when there is no such file."""

    path: Path
    values: Mapping[str, Any] = field(factory=dict, repr=False)
    """The file's content. It holds secrets."""

    @classmethod
    def read(cls, path: Path) -> DockerConfig:
        """Read the file.

        Raises:
            ConfigError: It is there but cannot be read, or is no JSON object.
        """
        data = _read_bounded(path)
        return cls(path=path, values={} if data is None else _parse_object(path, data))

    @property
    def current_context(self) -> str:
        """The docker context that ``docker context use`` chose; empty for none."""
        return self.text("currentContext")

    def text(self, key: str) -> str:
        """Give a top-level text, empty when it is missing.

        Raises:
            ConfigError: It is something else than text.
        """
        value = self.values.get(key) or ""
        if not isinstance(value, str):
            raise self.wrong(f"{key} is no string")
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        """Give a top-level object, empty when it is missing.

        Raises:
            ConfigError: It is something else than an object.
        """
        value = self.values.get(key) or {}
        if not isinstance(value, Mapping):
            raise self.wrong(f"{key} is no object")
        return value

    def plugin_setting(self, plugin: str, key: str) -> str:
        """Give a setting below ``plugins``, where every value is text; empty when it is missing.

        Raises:
            ConfigError: ``plugins`` or what is in it has the wrong shape.
        """
        settings = self.table("plugins").get(plugin) or {}
        if not isinstance(settings, Mapping):
            raise self.wrong(f"plugins.{plugin} is no object")
        value = settings.get(key) or ""
        if not isinstance(value, str):
            raise self.wrong(f"plugins.{plugin}.{key} is no string")
        return value

    def proxies(self, daemon_host: str) -> Mapping[str, str]:
        """Give the proxy settings for containers on a daemon: its own, else the default ones.

        Raises:
            ConfigError: They have the wrong shape.
        """
        table = self.table("proxies")
        found = table.get(daemon_host, table.get("default")) or {}
        if not isinstance(found, Mapping):
            raise self.wrong("what proxies has for the daemon is no object")
        if not all(isinstance(value, str) for value in found.values()):
            raise self.wrong("proxies has a value that is no string")
        return found

    def wrong(self, what: str) -> ConfigError:
        """Make the error that says what is wrong with the file."""
        return ConfigError(f"docker configuration {self.path}: {what}")


@define(eq=False, kw_only=True)
class Environment:
    """What surrounds one run: variables, directories, and the global flags about engines."""

    variables: Mapping[str, str]
    working_directory: Path
    docker_config: Path
    """The directory of docker's configuration."""
    buildx: Path
    """The directory of the builder records, shared with buildx."""
    home: Path
    host: str = ""
    """``--host``; empty when it was not given."""
    docker_context: str = ""
    """``--context``; empty when it was not given."""
    tls: TLSFlags = field(factory=TLSFlags)
    _docker: DockerConfig | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_process(
        cls,
        *,
        docker_config: str | None = None,
        host: str | None = None,
        docker_context: str | None = None,
        tls: TLSFlags | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Environment:
        """Take what the process has and what the global flags said.

        Args:
            docker_config: ``--config``.
            host: ``--host``.
            docker_context: ``--context``.
            tls: The flags about TLS.
            variables: Instead of the process's own environment.
        """
        variables = dict(os.environ if variables is None else variables)
        here = _working_directory()
        home = _home(variables)
        if docker_config:
            variables["DOCKER_CONFIG"] = str(here / docker_config)  # drivers have only these
        chosen = variables.get("DOCKER_CONFIG")
        directory = here / chosen if chosen else home / ".docker"
        buildx = variables.get("BUILDX_CONFIG")
        return cls(
            variables=variables,
            working_directory=here,
            docker_config=directory,
            buildx=here / buildx if buildx else directory / "buildx",
            home=home,
            host=host or "",
            docker_context=docker_context or "",
            tls=tls or TLSFlags(),
        )

    def get(self, name: str, default: str = "") -> str:
        """Give an environment variable; an empty one counts as missing."""
        return self.variables.get(name) or default

    @property
    def docker(self) -> DockerConfig:
        """Docker's ``config.json``, read when it is first asked for.

        Raises:
            ConfigError: It cannot be read or parsed.
        """
        if self._docker is None:
            self._docker = DockerConfig.read(self.docker_config / "config.json")
        return self._docker

    @property
    def cache(self) -> Path:
        """The directory for what may be lost at any time: it only saves work."""
        chosen = self.get("XDG_CACHE_HOME")
        base = Path(chosen) if chosen.startswith("/") else self.home / ".cache"
        return base / "dockyard"

    @property
    def disabled_plugins(self) -> frozenset[str]:
        """The names of the plugins that are switched off, by variable and by configuration.

        Raises:
            ConfigError: ``config.json`` cannot be read or parsed.
        """
        names = self.get("DOCKYARD_DISABLE_PLUGINS")
        listed = f"{names},{self.docker.plugin_setting('dockyard', 'disable')}"
        return frozenset(name.strip() for name in listed.split(",") if name.strip())

    @property
    def owner(self) -> Owner | None:
        """Who shall own what is created in the state directory, when that is not this process.

        Under ``sudo`` it is the person who called it, as long as the state directory lies in
        that person's home.
        """
        if not self.get("SUDO_COMMAND"):
            return None
        import pwd

        try:
            uid, gid = int(self.get("SUDO_UID")), int(self.get("SUDO_GID"))
            person_home = Path(pwd.getpwuid(uid).pw_dir)
        except (ValueError, KeyError, OverflowError):
            return None
        if self.get("HOME") != str(person_home) or not self.buildx.is_relative_to(person_home):
            return None
        return Owner(uid=uid, gid=gid)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(f"the current directory cannot be used: {error.strerror}") from error


def _home(variables: Mapping[str, str]) -> Path:
    if variables.get("HOME"):
        return Path(variables["HOME"])
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return Path("/")  # nobody the system knows: as docker does


def _read_bounded(path: Path) -> bytes | None:
    try:
        # Not blocking: what stands there may be a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MAX_CONFIG + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if len(data) > _MAX_CONFIG:
        raise _unreadable(path, "longer than 16 MiB")
    return data


def _parse_object(path: Path, data: bytes) -> dict[str, Any]:
    import json

    try:
        value = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        reason = f"not valid JSON at {where}: {error.msg[:1].lower()}{error.msg[1:]}"
        raise _malformed(path, reason) from error
    except UnicodeDecodeError as error:
        raise _malformed(path, f"not UTF-8 at byte {error.start}") from error
    except (RecursionError, ValueError) as error:
        raise _malformed(path, "nested too deeply, or a number too long") from error
    if not isinstance(value, dict):
        raise _malformed(path, "not a JSON object")
    return value


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"docker configuration {path} cannot be read: {reason}")


def _malformed(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"docker configuration {path} is {reason}", hint="correct the file, or move it away"
    )
