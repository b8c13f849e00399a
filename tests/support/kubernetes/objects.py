"""Making, changing and removing objects by the rules; for clients and controllers alike."""

from __future__ import annotations

import secrets

from support.kubernetes import defaults, patch, validation
from support.kubernetes.admission import Admission
from support.kubernetes.resource import (
    CLAIMS,
    NAMESPACES,
    PODS,
    Json,
    Resource,
    Value,
)
from support.kubernetes.schema import decode
from support.kubernetes.status import (
    Refusal,
    bad_request,
    broken,
    conflict,
    invalid,
    not_found,
    success,
    terminating,
    unsupported,
)
from support.kubernetes.store import Store, now

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
PROTECTION = "kubernetes.io/pvc-protection"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What the random ends of names are made of: no words can come of it."""
_LONGEST_BEGINNING = 58


def random_end(length: int = 5) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Objects:
    """The rules above the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.admission = Admission(store)

    def create(self, resource: Resource, namespace: str, item: Json, *, dry: bool = False) -> Json:
        """Make an object that was decoded."""
        with self.store.changed:
            meta = item["metadata"]
            if meta.get("resourceVersion"):
                raise broken("resourceVersion should not be set on objects to be created")
            if meta.get("namespace", namespace) != namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace "
                    "sent on the request"
                )
            if not meta.get("name") and meta.get("generateName"):
                meta["name"] = meta["generateName"][:_LONGEST_BEGINNING] + random_end()
            for key in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
                meta.pop(key, None)
            if resource.namespaced:
                self._open(resource, namespace, meta.get("name", ""))
            if "spec" in item:
                item["status"] = {}
            defaults.fill(resource, item)
            validation.check(resource, item)
            self._begin(resource, namespace, item)
            return item if dry else self.store.create(resource, namespace, item)

    def replace(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        item: Json,
        *,
        part: str = "",
        dry: bool = False,
    ) -> Json:
        """Put an object in the place of the one of that name; ``part`` is ``status`` or empty."""
        with self.store.changed:
            meta = item["metadata"]
            if meta.get("name", name) != name:
                given = meta["name"]
                raise bad_request(
                    f"the name of the object ({given}) does not match the name on the URL ({name})"
                )
            if meta.get("namespace", namespace) != namespace:
                raise bad_request("the namespace of the object does not match the namespace")
            before = self.store.get(resource, namespace, name)
            old = before["metadata"]
            meta["name"] = name
            if meta.get("uid", old["uid"]) != old["uid"]:
                raise conflict(resource, name, _other_identity(resource, item, old))
            if part == "status":
                item = {**before, "status": item.get("status", {})}
                item["metadata"]["resourceVersion"] = meta.get("resourceVersion", "")
            else:
                if "status" in before:
                    item["status"] = before["status"]
                for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "namespace"):
                    if key in old:
                        meta[key] = old[key]
                defaults.fill(resource, item)
                validation.check(resource, item, before)
            if dry:
                return item
            after = self.store.replace(resource, item)
            self._finish(resource, after)
            return after

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        kind: str,
        change: Value,
        *,
        part: str = "",
        strict: bool = False,
    ) -> Json:
        """Change an object in part."""
        with self.store.changed:
            before = self.store.get(resource, namespace, name)
            item = patch.apply(kind, before, change)
            given = (change.get("metadata") or {}) if isinstance(change, dict) else {}
            if "resourceVersion" not in given:
                item["metadata"].pop("resourceVersion", None)
            item = decode(resource, item, strict=strict).item
            return self.replace(resource, namespace, name, item, part=part)

    def delete(self, resource: Resource, namespace: str, name: str, options: Json) -> Json:
        """Remove an object, or begin to; gives what is answered."""
        with self.store.changed:
            item = self.store.get(resource, namespace, name)
            meta = item["metadata"]
            conditions = options.get("preconditions") or {}
            _check_identity(resource, name, conditions.get("uid"), meta["uid"])
            wanted = conditions.get("resourceVersion", meta["resourceVersion"])
            if wanted != meta["resourceVersion"]:
                found = meta["resourceVersion"]
                raise conflict(
                    resource,
                    name,
                    "Precondition failed: ResourceVersion in precondition: "
                    f"{wanted}, ResourceVersion in object meta: {found}",
                )
            self._set_finalizer(meta, options)
            if resource is PODS:
                return self._delete_pod(item, options)
            if resource is NAMESPACES:
                item["status"] = {"phase": "Terminating"}
            elif not meta.get("finalizers"):
                self.store.remove(resource, item)
                return success(resource, name, meta["uid"])
            meta.setdefault("deletionTimestamp", now())
            meta.setdefault("deletionGracePeriodSeconds", 0)
            return self.store.replace(resource, item)

    def finalize(self, resource: Resource, item: Json, finalizer: str) -> None:
        """Take a finalizer away; the last one lets the object go."""

        def change(found: Json) -> None:
            left = [one for one in found["metadata"].get("finalizers", []) if one != finalizer]
            found["metadata"]["finalizers"] = left
            if not left:
                del found["metadata"]["finalizers"]

        after = self.store.update(resource, item, change)
        if after is not None:
            self._finish(resource, after)

    def _open(self, resource: Resource, namespace: str, name: str) -> None:
        """Refuse what goes into a namespace that is not there, or will not be."""
        found = self.store.find(NAMESPACES, "", namespace)
        if found is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise terminating(resource, name, namespace)

    def _begin(self, resource: Resource, namespace: str, item: Json) -> None:
        meta = item["metadata"]
        if resource is PODS:
            self.admission.admit(namespace, item)
            item["status"] = {"phase": "Pending", "qosClass": _quality(item["spec"])}
        elif resource is CLAIMS:
            item["status"] = {"phase": "Pending"}
            finalizers = meta.setdefault("finalizers", [])
            if PROTECTION not in finalizers:
                finalizers.append(PROTECTION)
        elif resource is NAMESPACES:
            item["status"] = {"phase": "Active"}

    def _set_finalizer(self, meta: Json, options: Json) -> None:
        policy = options.get("propagationPolicy")
        if policy is None and options.get("orphanDependents") is not None:
            policy = "Orphan" if options["orphanDependents"] else "Background"
        if policy not in (None, "Background", "Foreground", "Orphan"):
            raise _bad_policy(policy)
        finalizers = [one for one in meta.get("finalizers", []) if one not in (FOREGROUND, ORPHAN)]
        finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy or "", [])
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)

    def _delete_pod(self, item: Json, options: Json) -> Json:
        meta = item["metadata"]
        grace = options.get("gracePeriodSeconds")
        if grace is None:
            grace = item["spec"]["terminationGracePeriodSeconds"]
        if not item["spec"].get("nodeName") or item["status"]["phase"] in ("Failed", "Succeeded"):
            grace = 0  # nothing runs that would need time
        if grace == 0 and not meta.get("finalizers"):
            self.store.remove(PODS, item)
            return item
        if "deletionTimestamp" not in meta or grace < meta["deletionGracePeriodSeconds"]:
            meta.setdefault("deletionTimestamp", now())
            meta["deletionGracePeriodSeconds"] = grace
        return self.store.replace(PODS, item)

    def _finish(self, resource: Resource, item: Json) -> None:
        """Let an object go that was only held by finalizers."""
        meta = item["metadata"]
        held = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds", 0)
        if "deletionTimestamp" in meta and not held and resource is not NAMESPACES:
            self.store.remove(resource, item)


