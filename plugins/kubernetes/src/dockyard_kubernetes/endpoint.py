"""The endpoint of a kubernetes node: which kubeconfig leads to its cluster.

``kubernetes:///BUILDER?deployment=NODE&kubeconfig=FILES``, as the reference writes it into the
records that both share. Only ``kubeconfig`` means anything when it is read; the rest tells the
endpoints of a builder's nodes apart. Other forms are docker contexts, see ``docker_context``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlencode

from dockyard.errors import EndpointError

SCHEME = "kubernetes"
_PREFIX = f"{SCHEME}://"


class Endpoint(NamedTuple):
    """What an endpoint says."""

    builder: str = ""
    deployment: str = ""
    kubeconfig: str = ""
    """One or several files, as ``KUBECONFIG`` has them; empty for the usual places."""

    def __str__(self) -> str:
        query = urlencode({"deployment": self.deployment, "kubeconfig": self.kubeconfig})
        path = quote(self.builder, safe="/$&+:=@")
        return f"{_PREFIX}/{path}?{query}"


def choose(
    argument: str | None, variables: Mapping[str, str], node_name: str, builder_name: str
) -> str:
    """Give the endpoint of a node that is being made.

    Raises:
        EndpointError: One was given; there is nothing to choose.
    """
    if argument:
        raise EndpointError(
            f'kubernetes driver does not support endpoint args "{argument}"',
            hint="the cluster is the one that KUBECONFIG or ~/.kube/config names; "
            "set KUBECONFIG when the builder is made",
        )
    return str(Endpoint(builder_name, node_name, variables.get("KUBECONFIG", "")))


def parse(endpoint: str) -> Endpoint:
    """Read a stored endpoint; one of another form, such as a docker context's name, says nothing.

    Raises:
        EndpointError: It is malformed.
    """
    if not endpoint.startswith(_PREFIX):
        return Endpoint()
    path, _, query = endpoint.removeprefix(_PREFIX).partition("#")[0].partition("?")
    try:
        fields = parse_qs(query, keep_blank_values=True, errors="strict", max_num_fields=32)
        builder = unquote(path.lstrip("/"), errors="strict")
    except (ValueError, UnicodeError) as error:
        raise EndpointError(
            f"malformed endpoint {endpoint!r}: {error}",
            hint=f"it has the form {_PREFIX}/BUILDER?deployment=NODE&kubeconfig=FILE",
        ) from error
    first = {name: values[0] for name, values in fields.items()}
    return Endpoint(builder, first.get("deployment", ""), first.get("kubeconfig", ""))
