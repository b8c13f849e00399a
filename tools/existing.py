"""The Docker Engine that a machine already has, if one answers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.supervisor import Spec, answers

CLI_SECONDS = 15
DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True)
class Existing:
    """An engine that answers and is not ours."""

    host: str
    """What ``DOCKER_HOST`` would be set to."""
    docker_context: str
    """The docker context that names it; ``default`` for all but contexts."""
    found: str
    """Where it was found, in words."""


def find() -> Existing | None:
    """Return the engine that Docker's own tools would use, if it answers."""
    for engine in _candidates():
        if _answers(engine):
            return engine
    return None


def _candidates() -> Iterator[Existing]:
    """Yield what is set, most binding first, in the order in which the Docker CLI decides."""
    if host := os.environ.get("DOCKER_HOST"):
        yield Existing(host=host, docker_context="default", found="DOCKER_HOST")
        return
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _read(config / "config.json").get("currentContext")
    if isinstance(name, str) and name and name != "default":
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = _read(config / "contexts" / "meta" / digest / "meta.json")
        endpoints = meta.get("Endpoints")
        docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
        if isinstance(docker, dict) and docker.get("Host"):
            found = f"the docker context {name!r}"
            yield Existing(host=str(docker["Host"]), docker_context=name, found=found)
        return
    yield Existing(host=DEFAULT_SOCKET, docker_context="default", found=DEFAULT_SOCKET)


def _answers(engine: Existing) -> bool:
    """Tell whether the engine answers; TLS and ssh are left to the Docker CLI, if there is one."""
    url = urlsplit(engine.host)
    if url.scheme == "unix":
        return answers(Spec(argv=[], environment={}, socket=url.path, path="/_ping"))
    cli = shutil.which("docker")
    if cli is None:
        return False
    command = [cli, "--context", engine.docker_context, "version"]
    if engine.docker_context == "default":
        command = [cli, "version"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CLI_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _read(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
