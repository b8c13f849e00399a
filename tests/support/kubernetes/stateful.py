"""The controller of StatefulSets."""

from __future__ import annotations

import copy
import time

from support.kubernetes.resource import CLAIMS, PODS, STATEFUL_SETS, Json
from support.kubernetes.status import Refusal
from support.kubernetes.workload import (
    RETRY_SECONDS,
    Workload,
    is_ready,
    owner_of,
    pod_of,
    template_hash,
)


class StatefulSets(Workload):
    """Makes pods with names and claims of their own."""

    def step(self) -> None:
        for stateful_set in self._store.all(STATEFUL_SETS):
            if "deletionTimestamp" not in stateful_set["metadata"]:
                self._stateful_set(stateful_set)

    def _stateful_set(self, owner: Json) -> None:
        spec, name = owner["spec"], owner["metadata"]["name"]
        revision = f"{name}-{template_hash(spec['template'])}"
        pods = {pod["metadata"]["name"]: pod for pod in self._owned(PODS, owner)}
        wanted = {f"{name}-{ordinal}": ordinal for ordinal in range(spec["replicas"])}
        for title, pod in pods.items():
            ended = pod["status"]["phase"] in ("Failed", "Succeeded")
            old = pod["metadata"]["labels"].get("controller-revision-hash") != revision
            if "deletionTimestamp" in pod["metadata"] or not (ended or old or title not in wanted):
                continue
            self._drop(owner, "statefulset-controller", pod)
        for title, ordinal in wanted.items():
            below = pods.get(f"{name}-{ordinal - 1}") if ordinal else None
            ordered = spec["podManagementPolicy"] == "OrderedReady"
            if ordered and ordinal and (below is None or not is_ready(below)):
                break
            if self._store.find(PODS, owner["metadata"]["namespace"], title) is None:
                self._add_stateful(owner, title, ordinal, revision)
        left = self._owned(PODS, owner)
        ready = sum(is_ready(pod) for pod in left)
        counts = {
            "readyReplicas": ready,
            "currentReplicas": len(left),
            "updatedReplicas": len(left),
        }
        status: Json = {key: value for key, value in counts.items() if value}
        status |= {
            "replicas": len(left),
            "availableReplicas": ready,
            "observedGeneration": owner["metadata"]["generation"],
            "currentRevision": revision,
            "updateRevision": revision,
            "collisionCount": 0,
        }
        self._set_status(STATEFUL_SETS, owner, status, [])

    def _add_stateful(self, owner: Json, title: str, ordinal: int, revision: str) -> None:
        meta, source = owner["metadata"], "statefulset-controller"
        key = f"{meta['uid']}/{ordinal}"
        if time.monotonic() - self._tried.get(key, -1e9) < RETRY_SECONDS:
            return
        pod = pod_of(owner, title)
        pod["metadata"].setdefault("labels", {}).update(
            {
                "apps.kubernetes.io/pod-index": str(ordinal),
                "controller-revision-hash": revision,
                "statefulset.kubernetes.io/pod-name": title,
            }
        )
        pod["spec"]["hostname"] = title
        if owner["spec"].get("serviceName"):
            pod["spec"]["subdomain"] = owner["spec"]["serviceName"]
        volumes = pod["spec"].setdefault("volumes", [])
        try:
            for template in owner["spec"].get("volumeClaimTemplates", []):
                name = self._claim(owner, template, title)
                alias = template["metadata"]["name"]
                volumes[:] = [one for one in volumes if one["name"] != alias]
                volumes.append({"name": alias, "persistentVolumeClaim": {"claimName": name}})
            self._objects.create(PODS, meta["namespace"], pod)
        except Refusal as refused:
            self._tried[key] = time.monotonic()
            words = (
                f"Create Pod {title} in StatefulSet {meta['name']} failed error: {refused.message}"
            )
            self._events.warn(owner, source, "FailedCreate", words)
            return
        words = f"Create Pod {title} in StatefulSet {meta['name']} successful"
        self._events.normal(owner, source, "SuccessfulCreate", words)

    def _claim(self, owner: Json, template: Json, pod: str) -> str:
        meta = owner["metadata"]
        name = f"{template['metadata']['name']}-{pod}"
        if self._store.find(CLAIMS, meta["namespace"], name) is None:
            claim = copy.deepcopy(template)
            claim["metadata"]["name"] = name
            labels = owner["spec"]["selector"].get("matchLabels", {})
            claim["metadata"].setdefault("labels", {}).update(labels)
            retention = owner["spec"]["persistentVolumeClaimRetentionPolicy"]
            if retention["whenDeleted"] == "Delete":
                claim["metadata"]["ownerReferences"] = [owner_of(owner)]
            claim.pop("status", None)
            self._objects.create(CLAIMS, meta["namespace"], claim)
            words = f"Create Claim {name} Pod {pod} in StatefulSet {meta['name']} success"
            self._events.normal(owner, "statefulset-controller", "SuccessfulCreate", words)
        return name
