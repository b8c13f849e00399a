"""The types of the fields: wrong types are refused, fields that are unknown are dropped.

It is one table and long for that. A field that is not in it is unknown to the server, as in the
real one; ``ANY`` marks what is accepted and not looked into.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Union

from support.kubernetes.resource import Json, Resource, Value
from support.kubernetes.status import Refusal, bad_request

QUANTITY_WORDS = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
QUANTITY = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|u|n|k|M|G|T|P|E|[KMGTPE]i|[eE][+-]?[0-9]+)?"
)

Type = Union[str, "ListOf", "MapOf", "Struct"]
STRING, INT32, INT64, BOOL, ANY = "string", "int32", "int64", "bool", "any"


class ListOf(NamedTuple):
    item: Type


class MapOf(NamedTuple):
    value: Type


class Struct(NamedTuple):
    name: str
    fields: dict[str, Type]


STRINGS = ListOf(STRING)
TEXTS = MapOf(STRING)
OWNER = Struct(
    "OwnerReference",
    {
        "apiVersion": STRING,
        "kind": STRING,
        "name": STRING,
        "uid": STRING,
        "controller": BOOL,
        "blockOwnerDeletion": BOOL,
    },
)
META = Struct(
    "ObjectMeta",
    {
        "name": STRING,
        "generateName": STRING,
        "namespace": STRING,
        "selfLink": STRING,
        "uid": STRING,
        "resourceVersion": STRING,
        "generation": INT64,
        "creationTimestamp": ANY,
        "deletionTimestamp": ANY,
        "deletionGracePeriodSeconds": INT64,
        "labels": TEXTS,
        "annotations": TEXTS,
        "ownerReferences": ListOf(OWNER),
        "finalizers": STRINGS,
        "managedFields": ANY,
    },
)
SELECTOR = Struct(
    "LabelSelector",
    {
        "matchLabels": TEXTS,
        "matchExpressions": ListOf(
            Struct(
                "LabelSelectorRequirement", {"key": STRING, "operator": STRING, "values": STRINGS}
            )
        ),
    },
)
RESOURCE_NEEDS = Struct(
    "ResourceRequirements",
    {"limits": MapOf("quantity"), "requests": MapOf("quantity"), "claims": ANY},
)
PROBE = Struct(
    "Probe",
    {
        "exec": Struct("ExecAction", {"command": STRINGS}),
        "httpGet": ANY,
        "tcpSocket": ANY,
        "grpc": ANY,
        "initialDelaySeconds": INT32,
        "timeoutSeconds": INT32,
        "periodSeconds": INT32,
        "successThreshold": INT32,
        "failureThreshold": INT32,
        "terminationGracePeriodSeconds": INT64,
    },
)
PROFILE = Struct("SeccompProfile", {"type": STRING, "localhostProfile": STRING})
APPARMOR = Struct("AppArmorProfile", {"type": STRING, "localhostProfile": STRING})
CONTAINER_SECURITY = Struct(
    "SecurityContext",
    {
        "capabilities": Struct("Capabilities", {"add": STRINGS, "drop": STRINGS}),
        "privileged": BOOL,
        "seLinuxOptions": ANY,
        "windowsOptions": ANY,
        "runAsUser": INT64,
        "runAsGroup": INT64,
        "runAsNonRoot": BOOL,
        "readOnlyRootFilesystem": BOOL,
        "allowPrivilegeEscalation": BOOL,
        "procMount": STRING,
        "seccompProfile": PROFILE,
        "appArmorProfile": APPARMOR,
    },
)
POD_SECURITY = Struct(
    "PodSecurityContext",
    {
        "seLinuxOptions": ANY,
        "windowsOptions": ANY,
        "runAsUser": INT64,
        "runAsGroup": INT64,
        "runAsNonRoot": BOOL,
        "supplementalGroups": ListOf(INT64),
        "supplementalGroupsPolicy": STRING,
        "fsGroup": INT64,
        "fsGroupChangePolicy": STRING,
        "sysctls": ListOf(Struct("Sysctl", {"name": STRING, "value": STRING})),
        "seccompProfile": PROFILE,
        "appArmorProfile": APPARMOR,
    },
)
MOUNT = Struct(
    "VolumeMount",
    {
        "name": STRING,
        "readOnly": BOOL,
        "recursiveReadOnly": STRING,
        "mountPath": STRING,
        "subPath": STRING,
        "subPathExpr": STRING,
        "mountPropagation": STRING,
    },
)
CONTAINER = Struct(
    "Container",
    {
        "name": STRING,
        "image": STRING,
        "command": STRINGS,
        "args": STRINGS,
        "workingDir": STRING,
        "ports": ListOf(
            Struct(
                "ContainerPort",
                {
                    "name": STRING,
                    "hostPort": INT32,
                    "containerPort": INT32,
                    "protocol": STRING,
                    "hostIP": STRING,
                },
            )
        ),
        "envFrom": ANY,
        "env": ListOf(Struct("EnvVar", {"name": STRING, "value": STRING, "valueFrom": ANY})),
        "resources": RESOURCE_NEEDS,
        "resizePolicy": ANY,
        "restartPolicy": STRING,
        "volumeMounts": ListOf(MOUNT),
        "volumeDevices": ANY,
        "livenessProbe": PROBE,
        "readinessProbe": PROBE,
        "startupProbe": PROBE,
        "lifecycle": ANY,
        "terminationMessagePath": STRING,
        "terminationMessagePolicy": STRING,
        "imagePullPolicy": STRING,
        "securityContext": CONTAINER_SECURITY,
        "stdin": BOOL,
        "stdinOnce": BOOL,
        "tty": BOOL,
    },
)
ITEMS = ListOf(Struct("KeyToPath", {"key": STRING, "path": STRING, "mode": INT32}))
VOLUME_SOURCES: dict[str, Type] = {
    "emptyDir": Struct("EmptyDirVolumeSource", {"medium": STRING, "sizeLimit": "quantity"}),
    "configMap": Struct(
        "ConfigMapVolumeSource",
        {"name": STRING, "items": ITEMS, "defaultMode": INT32, "optional": BOOL},
    ),
    "secret": Struct(
        "SecretVolumeSource",
        {"secretName": STRING, "items": ITEMS, "defaultMode": INT32, "optional": BOOL},
    ),
    "persistentVolumeClaim": Struct(
        "PersistentVolumeClaimVolumeSource", {"claimName": STRING, "readOnly": BOOL}
    ),
    "hostPath": Struct("HostPathVolumeSource", {"path": STRING, "type": STRING}),
    **dict.fromkeys(("projected", "downwardAPI", "csi", "nfs", "ephemeral", "image", "iscsi"), ANY),
}
TOLERATION = Struct(
    "Toleration",
    {
        "key": STRING,
        "operator": STRING,
        "value": STRING,
        "effect": STRING,
        "tolerationSeconds": INT64,
    },
)
POD_SPEC = Struct(
    "PodSpec",
    {
        "volumes": ListOf(Struct("Volume", {"name": STRING, **VOLUME_SOURCES})),
        "initContainers": ListOf(CONTAINER),
        "containers": ListOf(CONTAINER),
        "ephemeralContainers": ANY,
        "restartPolicy": STRING,
        "terminationGracePeriodSeconds": INT64,
        "activeDeadlineSeconds": INT64,
        "dnsPolicy": STRING,
        "nodeSelector": TEXTS,
        "serviceAccountName": STRING,
        "serviceAccount": STRING,
        "automountServiceAccountToken": BOOL,
        "nodeName": STRING,
        "hostNetwork": BOOL,
        "hostPID": BOOL,
        "hostIPC": BOOL,
        "hostUsers": BOOL,
        "shareProcessNamespace": BOOL,
        "securityContext": POD_SECURITY,
        "imagePullSecrets": ListOf(Struct("LocalObjectReference", {"name": STRING})),
        "hostname": STRING,
        "subdomain": STRING,
        "affinity": Struct(
            "Affinity", dict.fromkeys(("nodeAffinity", "podAffinity", "podAntiAffinity"), ANY)
        ),
        "schedulerName": STRING,
        "tolerations": ListOf(TOLERATION),
        "hostAliases": ANY,
        "priorityClassName": STRING,
        "priority": INT32,
        "dnsConfig": ANY,
        "readinessGates": ANY,
        "runtimeClassName": STRING,
        "enableServiceLinks": BOOL,
        "preemptionPolicy": STRING,
        "overhead": ANY,
        "topologySpreadConstraints": ListOf(
            Struct(
                "TopologySpreadConstraint",
                {
                    "maxSkew": INT32,
                    "topologyKey": STRING,
                    "whenUnsatisfiable": STRING,
                    "labelSelector": SELECTOR,
                    "minDomains": INT32,
                    "nodeAffinityPolicy": STRING,
                    "nodeTaintsPolicy": STRING,
                    "matchLabelKeys": STRINGS,
                },
            )
        ),
        "setHostnameAsFQDN": BOOL,
        "os": ANY,
        "schedulingGates": ANY,
        "resourceClaims": ANY,
        "resources": RESOURCE_NEEDS,
    },
)
TEMPLATE = Struct("PodTemplateSpec", {"metadata": META, "spec": POD_SPEC})
TOP: dict[str, Type] = {"apiVersion": STRING, "kind": STRING, "metadata": META}
CLAIM_FIELDS: dict[str, Type] = {
    **TOP,
    "spec": Struct(
        "PersistentVolumeClaimSpec",
        {
            "accessModes": STRINGS,
            "selector": SELECTOR,
            "resources": RESOURCE_NEEDS,
            "volumeName": STRING,
            "storageClassName": STRING,
            "volumeMode": STRING,
            "dataSource": ANY,
            "dataSourceRef": ANY,
            "volumeAttributesClassName": STRING,
        },
    ),
    "status": ANY,
}
CLAIM = Struct("PersistentVolumeClaim", CLAIM_FIELDS)
WORKLOAD: dict[str, Type] = {
    "replicas": INT32,
    "selector": SELECTOR,
    "template": TEMPLATE,
    "minReadySeconds": INT32,
    "revisionHistoryLimit": INT32,
}
KINDS: dict[str, Struct] = {
    "Deployment": Struct(
        "Deployment",
        {
            **TOP,
            "spec": Struct(
                "DeploymentSpec",
                {
                    **WORKLOAD,
                    "strategy": Struct(
                        "DeploymentStrategy", {"type": STRING, "rollingUpdate": ANY}
                    ),
                    "paused": BOOL,
                    "progressDeadlineSeconds": INT32,
                },
            ),
            "status": ANY,
        },
    ),
    "ReplicaSet": Struct(
        "ReplicaSet", {**TOP, "spec": Struct("ReplicaSetSpec", WORKLOAD), "status": ANY}
    ),
    "StatefulSet": Struct(
        "StatefulSet",
        {
            **TOP,
            "spec": Struct(
                "StatefulSetSpec",
                {
                    **WORKLOAD,
                    "volumeClaimTemplates": ListOf(CLAIM),
                    "serviceName": STRING,
                    "podManagementPolicy": STRING,
                    "updateStrategy": Struct(
                        "StatefulSetUpdateStrategy", {"type": STRING, "rollingUpdate": ANY}
                    ),
                    "persistentVolumeClaimRetentionPolicy": Struct(
                        "StatefulSetPersistentVolumeClaimRetentionPolicy",
                        {"whenDeleted": STRING, "whenScaled": STRING},
                    ),
                    "ordinals": ANY,
                },
            ),
            "status": ANY,
        },
    ),
    "Pod": Struct("Pod", {**TOP, "spec": POD_SPEC, "status": ANY}),
    "PersistentVolumeClaim": CLAIM,
    "ConfigMap": Struct(
        "ConfigMap", {**TOP, "data": TEXTS, "binaryData": TEXTS, "immutable": BOOL}
    ),
    "Namespace": Struct("Namespace", {**TOP, "spec": ANY, "status": ANY}),
    "ServiceAccount": Struct(
        "ServiceAccount",
        {
            **TOP,
            "secrets": ANY,
            "imagePullSecrets": ANY,
            "automountServiceAccountToken": BOOL,
        },
    ),
    "Secret": Struct(
        "Secret",
        {**TOP, "data": TEXTS, "stringData": TEXTS, "type": STRING, "immutable": BOOL},
    ),
    "ResourceQuota": Struct(
        "ResourceQuota",
        {
            **TOP,
            "spec": Struct("ResourceQuotaSpec", {"hard": MapOf("quantity"), "scopes": STRINGS}),
            "status": ANY,
        },
    ),
    "Scale": Struct(
        "Scale", {**TOP, "spec": Struct("ScaleSpec", {"replicas": INT32}), "status": ANY}
    ),
}


class Decoded(NamedTuple):
    item: Json
    unknown: list[str]
    """The paths of the fields that were dropped."""


def decode(resource: Resource, body: Value, *, strict: bool, kind: str = "") -> Decoded:
    """Read a body as an object of a kind."""
    kind = kind or resource.kind
    if not isinstance(body, dict):
        found = _NAMES.get(type(body), "string")
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get "
            f"version/kind; json parse error: json: cannot unmarshal {found} into Go value"
        )
    given = body.get("kind", kind)
    if given != kind:
        raise bad_request(
            f'{given} in version "v1" cannot be handled as a {kind}: converting (v1.{given}) to '
            f"({resource.group or 'core'}.{kind}): unknown conversion"
        )
    reader = _Reader()
    shape = KINDS.get(kind)
    try:
        item = body if shape is None else reader.read(shape, body, "", shape.name)
    except Refusal as refusal:
        words = f'{kind} in version "v1" cannot be handled as a {kind}: {refusal.message}'
        raise bad_request(words) from refusal
    if strict and reader.unknown:
        listed = ", ".join(f'unknown field "{path}"' for path in reader.unknown)
        raise bad_request(
            f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: {listed}'
        )
    made: Json = {**item, "kind": kind, "apiVersion": body.get("apiVersion", resource.api_version)}
    made["metadata"] = made.get("metadata") or {}
    return Decoded(made, reader.unknown)


class _Reader:
    """Reads one body, and notes what it does not know."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def read(self, shape: Type, value: Value, path: str, holder: str) -> Value:
        match shape:
            case Struct():
                self._check(value, dict, path, holder, f"v1.{shape.name}")
                return self._struct(shape, value, path)
            case ListOf():
                self._check(value, list, path, holder, _go(shape))
                return [
                    self.read(shape.item, item, f"{path}[{place}]", holder)
                    for place, item in enumerate(value)
                ]
            case MapOf():
                self._check(value, dict, path, holder, _go(shape))
                return {
                    key: self.read(shape.value, item, path, holder)
                    for key, item in value.items()
                    if item is not None
                }
            case _:
                return self._scalar(shape, value, path, holder)

    def _struct(self, shape: Struct, value: Json, path: str) -> Json:
        made: Json = {}
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in shape.fields:
                self.unknown.append(inner)
            elif item is not None:
                made[key] = self.read(shape.fields[key], item, inner, shape.name)
        return made

    def _scalar(self, shape: str, value: Value, path: str, holder: str) -> Value:
        if shape == ANY:
            return value
        if shape == "quantity":
            text = str(value) if isinstance(value, int | float) else value
            if not isinstance(text, str) or not QUANTITY.fullmatch(text):
                raise bad_request(QUANTITY_WORDS)
            return text
        wanted = {STRING: str, BOOL: bool}.get(shape, int)
        self._check(value, wanted, path, holder, shape)
        limit = {INT32: 1 << 31, INT64: 1 << 63}.get(shape)
        if limit and not -limit <= value < limit:
            raise _mistyped(f"number {value}", path, holder, shape)
        return value

    def _check(self, value: Value, wanted: type, path: str, holder: str, go: str) -> None:
        if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
            return
        raise _mistyped(_NAMES.get(type(value), "object"), path, holder, go)


_NAMES: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}


def _mistyped(found: str, path: str, holder: str, go: str) -> Refusal:
    plain = re.sub(r"\[[0-9]+\]", "", path)
    return bad_request(
        f"json: cannot unmarshal {found} into Go struct field {holder}.{plain} of type {go}"
    )


def _go(shape: Type) -> str:
    match shape:
        case ListOf():
            return f"[]{_go(shape.item)}"
        case MapOf():
            return f"map[string]{_go(shape.value)}"
        case Struct():
            return f"v1.{shape.name}"
        case _:
            return shape
