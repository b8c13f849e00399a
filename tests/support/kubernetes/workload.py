"""What the controllers of workloads have in common."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable

from support.kubernetes.event import Recorder
from support.kubernetes.objects import Objects
from support.kubernetes.resource import PODS, Json, Resource
from support.kubernetes.selector import labels_match

RETRY_SECONDS = 1.0
"""After how long a pod that was refused is tried again."""


class Workload:
    """What makes pods."""

    def __init__(self, objects: Objects, events: Recorder) -> None:
        self._objects = objects
        self._store = objects.store
        self._events = events
        self._tried: dict[str, float] = {}
        """When a pod was refused last, by what it is for."""

    def _drop(self, owner: Json, source: str, pod: Json) -> None:
        meta = pod["metadata"]
        self._objects.delete(PODS, meta["namespace"], meta["name"], {})
        words = f"Deleted pod: {meta['name']}"
        if owner["kind"] == "StatefulSet":
            words = (
                f"Delete Pod {meta['name']} in StatefulSet {owner['metadata']['name']} successful"
            )
        self._events.normal(owner, source, "SuccessfulDelete", words)

    def _owned(self, resource: Resource, owner: Json) -> list[Json]:
        meta = owner["metadata"]
        return [
            item
            for item in self._store.all(resource, meta["namespace"])
            if any(one["uid"] == meta["uid"] for one in item["metadata"].get("ownerReferences", []))
            and labels_match(owner["spec"]["selector"], item["metadata"].get("labels", {}))
        ]

    def _set_status(
        self, resource: Resource, item: Json, status: Json, conditions: list[Json]
    ) -> None:
        known = {one["type"]: one for one in item["status"].get("conditions", [])}
        for one in conditions:
            before = known.get(one["type"], {})
            if before.get("status") == one["status"]:
                one["lastTransitionTime"] = before["lastTransitionTime"]
                same = (before["reason"], before["message"]) == (one["reason"], one["message"])
                if same and "lastUpdateTime" in before:
                    one["lastUpdateTime"] = before["lastUpdateTime"]
        if conditions:
            status["conditions"] = conditions
        if item["status"] != status:
            self._store.update(resource, item, _status_setter(status))


def _status_setter(status: Json) -> Callable[[Json], None]:
    def change(item: Json) -> None:
        item["status"] = status

    return change


def template_hash(template: Json) -> str:
    """Give the end of the name of whatever is made of a template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join("bcdfghjklmnpqrstvwxz2456789"[byte % 27] for byte in digest[:10])


def is_active(pod: Json) -> bool:
    ended = pod["status"].get("phase") in ("Failed", "Succeeded")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def owner_of(item: Json) -> Json:
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_of(owner: Json, name: str) -> Json:
    template = copy.deepcopy(owner["spec"]["template"])
    meta = {**template["metadata"], "name": name, "ownerReferences": [owner_of(owner)]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": template["spec"]}
