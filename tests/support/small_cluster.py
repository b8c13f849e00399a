"""A cluster of a few objects in memory, for tests of those who look at them."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dockyard.cancellation import Cancellation
from dockyard_kubernetes.cluster import ApiError, Cluster
from dockyard_kubernetes.failure import target_of
from dockyard_kubernetes.watch import Event
from support.cluster_objects import Json


class SmallCluster(Cluster):
    """Answers from :attr:`objects`, and with :attr:`errors` by verb and resource."""

    def __init__(self) -> None:
        self.namespace = "ns"
        self.server = "https://small"
        self.context = "small"
        self.objects: dict[str, Json] = {}
        """By ``RESOURCE/NAME``."""
        self.errors: dict[str, Exception] = {}
        """By ``VERB RESOURCE``."""
        self.events: dict[str, queue.SimpleQueue[Event | Exception]] = {}
        """What watches of a resource are told."""
        self.asked: list[str] = []
        self.log = {"current": "", "previous": ""}
        """What a pod's container has written, in this run and in the one before."""
        self.streams: list[Any] = []
        """What comes of commands in pods, one after the other."""
        self._made = 0

    def close(self) -> None:
        """Do nothing."""

    def error(
        self, verb: str, resource: str, status: int, words: str = "no", reason: str = ""
    ) -> ApiError:
        """Make a refusal."""
        usual = {403: "Forbidden", 404: "NotFound", 409: "Conflict"}
        reason = reason or usual.get(status, "")
        target = target_of(f"/api/v1/namespaces/ns/{resource}")
        return ApiError(verb, target, words, status=status, reason=reason)

    def get(self, path: str, **_: Any) -> Json:  # noqa: ANN401  # as it is asked
        key = self._note("get", path)
        if key not in self.objects:
            raise self.error("get", key.partition("/")[0], 404)
        return self.objects[key]

    def list(self, path: str, *, field_selector: str = "", **_: Any) -> Json:  # noqa: ANN401
        resource = self._note("list", path)
        name = field_selector.removeprefix("metadata.name=")
        items = [
            value
            for key, value in self.objects.items()
            if key.startswith(f"{resource}/") and (not name or key == f"{resource}/{name}")
        ]
        return {"items": items, "metadata": {"resourceVersion": "1"}}

    def watch(
        self,
        path: str,
        *,
        timeout: float,
        cancel: Cancellation | None = None,
        **_: Any,  # noqa: ANN401
    ) -> Iterator[Event]:
        resource = self._note("watch", path)
        told = self.events.setdefault(resource, queue.SimpleQueue())
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if cancel is not None:
                cancel.check()
            try:
                found = told.get(timeout=0.02)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            yield found

    def create(self, path: str, body: Mapping[str, Any], **_: Any) -> Json:  # noqa: ANN401
        resource = self._note("create", path)
        key = f"{resource}/{body['metadata']['name']}"
        if key in self.objects:
            raise self.error("create", resource, 409, "already exists", "AlreadyExists")
        self._made += 1
        metadata = {**body["metadata"], "uid": f"made-{self._made}"}
        made = self.objects[key] = {**body, "metadata": metadata}
        return made

    def replace(self, path: str, body: Mapping[str, Any], **_: Any) -> Json:  # noqa: ANN401
        key = self._note("update", path)
        self.objects[key] = dict(body)
        return self.objects[key]

    def patch(self, path: str, body: Any, kind: str = "merge", **_: Any) -> Json:  # noqa: ANN401
        found = self.objects[self._note("patch", path)]
        found["spec"] = {**found["spec"], **body.get("spec", {})}
        found["metadata"] = {**found["metadata"], **body.get("metadata", {})}
        return found

    def delete(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        **_: Any,  # noqa: ANN401
    ) -> Json:
        key = self._note("delete", path)
        wanted = (body or {}).get("preconditions", {}).get("uid")
        if key not in self.objects:
            raise self.error("delete", key.partition("/")[0], 404)
        if wanted not in (None, self.objects[key]["metadata"].get("uid")):
            raise self.error("delete", key.partition("/")[0], 409)
        return self.objects.pop(key)

    def logs(self, pod: str, container: str, *, previous: bool = False, **_: Any) -> str:  # noqa: ANN401
        self._note("get", self.path("v1", "pods", f"{pod}/log"))
        return self.log["previous" if previous else "current"]

    def exec(self, pod: str, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        self._note("exec", self.path("v1", "pods", pod))
        answer = self.streams.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _note(self, verb: str, path: str) -> str:
        found = re.fullmatch(r".*/namespaces/ns/([^?]*)(\?.*)?", path)
        assert found is not None, path
        resource = found[1].partition("/")[0]
        self.asked.append(f"{verb} {found[1]}")
        if error := self.errors.get(f"{verb} {resource}"):
            raise error
        return found[1]
