"""The file by which docker finds Dockyard as its plugin for ``docker buildx``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from dockyard.config import Environment
from dockyard.errors import ConfigError

_MARK = b"dockyard.cli.main"
"""Every executable of ours has this in it, pip's console scripts too."""

_READ_LIMIT = 4096
_SHEBANG_LIMIT = 127
"""Bytes of a ``#!`` line that every Linux kernel reads."""

_PROGRAM = "from dockyard.cli.main import docker_buildx; raise SystemExit(docker_buildx())"


def plugin_path(environment: Environment) -> Path:
    """Give the place of the person's own ``docker buildx`` plugin."""
    return environment.docker_config / "cli-plugins" / "docker-buildx"


def install(environment: Environment, *, force: bool) -> Path:
    """Put the file in place; it runs the very Python environment that this runs in.

    Args:
        environment: Says where docker's configuration is.
        force: Replace what is there even when it is not ours.

    Raises:
        ConfigError: Something that is not ours is there, or the file cannot be written.
    """
    path = plugin_path(environment)
    if os.path.lexists(path) and not force and not _is_ours(path):
        raise ConfigError(
            f"{path} exists and is not Dockyard's",
            hint="dockyard install --force replaces it",
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(_script(), encoding="utf-8")
        temporary.chmod(0o755)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    return path


def uninstall(environment: Environment) -> Path | None:
    """Remove the file.

    Returns:
        Where it was; None when there is none.

    Raises:
        ConfigError: What is there is not ours, or cannot be removed.
    """
    path = plugin_path(environment)
    if not os.path.lexists(path):
        return None
    if not _is_ours(path):
        raise ConfigError(f"{path} is not Dockyard's and stays where it is")
    try:
        path.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot remove {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    return path


def _is_ours(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return _MARK in file.read(_READ_LIMIT)
    except OSError:
        return False


def _script() -> str:
    """Write a script of our own: pip's imports more before it starts."""
    # -P, or Python would look for modules among docker's plugins first.
    line = f"#!{sys.executable} -P"
    if len(os.fsencode(line)) <= _SHEBANG_LIMIT and not any(map(str.isspace, sys.executable)):
        return f'{line}\n# Made by "dockyard install".\n{_PROGRAM.replace("; ", chr(10))}\n'
    command = shlex.join([sys.executable, "-P", "-c", _PROGRAM])
    return f'#!/bin/sh\n# Made by "dockyard install".\nexec {command} "$@"\n'
