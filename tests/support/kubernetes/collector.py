"""What goes when its owner goes, and when its namespace goes; and the binding of claims."""

from __future__ import annotations

from support.kubernetes.event import Recorder
from support.kubernetes.objects import FOREGROUND, ORPHAN, PROTECTION, Objects
from support.kubernetes.resource import (
    ACCOUNTS,
    CLAIMS,
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    RESOURCES,
    Json,
    Resource,
)

VOLUMES = "persistentvolume-controller"
ROOT = "kube-root-ca.crt"
STANDARD = "standard"
"""The storage class of claims that name none."""


class Collector:
    """The garbage collector, the end of namespaces, and the volume controller."""

    def __init__(self, objects: Objects, events: Recorder) -> None:
        self.authority = ""
        """The certificate that every namespace has a copy of."""
        self.storage = True
        """Whether there is anything to bind claims to."""
        self.storage_error = ""
        """Words with which the provisioner fails."""
        self._objects = objects
        self._store = objects.store
        self._events = events
        self._told: set[tuple[str, str]] = set()

    def step(self) -> None:
        self._namespaces()
        everything = list(self._store.everything())
        living = {item["metadata"]["uid"] for _, item in everything}
        for resource, item in everything:
            owners = item["metadata"].get("ownerReferences", [])
            if owners and not any(owner["uid"] in living for owner in owners):
                self._delete(resource, item)
            finalizers = item["metadata"].get("finalizers", [])
            if "deletionTimestamp" in item["metadata"]:
                if FOREGROUND in finalizers:
                    self._foreground(resource, item, everything)
                if ORPHAN in finalizers:
                    self._orphan(resource, item, everything)
        for claim in self._store.all(CLAIMS):
            self._claim(claim)

    def _delete(self, resource: Resource, item: Json, options: Json | None = None) -> None:
        meta = item["metadata"]
        if "deletionTimestamp" not in meta:
            namespace = meta.get("namespace", "")
            if self._store.find(resource, namespace, meta["name"]) is not None:
                self._objects.delete(resource, namespace, meta["name"], options or {})

    def _foreground(
        self, resource: Resource, item: Json, everything: list[tuple[Resource, Json]]
    ) -> None:
        """Let an owner go once all that it owns has gone."""
        mine = [(kind, other) for kind, other in everything if _owns(item, other)]
        for kind, other in mine:
            self._delete(kind, other, {"propagationPolicy": "Foreground"})
        if not mine:
            self._objects.finalize(resource, item, FOREGROUND)

    def _orphan(
        self, resource: Resource, item: Json, everything: list[tuple[Resource, Json]]
    ) -> None:
        uid = item["metadata"]["uid"]

        def change(other: Json) -> None:
            owners = other["metadata"]["ownerReferences"]
            other["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] != uid]

        for kind, other in everything:
            if _owns(item, other):
                self._store.update(kind, other, change)
        self._objects.finalize(resource, item, ORPHAN)

    def _namespaces(self) -> None:
        for namespace in self._store.all(NAMESPACES):
            name = namespace["metadata"]["name"]
            if "deletionTimestamp" not in namespace["metadata"]:
                self._furnish(name)
                continue
            left = [
                (resource, item)
                for resource in RESOURCES
                if resource.namespaced
                for item in self._store.all(resource, name)
            ]
            for resource, item in left:
                self._delete(resource, item)
            if not left:
                self._store.remove(NAMESPACES, namespace)

    def _furnish(self, namespace: str) -> None:
        """Make what every namespace has."""
        for resource, name in ((ACCOUNTS, "default"), (CONFIG_MAPS, ROOT)):
            if self._store.find(resource, namespace, name) is None:
                item: Json = {
                    "kind": resource.kind,
                    "apiVersion": "v1",
                    "metadata": {"name": name},
                }
                if resource is CONFIG_MAPS:
                    item["data"] = {"ca.crt": self.authority}
                self._objects.create(resource, namespace, item)

    def _claim(self, claim: Json) -> None:
        meta = claim["metadata"]
        if "deletionTimestamp" in meta:
            if not self._used(claim):
                self._objects.finalize(CLAIMS, claim, PROTECTION)
            return
        if claim["status"]["phase"] == "Bound":
            return
        wanted = claim["spec"].get("storageClassName", STANDARD)
        if not self.storage:
            words = "no persistent volumes available for this claim and no storage class is set"
            self._once(claim, "FailedBinding", words)
        elif wanted != STANDARD:
            self._once(
                claim, "ProvisioningFailed", f'storageclass.storage.k8s.io "{wanted}" not found'
            )
        elif self.storage_error:
            words = f'failed to provision volume with StorageClass "{wanted}": {self.storage_error}'
            self._once(claim, "ProvisioningFailed", words)
        else:
            self._bind(claim)

    def _once(self, claim: Json, reason: str, words: str) -> None:
        key = (claim["metadata"]["uid"], words)
        if key not in self._told:
            self._told.add(key)
            tell = self._events.normal if reason == "FailedBinding" else self._events.warn
            tell(claim, VOLUMES, reason, words)

    def _bind(self, claim: Json) -> None:
        def change(item: Json) -> None:
            spec = item["spec"]
            spec.setdefault("storageClassName", STANDARD)
            spec["volumeName"] = f"pvc-{item['metadata']['uid']}"
            item["status"] = {
                "phase": "Bound",
                "accessModes": spec["accessModes"],
                "capacity": dict(spec["resources"]["requests"]),
            }
            notes = item["metadata"].setdefault("annotations", {})
            notes["pv.kubernetes.io/bind-completed"] = "yes"

        self._store.update(CLAIMS, claim, change)
        words = f"Successfully provisioned volume pvc-{claim['metadata']['uid']}"
        self._events.normal(claim, VOLUMES, "ProvisioningSucceeded", words)

    def _used(self, claim: Json) -> bool:
        meta = claim["metadata"]
        return any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == meta["name"]
            for pod in self._store.all(PODS, meta["namespace"])
            if pod["status"]["phase"] not in ("Failed", "Succeeded")
            for volume in pod["spec"].get("volumes", [])
        )


def _owns(owner: Json, item: Json) -> bool:
    uid = owner["metadata"]["uid"]
    return any(one["uid"] == uid for one in item["metadata"].get("ownerReferences", []))
