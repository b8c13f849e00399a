"""The rules for pods and for the templates that they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from support.kubernetes import name
from support.kubernetes.resource import Json
from support.kubernetes.schema import VOLUME_SOURCES
from support.kubernetes.status import (
    Cause,
    duplicate,
    forbidden_field,
    missing,
    required,
    unsupported,
    wrong,
)

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_COUNTABLE = ("cpu", "memory", "ephemeral-storage")


def pod(field: str, spec: Json, *, extra_volumes: tuple[str, ...] = ()) -> Iterator[Cause]:
    """Yield what is wrong with a pod's spec; ``extra_volumes`` come from claim templates."""
    volumes = [volume.get("name", "") for volume in spec.get("volumes", [])]
    yield from _volumes(f"{field}.volumes", spec.get("volumes", []))
    names = {*volumes, *extra_volumes}
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{field}.containers")
    seen: Counter[str] = Counter()
    for group in ("containers", "initContainers"):
        for place, item in enumerate(spec.get(group, [])):
            where = f"{field}.{group}[{place}]"
            yield from _container(where, item, names)
            seen[item.get("name", "")] += 1
            if item.get("name") and seen[item["name"]] > 1:
                yield duplicate(f"{where}.name", item["name"])
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        yield unsupported(
            f"{field}.restartPolicy", spec["restartPolicy"], "Always", "OnFailure", "Never"
        )
    if spec["dnsPolicy"] not in ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"):
        choices = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
        yield unsupported(f"{field}.dnsPolicy", spec["dnsPolicy"], *choices)
    if spec["terminationGracePeriodSeconds"] < 0:
        grace = spec["terminationGracePeriodSeconds"]
        words = "must be greater than or equal to 0"
        yield wrong(f"{field}.terminationGracePeriodSeconds", grace, words)
    yield from name.labels(f"{field}.nodeSelector", spec.get("nodeSelector", {}))
    if spec.get("serviceAccountName"):
        yield from name.subdomain(f"{field}.serviceAccountName", spec["serviceAccountName"])
    for place, item in enumerate(spec.get("tolerations", [])):
        yield from _toleration(f"{field}.tolerations[{place}]", item)
    for place, item in enumerate(spec.get("topologySpreadConstraints", [])):
        yield from _spread(f"{field}.topologySpreadConstraints[{place}]", item)


def _volumes(field: str, volumes: list[Json]) -> Iterator[Cause]:
    seen: set[str] = set()
    for place, volume in enumerate(volumes):
        where = f"{field}[{place}]"
        title = volume.get("name", "")
        if not title:
            yield required(f"{where}.name")
        else:
            yield from name.label(f"{where}.name", title)
        if title in seen:
            yield duplicate(f"{where}.name", title)
        seen.add(title)
        sources = [key for key in VOLUME_SOURCES if key in volume]
        yield from [
            forbidden_field(f"{where}.{extra}", "may not specify more than 1 volume type")
            for extra in sources[1:]
        ]
        if sources:
            yield from _source(f"{where}.{sources[0]}", sources[0], volume[sources[0]])


def _source(field: str, kind: str, source: Json) -> Iterator[Cause]:
    if kind == "emptyDir":
        limit = source.get("sizeLimit")
        if limit and name.quantity(limit) < 0:
            yield forbidden_field(f"{field}.sizeLimit", "size limit must be non-negative")
    needed = {"configMap": "name", "persistentVolumeClaim": "claimName", "hostPath": "path"}
    key = needed.get(kind)
    if key is not None and not source.get(key):
        yield required(f"{field}.{key}")


