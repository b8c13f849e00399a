"""Docker's alias ``docker builder``, which ``docker buildx install`` points at buildx."""

from __future__ import annotations

import json
import os
from typing import Any

from dockyard.config import Environment
from dockyard.errors import ConfigError

_NAME = "builder"
_MEANING = "buildx"


def set_alias(environment: Environment) -> None:
    """Make ``docker builder`` and ``docker build`` mean buildx.

    Raises:
        ConfigError: Docker's configuration cannot be read or written.
    """
    docker = environment.docker
    aliases = {**docker.table("aliases"), _NAME: _MEANING}
    _write(environment, {**docker.values, "aliases": aliases})


def remove_alias(environment: Environment) -> None:
    """Take that back.

    Raises:
        ConfigError: Docker's configuration cannot be read or written.
    """
    docker = environment.docker
    if not docker.path.exists():
        return
    aliases = {name: word for name, word in docker.table("aliases").items() if name != _NAME}
    values = {**docker.values, "aliases": aliases}
    if not aliases:
        del values["aliases"]
    _write(environment, values)


def _write(environment: Environment, values: dict[str, Any]) -> None:
    path = environment.docker.path
    temporary = None
    try:
        # People link their configuration from elsewhere; what the link names is what changes.
        target = path.resolve()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(values, file, indent="\t", ensure_ascii=False)
            os.fchmod(descriptor, mode)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ConfigError(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}"
        ) from error
