"""The types of a pod template's fields, and by what the items of its lists are told apart.

A table rather than code, because it is read against the API's reference. Fields that are not in it
are left to the API server, which knows those of its own version.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

_SECURITY = """
    runAsUser:number runAsGroup:number runAsNonRoot:flag seLinuxOptions:object
    seccompProfile:object appArmorProfile:object windowsOptions:object
"""

_SHAPES = {
    "PodTemplate": "metadata:Metadata spec:PodSpec",
    "Metadata": "labels:texts annotations:texts",
    "PodSpec": """
        activeDeadlineSeconds:number affinity:Affinity automountServiceAccountToken:flag
        containers:[Container]name dnsConfig:object dnsPolicy:text enableServiceLinks:flag
        ephemeralContainers:[object]name hostAliases:[object]ip hostIPC:flag hostNetwork:flag
        hostPID:flag hostUsers:flag hostname:text hostnameOverride:text
        imagePullSecrets:[Reference]name initContainers:[Container]name nodeName:text
        nodeSelector:texts os:object overhead:quantities preemptionPolicy:text priority:number
        priorityClassName:text readinessGates:[object] resourceClaims:[object]name
        resources:Resources restartPolicy:text runtimeClassName:text schedulerName:text
        schedulingGates:[object]name securityContext:PodSecurity serviceAccount:text
        serviceAccountName:text setHostnameAsFQDN:flag shareProcessNamespace:flag subdomain:text
        terminationGracePeriodSeconds:number tolerations:[Toleration]
        topologySpreadConstraints:[Spread]topologyKey volumes:[Volume]name
    """,
    "Container": """
        args:[text] command:[text] env:[Variable]name envFrom:[object] image:text
        imagePullPolicy:text lifecycle:object livenessProbe:Probe name:text
        ports:[Port]containerPort readinessProbe:Probe resizePolicy:[object] resources:Resources
        restartPolicy:text securityContext:Security startupProbe:Probe stdin:flag stdinOnce:flag
        terminationMessagePath:text terminationMessagePolicy:text tty:flag
        volumeDevices:[object]devicePath volumeMounts:[Mount]mountPath workingDir:text
    """,
    "Affinity": "nodeAffinity:object podAffinity:object podAntiAffinity:object",
    "Capabilities": "add:[text] drop:[text]",
    "Exec": "command:[text]",
    "Mount": """
        mountPath:text mountPropagation:text name:text readOnly:flag recursiveReadOnly:text
        subPath:text subPathExpr:text
    """,
    "PodSecurity": f"""{_SECURITY}
        fsGroup:number fsGroupChangePolicy:text supplementalGroups:[number]
        supplementalGroupsPolicy:text sysctls:[object]
    """,
    "Port": "containerPort:number hostIP:text hostPort:number name:text protocol:text",
    "Probe": """
        exec:Exec failureThreshold:number grpc:object httpGet:object initialDelaySeconds:number
        periodSeconds:number successThreshold:number tcpSocket:object
        terminationGracePeriodSeconds:number timeoutSeconds:number
    """,
    "Reference": "name:text",
    "Resources": "claims:[object] limits:quantities requests:quantities",
    "Security": f"""{_SECURITY}
        allowPrivilegeEscalation:flag capabilities:Capabilities privileged:flag procMount:text
        readOnlyRootFilesystem:flag
    """,
    "Spread": """
        labelSelector:object matchLabelKeys:[text] maxSkew:number minDomains:number
        nodeAffinityPolicy:text nodeTaintsPolicy:text topologyKey:text whenUnsatisfiable:text
    """,
    "Toleration": "effect:text key:text operator:text tolerationSeconds:number value:text",
    "Variable": "name:text value:text valueFrom:object",
    "Volume": """
        configMap:object csi:object downwardAPI:object emptyDir:object ephemeral:object
        hostPath:object image:object name:text nfs:object persistentVolumeClaim:object
        projected:object secret:object
    """,
}


class Shape(NamedTuple):
    """What a value has to be."""

    kind: str
    """``text``, ``number``, ``flag``, ``texts``, ``quantities``, ``object``, or a row of the
    table; empty is anything."""
    is_list: bool = False
    key: str = ""
    """The field by which items of the list are told apart; without one the list is one value."""


ANYTHING = Shape("")
TEMPLATE = Shape("PodTemplate")


def field(shape: Shape, name: str) -> Shape:
    """Give the shape of a mapping's field."""
    if shape.kind == "texts":
        return Shape("text")
    if shape.kind == "quantities":
        return Shape("quantity")
    return _fields(shape.kind).get(name, ANYTHING)


def item(shape: Shape) -> Shape:
    """Give the shape of a list's items."""
    return Shape(shape.kind)


def is_mapping(shape: Shape) -> bool:
    """Tell whether a value of this shape has fields."""
    return shape.kind in ("object", "texts", "quantities") or shape.kind in _SHAPES


@cache
def _fields(kind: str) -> dict[str, Shape]:
    found = {}
    for entry in _SHAPES.get(kind, "").split():
        name, _, type_ = entry.partition(":")
        inside, bracket, key = type_.removeprefix("[").partition("]")
        found[name] = Shape(inside, is_list=bool(bracket), key=key)
    return found
