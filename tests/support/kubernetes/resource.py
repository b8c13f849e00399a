"""The kinds of objects that the server keeps, and what discovery says of them."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]
"""An object as JSON has it."""
Value = Any
"""Whatever JSON can be."""

VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-04-22T00:00:00Z",
    "goVersion": "go1.26.1",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_ALL = ("create", "delete", "get", "list", "patch", "update", "watch")


class Resource(NamedTuple):
    """One kind of object."""

    plural: str
    kind: str
    group: str = ""
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def qualified(self) -> str:
        """The name as messages have it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """The kind as messages about bad values have it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def prefix(self) -> str:
        return f"/apis/{self.group}/v1" if self.group else "/api/v1"


NAMESPACES = Resource("namespaces", "Namespace", namespaced=False, short=("ns",))
NODES = Resource("nodes", "Node", namespaced=False, short=("no",))
PODS = Resource("pods", "Pod", short=("po",), subresources=("exec", "log", "status"))
CONFIG_MAPS = Resource("configmaps", "ConfigMap", short=("cm",))
CLAIMS = Resource("persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",))
EVENTS = Resource("events", "Event", short=("ev",))
ACCOUNTS = Resource("serviceaccounts", "ServiceAccount", short=("sa",))
SECRETS = Resource("secrets", "Secret")
QUOTAS = Resource("resourcequotas", "ResourceQuota", short=("quota",))
DEPLOYMENTS = Resource(
    "deployments", "Deployment", "apps", short=("deploy",), subresources=("scale", "status")
)
REPLICA_SETS = Resource("replicasets", "ReplicaSet", "apps", short=("rs",))
STATEFUL_SETS = Resource(
    "statefulsets", "StatefulSet", "apps", short=("sts",), subresources=("scale", "status")
)
RESOURCES = (
    NAMESPACES,
    NODES,
    PODS,
    CONFIG_MAPS,
    CLAIMS,
    EVENTS,
    ACCOUNTS,
    SECRETS,
    QUOTAS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
GROUPS = ("apps",)


def find(group: str, plural: str) -> Resource | None:
    """Give the resource that a path names."""
    for resource in RESOURCES:
        if (resource.group, resource.plural) == (group, plural):
            return resource
    return None


def discovery(path: str) -> Json | None:
    """Answer what kubectl asks before anything else; None for other paths."""
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = [_group(name) for name in GROUPS]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/api/v1":
        return _resources("")
    for name in GROUPS:
        if path == f"/apis/{name}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}
        if path == f"/apis/{name}/v1":
            return _resources(name)
    return None


def _group(name: str) -> Json:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Json:
    entries: list[Json] = []
    for resource in RESOURCES:
        if resource.group != group:
            continue
        entry: Json = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short:
            entry["shortNames"] = list(resource.short)
        entries.append(entry)
        entries += [
            {
                "name": f"{resource.plural}/{sub}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": _SUBRESOURCES.get(sub, (resource.kind, ()))[0],
                "verbs": list(_SUBRESOURCES.get(sub, ("", ("get", "patch", "update")))[1]),
            }
            for sub in resource.subresources
        ]
    version = f"{group}/v1" if group else "v1"
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": entries,
    }


_SUBRESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "exec": ("PodExecOptions", ("create", "get")),
    "log": ("Pod", ("get",)),
    "scale": ("Scale", ("get", "patch", "update")),
}
