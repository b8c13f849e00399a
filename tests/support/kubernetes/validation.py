"""The rules for whole objects, when they are made and when they are changed."""

from __future__ import annotations

import json
from collections.abc import Iterator

from support.kubernetes import name, pod_rules
from support.kubernetes.resource import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Json,
    Resource,
)
from support.kubernetes.selector import labels_match
from support.kubernetes.status import (
    Cause,
    forbidden_field,
    invalid,
    required,
    too_long,
    unsupported,
    wrong,
)

_STATEFUL_CHANGES = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def check(resource: Resource, item: Json, before: Json | None = None) -> None:
    """Refuse an object that is not in order, or a change that may not be made."""
    causes = [*_meta(resource, item["metadata"]), *_body(resource, item)]
    if before is not None:
        causes += _change(resource, before, item)
    if causes:
        raise invalid(resource, item["metadata"].get("name", ""), causes)


def _meta(resource: Resource, meta: Json) -> Iterator[Cause]:
    title = meta.get("name", "")
    if not title:
        yield required("metadata.name", "name or generateName is required")
    elif resource in (NAMESPACES, STATEFUL_SETS):
        yield from name.label("metadata.name", title, unit="characters")
    else:
        yield from name.subdomain("metadata.name", title)
    yield from name.labels("metadata.labels", meta.get("labels", {}))
    yield from name.notes("metadata.annotations", meta.get("annotations", {}))
    for place, owner in enumerate(meta.get("ownerReferences", [])):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                words = f"{key if key != 'apiVersion' else 'version'} must not be empty"
                yield wrong(f"metadata.ownerReferences[{place}].{key}", "", words)


def _body(resource: Resource, item: Json) -> Iterator[Cause]:
    if resource in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS):
        yield from _workload(resource, item["spec"])
    elif resource is PODS:
        yield from pod_rules.pod("spec", item["spec"])
    elif resource is CONFIG_MAPS:
        yield from _config_map(item)
    elif resource is CLAIMS:
        yield from _claim("spec", item["spec"])


def _workload(resource: Resource, spec: Json) -> Iterator[Cause]:
    if spec["replicas"] < 0:
        words = "must be greater than or equal to 0"
        yield wrong("spec.replicas", spec["replicas"], words)
    selector, template = spec.get("selector"), spec["template"]
    labels = template["metadata"].get("labels", {})
    unmatched = wrong(
        "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
    )
    if selector is None:
        yield required("spec.selector")
        yield unmatched
    elif not selector:
        kind = resource.kind.lower()
        yield wrong("spec.selector", {}, f"empty selector is invalid for {kind}")
    else:
        wanted = selector.get("matchLabels", {})
        causes = list(name.labels("spec.selector.matchLabels", wanted))
        if causes:  # the template is not looked at then
            yield from [*causes, wrong("spec.selector", selector, "")]
            return
        if not labels_match(selector, labels):
            yield unmatched
    yield from name.labels("spec.template.labels", labels)
    yield from name.notes("spec.template.annotations", template["metadata"].get("annotations", {}))
    claims = spec.get("volumeClaimTemplates", [])
    extra = tuple(claim.get("metadata", {}).get("name", "") for claim in claims)
    yield from pod_rules.pod("spec.template.spec", template["spec"], extra_volumes=extra)
    policy = template["spec"]["restartPolicy"]
    if policy in ("OnFailure", "Never"):
        yield unsupported("spec.template.spec.restartPolicy", policy, "Always")
    for place, claim in enumerate(claims):
        yield from _claim(f"spec.volumeClaimTemplates[{place}].spec", claim["spec"])
    if resource is STATEFUL_SETS:
        management = spec["podManagementPolicy"]
        if management not in ("OrderedReady", "Parallel"):
            yield wrong(
                "spec.podManagementPolicy",
                management,
                "must be 'OrderedReady' or 'Parallel'",
            )


def _config_map(item: Json) -> Iterator[Cause]:
    size = 0
    for field in ("data", "binaryData"):
        for key, value in item.get(field, {}).items():
            yield from name.config_key(field, key)
            size += len(value.encode())
    if size > 1 << 20:
        yield too_long("[]", 1 << 20)


def _claim(field: str, spec: Json) -> Iterator[Cause]:
    modes = spec.get("accessModes", [])
    if not modes:
        yield required(f"{field}.accessModes", "at least 1 access mode is required")
    known = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
    yield from [
        unsupported(f"{field}.accessModes", mode, *known) for mode in modes if mode not in known
    ]
    storage = spec.get("resources", {}).get("requests", {}).get("storage")
    if storage is None:
        yield required(f"{field}.resources[storage]")
    elif name.quantity(storage) <= 0:
        yield wrong(f"{field}.resources[storage]", storage, "must be greater than zero")


def _change(resource: Resource, before: Json, after: Json) -> Iterator[Cause]:
    old, new = before.get("spec", {}), after.get("spec", {})
    if resource in (DEPLOYMENTS, REPLICA_SETS) and old["selector"] != new.get("selector"):
        yield wrong("spec.selector", new.get("selector"), "field is immutable")
    elif resource is STATEFUL_SETS:
        if _without(old, *_STATEFUL_CHANGES) != _without(new, *_STATEFUL_CHANGES):
            allowed = ", ".join(f"'{key}'" for key in _STATEFUL_CHANGES[:-1])
            words = (
                "updates to statefulset spec for fields other than "
                f"{allowed} and 'minReadySeconds' are forbidden"
            )
            yield forbidden_field("spec", words)
    elif resource is PODS:
        if _frozen_pod(old) != _frozen_pod(new):
            words = (
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),"
                "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                "previously negative)"
            )
            yield forbidden_field("spec", words)
    elif resource is CONFIG_MAPS and before.get("immutable"):
        if any(before.get(key) != after.get(key) for key in ("data", "binaryData", "immutable")):
            yield forbidden_field("data", "field is immutable when `immutable` is set")
    elif resource is CLAIMS and _without(old, "volumeName", "resources") != _without(
        new, "volumeName", "resources"
    ):
        words = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        yield forbidden_field("spec", words)


def _without(spec: Json, *keys: str) -> Json:
    return {key: value for key, value in spec.items() if key not in keys}


def _frozen_pod(spec: Json) -> str:
    kept = _without(spec, "activeDeadlineSeconds", "tolerations")
    kept["containers"] = [_without(item, "image") for item in spec["containers"]]
    return json.dumps(kept, sort_keys=True)
