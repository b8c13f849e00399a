"""The controllers of Deployments and ReplicaSets."""

from __future__ import annotations

import copy
import time

from support.kubernetes.event import Recorder
from support.kubernetes.objects import Objects, random_end
from support.kubernetes.resource import DEPLOYMENTS, PODS, REPLICA_SETS, Json
from support.kubernetes.status import Refusal
from support.kubernetes.store import now
from support.kubernetes.workload import (
    RETRY_SECONDS,
    Workload,
    is_active,
    is_ready,
    owner_of,
    pod_of,
    template_hash,
)

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


class Deployments(Workload):
    """Makes ReplicaSets of Deployments, and pods of ReplicaSets."""

    def __init__(self, objects: Objects, events: Recorder) -> None:
        super().__init__(objects, events)
        self._begun: dict[str, float] = {}
        """When each ReplicaSet last came further, for the progress deadline."""

    def step(self) -> None:
        for deployment in self._store.all(DEPLOYMENTS):
            if "deletionTimestamp" not in deployment["metadata"]:
                self._deployment(deployment)
        for replica_set in self._store.all(REPLICA_SETS):
            if "deletionTimestamp" not in replica_set["metadata"]:
                self._replica_set(replica_set)

    def _deployment(self, deployment: Json) -> None:
        spec, meta = deployment["spec"], deployment["metadata"]
        mine = self._owned(REPLICA_SETS, deployment)
        name = f"{meta['name']}-{template_hash(spec['template'])}"
        newest = next((item for item in mine if item["metadata"]["name"] == name), None)
        self._number(deployment, len(mine) or 1)
        older = [item for item in mine if item["metadata"]["name"] != name]
        if newest is None:
            newest = self._new_replica_set(deployment, name)
        ready = newest["status"].get("readyReplicas", 0)
        left = [item for item in older if item["status"].get("replicas", 0)]
        if spec["strategy"]["type"] != "Recreate" or not left:
            self._scale(deployment, newest, spec["replicas"])
        for item in older:
            if spec["strategy"]["type"] == "Recreate" or ready >= spec["replicas"]:
                self._scale(deployment, item, 0)
        self._deployment_status(deployment, newest, mine)

    def _number(self, deployment: Json, revision: int) -> None:
        """Note on the Deployment how many templates it has had."""
        if REVISION not in deployment["metadata"].get("annotations", {}):

            def change(item: Json) -> None:
                item["metadata"].setdefault("annotations", {})[REVISION] = str(revision)

            self._store.update(DEPLOYMENTS, deployment, change)

    def _new_replica_set(self, deployment: Json, name: str) -> Json:
        template = copy.deepcopy(deployment["spec"]["template"])
        selector = copy.deepcopy(deployment["spec"]["selector"])
        end = name.rpartition("-")[2]
        template["metadata"].setdefault("labels", {})[HASH] = end
        selector.setdefault("matchLabels", {})[HASH] = end
        item: Json = {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": name,
                "labels": template["metadata"]["labels"],
                "annotations": {
                    **deployment["metadata"].get("annotations", {}),
                    "deployment.kubernetes.io/desired-replicas": str(
                        deployment["spec"]["replicas"]
                    ),
                    REVISION: "1",
                },
                "ownerReferences": [owner_of(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        return self._objects.create(REPLICA_SETS, deployment["metadata"]["namespace"], item)

    def _scale(self, deployment: Json, replica_set: Json, count: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before == count:
            return

        def change(item: Json) -> None:
            item["spec"]["replicas"] = count

        self._store.update(REPLICA_SETS, replica_set, change)
        word = "up" if count > before else "down"
        name = replica_set["metadata"]["name"]
        words = f"Scaled {word} replica set {name} from {before} to {count}"
        self._events.normal(deployment, "deployment-controller", "ScalingReplicaSet", words)

    def _deployment_status(self, deployment: Json, newest: Json, mine: list[Json]) -> None:
        wanted, meta = deployment["spec"]["replicas"], deployment["metadata"]
        total = sum(item["status"].get("replicas", 0) for item in mine)
        ready = sum(item["status"].get("readyReplicas", 0) for item in mine)
        updated = newest["status"].get("replicas", 0)
        counts = {
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        conditions = [
            _available(available=ready >= max(0, wanted - wanted // 4)),
            self._progressing(deployment, newest, counts),
        ]
        conditions += [
            one
            for item in mine
            for one in item["status"].get("conditions", [])
            if one["type"] == "ReplicaFailure"
        ][:1]
        status = {key: value for key, value in counts.items() if value}
        status["observedGeneration"] = meta["generation"]
        status["terminatingReplicas"] = sum(
            "deletionTimestamp" in pod["metadata"]
            for item in mine
            for pod in self._owned(PODS, item)
        )
        self._set_status(DEPLOYMENTS, deployment, status, conditions)

    def _progressing(self, deployment: Json, newest: Json, counts: Json) -> Json:
        name, wanted = newest["metadata"]["name"], deployment["spec"]["replicas"]
        done = (
            counts["updatedReplicas"] == wanted
            and counts["replicas"] == wanted
            and counts["availableReplicas"] == wanted
        )
        key = f"{newest['metadata']['uid']}/{counts['readyReplicas']}/{wanted}"
        begun = self._begun.setdefault(key, time.monotonic())
        if done:
            words = f'ReplicaSet "{name}" has successfully progressed.'
            return _condition("Progressing", "True", "NewReplicaSetAvailable", words)
        known = {one["type"]: one for one in deployment["status"].get("conditions", [])}
        if known.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable":
            return {**known["Progressing"]}  # not undone by a pod that ends later
        if time.monotonic() - begun > deployment["spec"]["progressDeadlineSeconds"]:
            words = f'ReplicaSet "{name}" has timed out progressing.'
            return _condition("Progressing", "False", "ProgressDeadlineExceeded", words)
        words = f'ReplicaSet "{name}" is progressing.'
        return _condition("Progressing", "True", "ReplicaSetUpdated", words)

    def _replica_set(self, replica_set: Json) -> None:
        pods = self._owned(PODS, replica_set)
        active = [pod for pod in pods if is_active(pod)]
        wanted, failure = replica_set["spec"]["replicas"], None
        if len(active) < wanted:
            failure = self._grow(replica_set, wanted - len(active))
        elif len(active) > wanted:
            # Those that are least far go first.
            active.sort(key=lambda pod: (is_ready(pod), bool(pod["spec"].get("nodeName"))))
            for pod in active[: len(active) - wanted]:
                self._drop(replica_set, "replicaset-controller", pod)
        pods = [pod for pod in self._owned(PODS, replica_set) if is_active(pod)]
        ready = sum(is_ready(pod) for pod in pods)
        counts = {
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        status = {key: value for key, value in counts.items() if value}
        status |= {
            "replicas": len(pods),
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        conditions = (
            [_condition("ReplicaFailure", "True", "FailedCreate", failure)] if failure else []
        )
        self._set_status(REPLICA_SETS, replica_set, status, conditions)

    def _grow(self, replica_set: Json, count: int) -> str | None:
        """Make pods; gives why not."""
        meta = replica_set["metadata"]
        known = [
            one["message"]
            for one in replica_set["status"].get("conditions", [])
            if one["type"] == "ReplicaFailure"
        ]
        if time.monotonic() - self._tried.get(meta["uid"], -1e9) < RETRY_SECONDS:
            return known[0] if known else None
        for _ in range(count):
            pod = pod_of(replica_set, f"{meta['name'][:57]}-{random_end()}")
            pod["metadata"]["generateName"] = f"{meta['name']}-"
            try:
                made = self._objects.create(PODS, meta["namespace"], pod)
            except Refusal as refused:
                self._tried[meta["uid"]] = time.monotonic()
                source, words = "replicaset-controller", f"Error creating: {refused.message}"
                self._events.warn(replica_set, source, "FailedCreate", words)
                return refused.message
            words = f"Created pod: {made['metadata']['name']}"
            self._events.normal(replica_set, "replicaset-controller", "SuccessfulCreate", words)
        return None


def _available(*, available: bool) -> Json:
    if available:
        words = "Deployment has minimum availability."
        return _condition("Available", "True", "MinimumReplicasAvailable", words)
    words = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", words)


def _condition(kind: str, status: str, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": now(),
        "lastTransitionTime": now(),
        "reason": reason,
        "message": message,
    }
