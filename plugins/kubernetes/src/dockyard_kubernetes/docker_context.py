"""The cluster that a docker context names beside its engine, for builders made with such a one.

Records that older tools have written have a docker context's name for an endpoint. What stands
there is what a kubeconfig has, by other names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockyard.engine.context import ForeignEndpoint, foreign_endpoint
from dockyard.errors import ConfigError
from dockyard_kubernetes.kubeconfig_file import Config, Entry, UnusableError, malformed

_CLUSTER = {
    "server": "Host",
    "insecure-skip-tls-verify": "SkipTLSVerify",
    "proxy-url": "ProxyURL",
}
_USER = {"token": "token", "exec": "Exec", "auth-provider": "AuthProvider"}
_LOGIN = ("username", "password")
_FILES = {"certificate-authority": "ca", "client-certificate": "cert", "client-key": "key"}


def load_context(name: str, variables: Mapping[str, str]) -> Config | None:
    """Read the docker context of this name; None when there is none, or it names no cluster.

    Raises:
        UnusableError: It makes no sense.
    """
    home = variables.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  # the caller's HOME
    docker_config = Path(variables.get("DOCKER_CONFIG") or Path(home, ".docker"))
    try:
        found = foreign_endpoint(docker_config, name, "kubernetes")
    except ConfigError as error:
        hint = f"docker context inspect {name} shows what is in it"
        raise UnusableError(str(error), error.hint or hint) from error
    if found is None:
        return None
    files = {key: str(found.tls / f"{part}.pem") for key, part in _FILES.items()}
    pems = {key: path for key, path in files.items() if Path(path).is_file()}
    content = {"cluster": name, "user": name, "namespace": found.content.get("DefaultNamespace")}
    return Config(
        files=(found.file,),
        current=name,
        contexts={name: Entry(content, found.file)},
        clusters={name: Entry(_named(found, _CLUSTER) | pems, found.file)},
        users={name: Entry(_named(found, _USER) | _login(found) | pems, found.file)},
    )


def _named(found: ForeignEndpoint, names: Mapping[str, str]) -> dict[str, Any]:
    """Give fields by the names that a kubeconfig has for them."""
    return {key: found.content.get(name) for key, name in names.items()}


def _login(found: ForeignEndpoint) -> dict[str, Any]:
    login = found.content.get("usernamePassword") or {}
    if not isinstance(login, dict):
        raise malformed(found.file, "usernamePassword is no object")
    return {key: login.get(key) for key in _LOGIN}
