"""Where the cluster is and who we are there: kubeconfig files, and a pod's service account.

Files are read as kubectl reads them: of several the first counts that has an entry or a current
context, and what they name is looked for beside them. A docker context that has a cluster is read
as such a file. Nothing of it is ever written to disk or shown.

The ``kubernetes`` package is not used for this. Its loader puts whole users, tokens included,
into error messages, writes private keys to temporary files, goes on without credentials when a
plugin fails, and costs 0.4 s to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dockyard_kubernetes.credential import (
    Anonymous,
    Credential,
    Fixed,
    Pem,
    TokenFile,
    basic,
    read_pem,
)
from dockyard_kubernetes.docker_context import load_context
from dockyard_kubernetes.endpoint import parse
from dockyard_kubernetes.failure import KubeconfigError
from dockyard_kubernetes.kubeconfig_file import (
    Config,
    Entry,
    UnusableError,
    kind_of,
    load_files,
    malformed,
    text_of,
    truth_of,
)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds what it may use of its cluster."""

_SHOWN = 8


@frozen(kw_only=True)
class Access:
    """All that it takes to talk to one cluster."""

    server: str
    """URL."""
    namespace: str
    context: str
    """The context's name; empty in a pod."""
    source: str
    """Where it is from, in words."""
    authority: Pem | None = None
    """CA certificates; None for the system's."""
    verify: bool = True
    server_name: str = ""
    """The name that the certificate has to be for, when it is not the URL's."""
    proxy: str = field(default="", repr=False)
    """URL, maybe with a password."""
    credential: Credential = field(factory=Anonymous, repr=False)
    impersonation: tuple[tuple[str, str], ...] = ()
    """Headers that say as whom to act."""


def find_access(
    endpoint: str,
    variables: Mapping[str, str],
    *,
    context: str = "",
    namespace: str = "",
    service_account: Path = SERVICE_ACCOUNT,
) -> Access:
    """Find out where the cluster is and who we are there. Asks nobody yet.

    Args:
        endpoint: A node's.
        variables: The environment.
        context: Instead of the current one.
        namespace: Instead of the context's.
        service_account: A pod's directory with its token.

    Raises:
        KubeconfigError: There is nothing, or it makes no sense.
        EndpointError: The endpoint is malformed.
    """
    try:
        named = parse(endpoint).kubeconfig or variables.get("KUBECONFIG", "")
        config = load_context(endpoint, variables) or load_files(named, variables)
        if config is None:
            return _in_cluster(variables, service_account, namespace)
        return _access(config, context, namespace, variables)
    except UnusableError as error:
        prefix = "kubernetes driver requires kubernetes API access"
        if not namespace and error.files:
            prefix = "cannot determine Kubernetes namespace, specify manually"
        words = f"{prefix}: {error}" if str(error) else prefix
        raise KubeconfigError(words, hint=error.hint) from error


# --- what they say -------------------------------------------------------------------------


def _access(config: Config, wanted: str, namespace: str, variables: Mapping[str, str]) -> Access:
    files = ", ".join(map(str, config.files))
    name = wanted or config.current
    choices = ", ".join(sorted(config.contexts)[:_SHOWN]) or "none"
    if not name:
        raise UnusableError(
            f"kubeconfig {files} has no current context",
            f"choose one with kubectl config use-context NAME; there are: {choices}",
        )
    context = config.contexts.get(name)
    if context is None:
        raise UnusableError(
            f'context "{name}" does not exist in kubeconfig {files}', f"there are: {choices}"
        )
    cluster = _named(config.clusters, context, "cluster", name)
    server = text_of(cluster.file, cluster.content, "server")
    if not server:
        raise malformed(cluster.file, f'the cluster of context "{name}" has no server')
    user = Entry({}, context.file)
    if text_of(context.file, context.content, "user"):
        user = _named(config.users, context, "user", name)
    verify = not truth_of(cluster, "insecure-skip-tls-verify")
    return Access(
        server=server,
        namespace=namespace or text_of(context.file, context.content, "namespace") or "default",
        context=name,
        source=f"kubeconfig {files}",
        authority=_pem(cluster, "certificate-authority") if verify else None,
        verify=verify,
        server_name=text_of(cluster.file, cluster.content, "tls-server-name"),
        proxy=text_of(cluster.file, cluster.content, "proxy-url"),
        credential=_credential(user, cluster, context, variables),
        impersonation=_impersonation(user),
    )