def _container(field: str, item: Json, volumes: set[str]) -> Iterator[Cause]:
    if not item.get("name"):
        yield required(f"{field}.name")
    else:
        yield from name.label(f"{field}.name", item["name"])
    image = item.get("image", "")
    if not image:
        yield required(f"{field}.image")
    elif image != image.strip():
        yield wrong(f"{field}.image", image, "must not have leading or trailing whitespace")
    if item["imagePullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        choices = ("Always", "IfNotPresent", "Never")
        yield unsupported(f"{field}.imagePullPolicy", item["imagePullPolicy"], *choices)
    for place, variable in enumerate(item.get("env", [])):
        where = f"{field}.env[{place}].name"
        if not variable.get("name"):
            yield required(where)
        else:
            yield from name.environment(where, variable["name"])
    yield from _mounts(f"{field}.volumeMounts", item.get("volumeMounts", []), volumes)
    yield from _needs(f"{field}.resources", item["resources"])
    security = item.get("securityContext", {})
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield wrong(f"{field}.securityContext", security, words)
    profile = security.get("seccompProfile")
    if profile is not None and profile.get("type") not in (
        kinds := ("Localhost", "RuntimeDefault", "Unconfined")
    ):
        yield unsupported(
            f"{field}.securityContext.seccompProfile.type", profile.get("type", ""), *kinds
        )
    for probe in ("livenessProbe", "readinessProbe"):
        if probe in item:
            yield from _probe(f"{field}.{probe}", item[probe])


def _mounts(field: str, mounts: list[Json], volumes: set[str]) -> Iterator[Cause]:
    seen: set[str] = set()
    for place, mount in enumerate(mounts):
        where = f"{field}[{place}]"
        title, path = mount.get("name", ""), mount.get("mountPath", "")
        if not title:
            yield required(f"{where}.name")
        elif title not in volumes:
            yield missing(f"{where}.name", title)
        if not path:
            yield required(f"{where}.mountPath")
        if path in seen:
            yield wrong(f"{where}.mountPath", path, "must be unique")
        seen.add(path)


def _needs(field: str, needs: Json) -> Iterator[Cause]:
    limits, requests = needs.get("limits", {}), needs.get("requests", {})
    for group, given in (("limits", limits), ("requests", requests)):
        for resource, amount in given.items():
            where = f"{field}.{group}[{resource}]"
            if resource not in _COUNTABLE and "/" not in resource and "hugepages" not in resource:
                yield wrong(where, resource, "must be a standard resource type or fully qualified")
                yield wrong(where, resource, "must be a standard resource for containers")
            if name.quantity(amount) < 0:
                yield wrong(where, amount, "must be greater than or equal to 0")
    for resource, amount in requests.items():
        if resource in limits and name.quantity(amount) > name.quantity(limits[resource]):
            words = f"must be less than or equal to {resource} limit of {limits[resource]}"
            yield wrong(f"{field}.requests", amount, words)


def _probe(field: str, probe: Json) -> Iterator[Cause]:
    if not any(kind in probe for kind in ("exec", "httpGet", "tcpSocket", "grpc")):
        yield required(field, "must specify a handler type")
    if "exec" in probe and not probe["exec"].get("command"):
        yield required(f"{field}.exec.command")
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        if probe.get(key, 0) < 0:
            yield wrong(f"{field}.{key}", probe[key], "must be greater than or equal to 0")


def _toleration(field: str, item: Json) -> Iterator[Cause]:
    key, operator = item.get("key", ""), item.get("operator", "")
    value, effect = item.get("value", ""), item.get("effect", "")
    if key:
        yield from name.qualified(f"{field}.key", key)
    elif operator != "Exists":
        words = (
            "operator must be Exists when `key` is empty, which means "
            '"match all values and all keys"'
        )
        yield wrong(f"{field}.operator", operator, words)
    if "tolerationSeconds" in item and effect != "NoExecute":
        words = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield wrong(f"{field}.effect", effect, words)
    if operator in ("", "Equal"):
        yield from name.label_value(f"{field}.operator", value)
    elif operator == "Exists":
        if value:
            words = "value must be empty when `operator` is 'Exists'"
            yield wrong(f"{field}.operator", value, words)
    else:
        yield unsupported(f"{field}.operator", operator, "Equal", "Exists")
    if effect and effect not in _EFFECTS:
        yield unsupported(f"{field}.effect", effect, *_EFFECTS)


def _spread(field: str, item: Json) -> Iterator[Cause]:
    if item.get("maxSkew", 0) <= 0:
        yield wrong(f"{field}.maxSkew", item.get("maxSkew", 0), "must be greater than zero")
    if not item.get("topologyKey"):
        yield required(f"{field}.topologyKey", "can not be empty")
    words = item.get("whenUnsatisfiable", "")
    if words not in ("DoNotSchedule", "ScheduleAnyway"):
        yield unsupported(f"{field}.whenUnsatisfiable", words, "DoNotSchedule", "ScheduleAnyway")
