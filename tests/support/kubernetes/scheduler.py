"""Which node a pod goes to, and in which words it is told that there is none."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from support.kubernetes.event import SCHEDULER, Recorder
from support.kubernetes.name import quantity
from support.kubernetes.resource import CLAIMS, NODES, PODS, Json
from support.kubernetes.selector import labels_match
from support.kubernetes.store import Store, now


class Scheduler:
    """Looks at the pods that have no node yet."""

    def __init__(self, store: Store, events: Recorder) -> None:
        self.unschedulable = ""
        """Words to refuse every pod with."""
        self._store = store
        self._events = events

    def step(self) -> None:
        for pod in self._store.all(PODS):
            waiting = not pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending"
            ours = pod["spec"]["schedulerName"] == SCHEDULER
            if waiting and ours and "deletionTimestamp" not in pod["metadata"]:
                self._schedule(pod)

    def _schedule(self, pod: Json) -> None:
        if self.unschedulable:
            self._refuse(pod, self.unschedulable)
            return
        nodes = self._store.all(NODES)
        if not nodes:
            self._refuse(pod, "no nodes available to schedule pods")
            return
        if words := self._claims_missing(pod, len(nodes)):
            self._refuse(pod, words)
            return
        reasons: Counter[str] = Counter()
        for node in nodes:
            found = self._reasons(pod, node)
            if not found:
                self._bind(pod, node)
                return
            reasons.update(found)
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        count = len(nodes)
        self._refuse(
            pod,
            f"0/{count} nodes are available: {why}. no new claims to deallocate, preemption: "
            f"0/{count} nodes are available: {count} Preemption is not helpful for scheduling.",
        )

    def _reasons(self, pod: Json, node: Json) -> list[str]:
        labels = node["metadata"]["labels"]
        spec = pod["spec"]
        for taint in node["spec"].get("taints", []):
            tolerated = any(_tolerates(one, taint) for one in spec.get("tolerations", []))
            if taint["effect"] != "PreferNoSchedule" and not tolerated:
                return [
                    f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
                ]
        if not labels_match({"matchLabels": spec.get("nodeSelector", {})}, labels) or not _likes(
            spec, labels
        ):
            return ["node(s) didn't match Pod's node affinity/selector"]
        return [
            f"Insufficient {resource}"
            for resource in ("cpu", "memory", "ephemeral-storage")
            if self._free(node, resource) < _needs(pod, resource)
        ]

    def _free(self, node: Json, resource: str) -> Decimal:
        there = [
            pod
            for pod in self._store.all(PODS)
            if pod["spec"].get("nodeName") == node["metadata"]["name"]
            and pod["status"]["phase"] not in ("Failed", "Succeeded")
        ]
        used = sum((_needs(pod, resource) for pod in there), Decimal())
        return quantity(node["status"]["allocatable"][resource]) - used

    def _claims_missing(self, pod: Json, nodes: int) -> str:
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes", []):
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            if name is None:
                continue
            claim = self._store.find(CLAIMS, namespace, name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if claim["status"]["phase"] != "Bound":
                return (
                    f"0/{nodes} nodes are available: pod has unbound immediate "
                    "PersistentVolumeClaims. not found"
                )
        return ""

    def _bind(self, pod: Json, node: Json) -> None:
        name = node["metadata"]["name"]

        def change(item: Json) -> None:
            item["spec"]["nodeName"] = name
            item["status"]["conditions"] = [condition("PodScheduled", "True")]

        self._store.update(PODS, pod, change)
        meta = pod["metadata"]
        words = f"Successfully assigned {meta['namespace']}/{meta['name']} to {name}"
        self._events.normal(pod, SCHEDULER, "Scheduled", words)

    def _refuse(self, pod: Json, words: str) -> None:
        known = pod["status"].get("conditions", [{}])[0]
        if known.get("message") == words:
            return

        def change(item: Json) -> None:
            item["status"]["conditions"] = [
                condition("PodScheduled", "False", "Unschedulable", words)
            ]

        self._store.update(PODS, pod, change)
        self._events.warn(pod, SCHEDULER, "FailedScheduling", words)


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    """Make one entry of a status' conditions."""
    entry: Json = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": now(),
    }
    if reason:
        entry["reason"] = reason
    if message:
        entry["message"] = message
    return entry


def _needs(pod: Json, resource: str) -> Decimal:
    amounts = [
        item["resources"].get("requests", {}).get(resource, "0")
        for item in pod["spec"]["containers"]
    ]
    return sum((quantity(amount) for amount in amounts), Decimal())


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, taint["key"])
    same_value = toleration.get("value", "") == taint.get("value", "")
    return bool(toleration.get("key") == taint["key"]) and same_value


def _likes(spec: Json, labels: Json) -> bool:
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    wanted = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if wanted is None:
        return True
    return any(labels_match(term, labels) for term in wanted.get("nodeSelectorTerms", []))