def _named(entries: Mapping[str, Entry], context: Entry, kind: str, context_name: str) -> Entry:
    name = text_of(context.file, context.content, kind)
    entry = entries.get(name)
    if entry is None:
        words = f'context "{context_name}" names the {kind} "{name}", which does not exist'
        raise malformed(context.file, words)
    return entry


def _pem(entry: Entry, key: str) -> Pem | None:
    """Give certificates or a key, from the entry itself or from the file that it names."""
    import base64
    import binascii

    data = text_of(entry.file, entry.content, f"{key}-data")
    if data:
        try:
            return Pem(key, f"{key}-data in {entry.file}", base64.b64decode(data, validate=False))
        except (binascii.Error, ValueError) as error:
            raise malformed(entry.file, f"{key}-data is no base64") from error
    named = text_of(entry.file, entry.content, key)
    if not named:
        return None
    return read_pem(key, entry.file.parent / named)


def _credential(
    user: Entry, cluster: Entry, context: Entry, variables: Mapping[str, str]
) -> Credential:
    """Give who we are; of several ways the one that kubectl would take."""
    content, file = user.content, user.file
    certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
    if (certificate is None) != (key is None):
        missing = "client-key" if key is None else "client-certificate"
        raise malformed(file, f'the user "{context.content["user"]}" has no {missing}')
    token = text_of(file, content, "token").strip()
    token_file = text_of(file, content, "tokenFile")
    if token_file and not (token and not (file.parent / token_file).exists()):
        return TokenFile(file.parent / token_file, certificate, key)
    if token:
        return Fixed(f"Bearer {token}", certificate, key)
    if content.get("username"):
        words = basic(text_of(file, content, "username"), text_of(file, content, "password"))
        return Fixed(words, certificate, key)
    if content.get("exec") is not None:
        from dockyard_kubernetes.exec_plugin import plugin_of

        return plugin_of(_mapping(user, "exec"), file, cluster.content, variables)
    if content.get("auth-provider") is not None:
        from dockyard_kubernetes.oidc import provider_of

        name = str(context.content.get("user"))
        return provider_of(_mapping(user, "auth-provider"), file, name, variables)
    return Fixed("", certificate, key)


def _mapping(entry: Entry, key: str) -> Mapping[str, Any]:
    value = entry.content[key]
    if not isinstance(value, dict):
        raise malformed(entry.file, f"{key}: expected a mapping, got {kind_of(value)}")
    return value


def _impersonation(user: Entry) -> tuple[tuple[str, str], ...]:
    from urllib.parse import quote

    headers = []
    for key, header in (("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid")):
        value = text_of(user.file, user.content, key)
        if value:
            headers.append((header, value))
    groups = user.content.get("as-groups") or []
    extra = user.content.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise malformed(user.file, f"as-user-extra: expected a mapping, got {kind_of(extra)}")
    named = [("Impersonate-Group", "as-groups", groups)]
    for name, values in extra.items():
        header = f"Impersonate-Extra-{quote(str(name).lower(), safe='')}"
        named.append((header, "as-user-extra", values or []))
    for header, key, values in named:
        if not isinstance(values, list):
            raise malformed(user.file, f"{key}: expected a list, got {kind_of(values)}")
        headers += [(header, str(value)) for value in values]
    if headers and headers[0][0] != "Impersonate-User":
        raise malformed(user.file, "as-uid, as-groups and as-user-extra need as")
    return tuple(headers)


# --- in a pod ------------------------------------------------------------------------------


def _in_cluster(variables: Mapping[str, str], account: Path, namespace: str) -> Access:
    host = variables.get("KUBERNETES_SERVICE_HOST", "")
    port = variables.get("KUBERNETES_SERVICE_PORT", "")
    token = account / "token"
    if not (host and port and token.exists()):
        raise UnusableError(
            "",
            "there is no ~/.kube/config, KUBECONFIG is not set, and this is no pod of a cluster; "
            "set KUBECONFIG to the file that leads to yours",
            files=False,
        )
    if not namespace:
        try:
            namespace = (account / "namespace").read_text().strip()
        except OSError as error:
            raise UnusableError(
                f"{account / 'namespace'}: {(error.strerror or str(error)).lower()}",
                "name it with --driver-opt namespace=NAME",
            ) from error
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        namespace=namespace,
        context="",
        source="this pod's service account",
        authority=read_pem("certificate-authority", account / "ca.crt"),
        credential=TokenFile(token),
    )
