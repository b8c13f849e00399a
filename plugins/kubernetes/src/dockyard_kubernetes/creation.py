"""Make a node's config maps and workload, and take away again what was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import BootstrapError, DockyardError
from dockyard_kubernetes import manifest
from dockyard_kubernetes.cluster import TIMEOUT, ApiError, Cluster
from dockyard_kubernetes.option import NODE
from dockyard_kubernetes.refusal import policy_hint
from dockyard_kubernetes.state import Workload, parse_workload, workload_path
from dockyard_kubernetes.value import Object, name_of, table, text, uid_of

BOOT = "dev.dockyard.boot"
"""The annotation that says which boot has made something."""

_STRICT = "?fieldValidation=Strict"
_TRIES = 3
_UNDO_SECONDS = 10.0


class Creation:
    """What one boot makes in the cluster, and can take away again when it fails."""

    def __init__(self, node: Node, cluster: Cluster, cancel: Cancellation) -> None:
        self._node = node
        self._cluster = cluster
        self._cancel = cancel
        self._mark = os.urandom(8).hex()
        self._begun = ""
        """The kind of the workload that was, or may have been, made."""
        self._claims: frozenset[str] | None = None
        """The claims that there were before."""
        self._stopped: Workload | None = None

    def make(self) -> Workload | None:
        """Make config maps and workload; None when somebody else has made the workload meanwhile.

        Raises:
            ApiError: The server refuses.
            DriverError: A config map of that name is somebody else's, or the settings are wrong.
        """
        body = self._marked(manifest.workload(self._node))
        kind: str = body["kind"]
        config_maps = [self._marked(each) for each in manifest.config_maps(self._node)]
        if kind == "StatefulSet":
            self._claims = frozenset(self._claim_names())
        self._begun = kind
        for each in config_maps:
            self._ensure_config_map(each)
        try:
            made = self._create(workload_path(self._cluster, kind) + _STRICT, body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise
        for each in config_maps:
            self._tie(name_of(each), made)
        return parse_workload(kind, made)

    def scale_up(self, found: Workload, replicas: int) -> Workload:
        """Have a workload's pods made again.

        Raises:
            ApiError: The server refuses.
        """
        self._stopped = found
        return scale(self._cluster, found, replicas, cancel=self._cancel)

    def undo(self) -> bool:
        """Take away what was made, and wait a moment until it is gone; False if some of it is left.

        What an interrupted request may have made is looked for, too.
        """
        try:
            for path, uid in self._made():
                self._delete(path, uid)
            if self._stopped is not None:
                scale(self._cluster, self._stopped, 0, timeout=_UNDO_SECONDS)
            if self._begun:
                self._await_no_pods()
            if self._claims is not None:
                for name in set(self._claim_names()) - self._claims:
                    self._delete(self._cluster.path("v1", "persistentvolumeclaims", name))
        except DockyardError:
            return False
        return True

    # --- taking away ------------------------------------------------------------------------

    def _made(self) -> Iterator[tuple[str, str]]:
        """Give the paths and the ids of those things that bear this boot's mark."""
        if not self._begun:
            return
        name = manifest.workload_name(self._node)
        paths = [workload_path(self._cluster, self._begun, name)]
        paths += [self._config_map_path(name_of(each)) for each in manifest.config_maps(self._node)]
        for path in paths:
            try:
                found = self._cluster.get(path, timeout=_UNDO_SECONDS)
            except ApiError as error:
                if error.status == 404:
                    continue
                raise
            if table(found, "metadata", "annotations").get(BOOT) == self._mark:
                yield path, uid_of(found)

    def _delete(self, path: str, uid: str = "") -> None:
        from dockyard_kubernetes.removal import delete

        delete(self._cluster, path, uid, timeout=_UNDO_SECONDS)

    def _await_no_pods(self) -> None:
        from dockyard_kubernetes.removal import await_no_pods

        await_no_pods(self._node, self._cluster, seconds=_UNDO_SECONDS)

    def _claim_names(self) -> list[str]:
        from dockyard_kubernetes.removal import claim_names

        return claim_names(self._node, self._cluster, timeout=_UNDO_SECONDS)

    # --- making -----------------------------------------------------------------------------

    def _marked(self, body: dict[str, Any]) -> dict[str, Any]:
        body["metadata"].setdefault("annotations", {})[BOOT] = self._mark
        return body

    def _create(self, path: str, body: Object) -> dict[str, Any]:
        try:
            return self._cluster.create(path, body, cancel=self._cancel)
        except ApiError as error:
            error.hint = policy_hint(error.words) or error.hint
            raise

    def _config_map_path(self, name: str = "") -> str:
        return self._cluster.path(*manifest.resource("ConfigMap"), name)

    def _ensure_config_map(self, body: Object) -> None:
        try:
            self._create(self._config_map_path(), body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            self._change(name_of(body), lambda found: self._renewed(found, body))

    def _renewed(self, found: Object, body: Object) -> dict[str, Any]:
        """Give a config map that was there already with the content that it shall have.

        Raises:
            BootstrapError: It is somebody else's.
        """
        if not is_own_config_map(self._node, found, body):
            raise BootstrapError(
                f"config map {name_of(body)!r} in namespace {self._cluster.namespace!r} "
                "is there already and not this builder's",
                hint="remove it, or choose another name for the node, with create --node",
            )
        ours = {key: value for key, value in _annotations(body).items() if key != BOOT}
        kept = {key: value for key, value in found.items() if key not in ("data", "binaryData")}
        new = {key: body[key] for key in ("data", "binaryData") if key in body}
        metadata = {**table(found, "metadata"), "annotations": {**_annotations(found), **ours}}
        return {**kept, **new, "metadata": metadata}

    def _tie(self, name: str, workload: Object) -> None:
        """Have the cluster remove a config map with the workload, whoever removes that."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": text(workload, "kind") or self._begun,
            "name": name_of(workload),
            "uid": uid_of(workload),
        }

        def owned(found: Object) -> dict[str, Any]:
            metadata = {**table(found, "metadata"), "ownerReferences": [owner]}
            return {**found, "metadata": metadata}

        self._change(name, owned)

    def _change(self, name: str, change: Callable[[Object], dict[str, Any]]) -> None:
        """Change a config map, also when somebody else does so at the same time.

        Raises:
            ApiError: The server refuses.
            BootstrapError: It must not be changed.
        """
        path = self._config_map_path(name)
        for attempt in range(_TRIES):
            found = self._cluster.get(path, cancel=self._cancel)
            new = change(found)
            if new == found:
                return
            try:
                self._cluster.replace(path, new, cancel=self._cancel)
            except ApiError as error:
                if error.status != 409 or attempt == _TRIES - 1:
                    raise
            else:
                return


def is_own_config_map(node: Node, found: Object, body: Object) -> bool:
    """Say whether a config map was made for this node: by us, or by the reference."""
    owner = _annotations(found).get(NODE)
    if owner is not None:
        return bool(owner == node.name)
    # The reference's has no mark, but it has the files that belong to this node.
    ours, theirs = ({*table(each, "data"), *table(each, "binaryData")} for each in (body, found))
    return ours == theirs


def scale(
    cluster: Cluster,
    found: Workload,
    replicas: int,
    *,
    cancel: Cancellation | None = None,
    timeout: float = TIMEOUT,
) -> Workload:
    """Set how many pods a workload shall have.

    Raises:
        ApiError: The server refuses.
    """
    path = workload_path(cluster, found.kind, found.name)
    body = {"spec": {"replicas": replicas}}
    changed = cluster.patch(path, body, cancel=cancel, timeout=timeout)
    return parse_workload(found.kind, changed)


def _annotations(found: Object) -> Object:
    return table(found, "metadata", "annotations")
