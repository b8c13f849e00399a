"""Events: what the parts of the cluster tell about its objects.

As in the real cluster there are two sorts. The kubelet and the controllers count what they tell
again; the scheduler leaves the count and both times out, and names itself elsewhere.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from support.kubernetes.resource import EVENTS, Json
from support.kubernetes.status import Refusal
from support.kubernetes.store import Store, now

SCHEDULER = "default-scheduler"
KUBELET = "kubelet"
NODE = "node-1"
_MOST_SIMILAR = 10
_COMBINED = "(combined from similar events): "
_GROUPS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1"}


class Recorder:
    """Tells events; one that was told already is counted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def normal(self, item: Json, source: str, reason: str, message: str, path: str = "") -> None:
        self._tell("Normal", item, source, reason, message, path)

    def warn(self, item: Json, source: str, reason: str, message: str, path: str = "") -> None:
        self._tell("Warning", item, source, reason, message, path)

    def _tell(
        self, kind: str, item: Json, source: str, reason: str, message: str, path: str
    ) -> None:
        namespace = item["metadata"].get("namespace", "default")
        with self._store.changed:
            similar = [
                event
                for event in self._store.all(EVENTS, namespace)
                if event["involvedObject"]["uid"] == item["metadata"]["uid"]
                and (event["reason"], event["reportingComponent"]) == (reason, source)
            ]
            same = [event for event in similar if event["message"] == message]
            if not same and len(similar) >= _MOST_SIMILAR:
                message = f"{_COMBINED}{message}"
                same = [event for event in similar if event["message"].startswith(_COMBINED)]
            if same:
                self._count(same[0], message)
                return
            event = _event(kind, item, source, reason, message, path)
            try:
                self._store.create(EVENTS, namespace, event)
            except Refusal:
                return  # the namespace is gone: nobody is left to be told

    def _count(self, event: Json, message: str) -> None:
        event["message"] = message
        if event["count"] is None:
            series = event.get("series", {"count": 1})
            event["series"] = {"count": series["count"] + 1, "lastObservedTime": _precise()}
        else:
            event["count"] += 1
            event["lastTimestamp"] = now()
        self._store.replace(EVENTS, event)


def _event(kind: str, item: Json, source: str, reason: str, message: str, path: str) -> Json:
    meta = item["metadata"]
    about = {
        "kind": item["kind"],
        "namespace": meta.get("namespace", "default"),
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": _GROUPS.get(item["kind"], "v1"),
        "resourceVersion": meta["resourceVersion"],
    }
    if path:
        about["fieldPath"] = path
    told: Json = {
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
        "source": {"component": source},
        "eventTime": None,
        "reportingInstance": "",
    }
    if source == KUBELET:
        told["source"]["host"] = told["reportingInstance"] = NODE
    elif source == SCHEDULER:
        told = {
            "firstTimestamp": None,
            "lastTimestamp": None,
            "count": None,
            "source": {},
            "eventTime": _precise(),
            "reportingInstance": f"{SCHEDULER}-0",
            "action": "Binding" if kind == "Normal" else "Scheduling",
        }
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": f"{meta['name']}.{time.time_ns():x}"},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "type": kind,
        "reportingComponent": source,
        **told,
    }


def _precise() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
