"""The objects, their versions, and the history that watches are fed from."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from support.kubernetes.resource import NAMESPACES, Json, Resource
from support.kubernetes.status import already_exists, expired, from_the_future, modified, not_found

HISTORY = 2000
"""Changes that are remembered; a watch that begins before them is too old."""

Key = tuple[Resource, str, str]


class Change(NamedTuple):
    """One thing that happened to one object."""

    version: int
    resource: Resource
    before: Json | None
    after: Json | None


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects of the cluster. What comes out is a copy, what goes in is copied."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        """Held for what has to happen as one, and told of every change."""
        self.version = 100
        self._objects: dict[Key, Json] = {}
        self._history: list[Change] = []
        self._forgotten = self.version

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Give an object, or refuse with NotFound."""
        with self.changed:
            found = self._objects.get((resource, namespace, name))
            if found is None:
                raise not_found(resource, name)
            return copy.deepcopy(found)

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        with self.changed:
            return copy.deepcopy(self._objects.get((resource, namespace, name)))

    def all(self, resource: Resource, namespace: str = "") -> list[Json]:
        """Give all objects of a kind, by name; of one namespace if that is given."""
        with self.changed:
            return [
                copy.deepcopy(found)
                for key, found in sorted(self._objects.items(), key=lambda item: item[0][1:])
                if key[0] is resource and namespace in ("", key[1])
            ]

    def everything(self) -> Iterator[tuple[Resource, Json]]:
        with self.changed:
            listed = list(self._objects.items())
        return ((key[0], copy.deepcopy(found)) for key, found in listed)

    def create(self, resource: Resource, namespace: str, item: Json) -> Json:
        """Keep a new object, and give it as it is kept."""
        with self.changed:
            if resource.namespaced and (NAMESPACES, "", namespace) not in self._objects:
                raise not_found(NAMESPACES, namespace)
            name = item["metadata"]["name"]
            if (resource, namespace, name) in self._objects:
                raise already_exists(resource, name)
            made = copy.deepcopy(item)
            made["metadata"]["uid"] = str(uuid.uuid4())
            made["metadata"]["creationTimestamp"] = now()
            if namespace:
                made["metadata"]["namespace"] = namespace
            made["metadata"]["managedFields"] = [
                {
                    "manager": "unknown",
                    "operation": "Update",
                    "apiVersion": made.get("apiVersion", "v1"),
                    "time": now(),
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:metadata": {}},
                }
            ]
            if "spec" in made and "generation" not in made["metadata"]:
                made["metadata"]["generation"] = 1
            self._put((resource, namespace, name), None, made)
            return copy.deepcopy(made)

    def replace(self, resource: Resource, item: Json) -> Json:
        """Put a changed object in the place of the old; if it has a version, it must be that."""
        with self.changed:
            meta = item["metadata"]
            key = (resource, meta.get("namespace", ""), meta["name"])
            before = self.get(*key)
            if meta.get("resourceVersion", "") not in ("", before["metadata"]["resourceVersion"]):
                raise modified(resource, meta["name"])
            after = copy.deepcopy(item)
            for kept in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                if kept in before["metadata"]:
                    after["metadata"][kept] = before["metadata"][kept]
            if after == before:
                return before
            if "generation" in before["metadata"] and after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"]["generation"] + 1
            self._put(key, before, after)
            return copy.deepcopy(after)

    def update(self, resource: Resource, item: Json, change: Callable[[Json], None]) -> Json | None:
        """Change the object that ``item`` is or was; None when it is gone."""
        with self.changed:
            meta = item["metadata"]
            found = self.find(resource, meta.get("namespace", ""), meta["name"])
            if found is None or found["metadata"]["uid"] != meta["uid"]:
                return None
            change(found)
            return self.replace(resource, found)

    def remove(self, resource: Resource, item: Json) -> None:
        """Forget an object; nothing happens when it is gone already."""
        with self.changed:
            meta = item["metadata"]
            key = (resource, meta.get("namespace", ""), meta["name"])
            before = self._objects.get(key)
            if before is None or before["metadata"]["uid"] != meta["uid"]:
                return
            del self._objects[key]
            self._remember(resource, before, None)

    def forget_history(self) -> None:
        """Make every watch from before now too old."""
        with self.changed:
            self._history.clear()
            self.version += 1
            self._forgotten = self.version
            self.changed.notify_all()

    def since(self, version: int) -> list[Change]:
        """Give the changes after a version, or refuse with Expired."""
        with self.changed:
            if version < self._forgotten:
                raise expired(version, self._forgotten)
            if version > self.version:
                raise from_the_future(version, self.version)
            return [change for change in self._history if change.version > version]

    def wait(self, version: int, seconds: float) -> None:
        """Wait until there is something after a version, for a while."""
        with self.changed:
            self.changed.wait_for(lambda: self.version > version, max(0.0, seconds))

    def wait_for(self, answer: Callable[[], bool], seconds: float) -> bool:
        """Wait until a question is answered with yes, asked at every change."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.version
            if answer():  # may take a while, so nobody is kept from going on
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.wait(seen, min(left, 0.5))

    def _put(self, key: Key, before: Json | None, after: Json) -> None:
        self._objects[key] = after
        self._remember(key[0], before, after)

    def _remember(self, resource: Resource, before: Json | None, after: Json | None) -> None:
        self.version += 1
        last = after if after is not None else copy.deepcopy(before)
        assert last is not None
        last["metadata"]["resourceVersion"] = str(self.version)
        if after is None:
            # A watcher is told of the object as it was, with the version of its end.
            self._history.append(Change(self.version, resource, last, None))
        else:
            copied = copy.deepcopy(after)
            self._history.append(Change(self.version, resource, before, copied))
        if len(self._history) > HISTORY:
            self._forgotten = self._history[0].version
            del self._history[0]
        self.changed.notify_all()