def _check_identity(resource: Resource, name: str, wanted: str | None, found: str) -> None:
    if wanted and wanted != found:
        words = (
            f"the UID in the precondition ({wanted}) does not match the UID in record ({found}). "
            "The object might have been deleted and then recreated"
        )
        # Here the message names the kind, where others name the resource.
        raise conflict(resource._replace(plural=resource.kind, group=""), name, words)


def _other_identity(resource: Resource, item: Json, old: Json) -> str:
    meta = item["metadata"]
    return (
        "StorageError: invalid object, Code: 4, Key: "
        f"/registry/{resource.plural}/{old.get('namespace', '')}/{old['name']}, ResourceVersion: "
        f"0, AdditionalErrorMsg: Precondition failed: UID in precondition: {meta['uid']}, UID in "
        f"object meta: {old['uid']}"
    )


def _bad_policy(policy: object) -> Refusal:
    options = Resource("", "DeleteOptions", "meta.k8s.io")
    choices = ("Foreground", "Background", "Orphan", "nil")
    return invalid(options, "", [unsupported("propagationPolicy", policy, *choices)])


def _quality(spec: Json) -> str:
    needs = [container["resources"] for container in spec["containers"]]
    if not any(need.get("requests") or need.get("limits") for need in needs):
        return "BestEffort"
    full = all(
        {"cpu", "memory"} <= set(need.get("limits", {}))
        and need.get("requests") == need.get("limits")
        for need in needs
    )
    return "Guaranteed" if full else "Burstable"
