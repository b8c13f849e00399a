"""Make a node's config maps and workload, and take away again what was made."""

from __future__ import annotations

import os
from typing import Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import BootstrapError, DockyardError
from dockyard_kubernetes import manifest
from dockyard_kubernetes.change import (
    await_no_pods,
    claim_path,
    config_map_path,
    delete,
    find,
    find_claims,
    scale,
)
from dockyard_kubernetes.cluster import ApiError, Cluster
from dockyard_kubernetes.option import NODE
from dockyard_kubernetes.state import Workload, find_workload, parse_workload, workload_path
from dockyard_kubernetes.value import Object, name_of, table, text, uid_of
from dockyard_kubernetes.why import policy_hint

BOOT = "dev.dockyard.boot"
"""The annotation that says which boot has made something."""

_CONTENT = ("data", "binaryData")
_STRICT = "?fieldValidation=Strict"
_TRIES = 3
_UNDO_SECONDS = 10.0


class Creation:
    """What one boot makes in the cluster, and can take away again when it fails.

    It bears the boot's mark. Whoever else comes to need it takes the mark away: see :func:`adopt`.
    """

    def __init__(self, node: Node, cluster: Cluster, cancel: Cancellation) -> None:
        self._node = node
        self._cluster = cluster
        self._cancel = cancel
        self._mark = os.urandom(8).hex()
        self._begun = ""
        """The kind of the workload that was, or may have been, made."""
        self._claims: frozenset[str] | None = None
        """The ids of the claims that there were before."""
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
            self._claims = frozenset(uid_of(each) for each in self._find_claims())
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
            self._tie(each, made)
        return parse_workload(kind, made)

    def scale_up(self, found: Workload, replicas: int) -> Workload | None:
        """Have a workload's pods made again; None when it has just been removed.

        Raises:
            ApiError: The server refuses.
        """
        self._stopped = found
        try:
            return scale(
                self._cluster, found, replicas, notes={BOOT: self._mark}, cancel=self._cancel
            )
        except ApiError as error:
            if error.status == 404 or "uid" in error.words.lower():
                return None
            raise

    def undo(self) -> bool:
        """Take away what was made, and wait a moment until it is gone; False if some of it is left.

        What an interrupted request may have made is looked for, too. What somebody else has made,
        or needs by now, stays.
        """
        try:
            if self._stopped is not None:
                self._undo_scaling(self._stopped)
            if self._begun:
                self._undo_making()
        except DockyardError:
            return False
        return True

    # --- taking away ------------------------------------------------------------------------

    def _undo_scaling(self, stopped: Workload) -> None:
        found = self._find(workload_path(self._cluster, stopped.kind, stopped.name))
        if found is not None and self._is_marked(found):
            now = parse_workload(stopped.kind, found)
            scale(self._cluster, now, 0, timeout=_UNDO_SECONDS)

    def _undo_making(self) -> None:
        path = workload_path(self._cluster, self._begun, manifest.workload_name(self._node))
        made = self._find(path)
        if made is not None:
            if not self._is_marked(made):
                return  # it is somebody else's, and so is the rest
            self._delete(path, made)
        for each in manifest.config_maps(self._node):
            place = config_map_path(self._cluster, name_of(each))
            found = self._find(place)
            if found is not None and self._is_marked(found):
                self._delete(place, found, unchanged=True)
        if made is None:
            return
        await_no_pods(self._node, self._cluster, seconds=_UNDO_SECONDS)
        if self._claims is None or self._find(path) is not None:
            return  # somebody has made it anew, and has these claims now
        for claim in self._find_claims():
            if uid_of(claim) not in self._claims:
                self._delete(claim_path(self._cluster, name_of(claim)), claim)

    def _find(self, path: str) -> Object | None:
        return find(self._cluster, path, timeout=_UNDO_SECONDS)

    def _find_claims(self) -> list[Object]:
        return find_claims(self._node, self._cluster, timeout=_UNDO_SECONDS)

    def _delete(self, path: str, found: Object, *, unchanged: bool = False) -> None:
        delete(self._cluster, path, found, unchanged=unchanged, timeout=_UNDO_SECONDS)

    def _is_marked(self, found: Object) -> bool:
        return _annotations(found).get(BOOT) == self._mark

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

    def _ensure_config_map(self, body: Object) -> None:
        """Make a config map, or change the one that is there, whatever others do meanwhile."""
        for _ in range(_TRIES):
            try:
                self._create(config_map_path(self._cluster), body)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                if not self._change_config_map(body):
                    continue
            return

    def _tie(self, body: dict[str, Any], workload: Object) -> None:
        """Have the cluster remove a config map with the workload, whoever removes that."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": text(workload, "kind") or self._begun,
            "name": name_of(workload),
            "uid": uid_of(workload),
        }
        body["metadata"]["ownerReferences"] = [owner]
        if not self._change_config_map(body):
            self._ensure_config_map(body)

    def _change_config_map(self, body: Object) -> bool:
        """Make a config map what it shall be; False when it is not there any more.

        Raises:
            ApiError: The server refuses.
            BootstrapError: It is somebody else's.
        """
        path = config_map_path(self._cluster, name_of(body))
        for attempt in range(_TRIES):
            try:
                found = self._cluster.get(path, cancel=self._cancel)
                new = self._renewed(found, body)
                if new != found:
                    self._cluster.replace(path, new, cancel=self._cancel)
            except ApiError as error:
                if error.status == 404:
                    return False
                if error.status != 409 or attempt == _TRIES - 1:
                    raise
            else:
                break
        return True

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
        kept = {key: value for key, value in found.items() if key not in _CONTENT}
        new = {key: body[key] for key in _CONTENT if key in body}
        ours = {key: value for key, value in _annotations(body).items() if key != BOOT}
        metadata = {
            **table(found, "metadata"),
            "annotations": {**_annotations(found), **ours},
        }
        if owners := table(body, "metadata").get("ownerReferences"):
            metadata["ownerReferences"] = owners
        return {**kept, **new, "metadata": metadata}


def adopt(node: Node, cluster: Cluster, cancel: Cancellation) -> None:
    """Keep a boot that still waits for more pods from taking away those that are there.

    Raises:
        DriverError: What has the node's name is somebody else's.
        ClusterUnreachableError: The API server cannot be reached.
        CanceledError: ``cancel`` was turned.
    """
    try:
        found = find_workload(node, cluster, cancel=cancel)
        if found is not None and BOOT in _annotations(found.object):
            change = {"metadata": {"uid": found.uid, "annotations": {BOOT: None}}}
            cluster.patch(workload_path(cluster, found.kind, found.name), change, cancel=cancel)
    except ApiError:
        return  # builds can go on without


def is_own_config_map(
    node: Node, found: Object, body: Object | None, *, is_mounted: bool = False
) -> bool:
    """Say whether a config map was made for this node: by us, or by the reference.

    Args:
        node: The node.
        found: The config map.
        body: What one of its name would be now, if there were to be one.
        is_mounted: Whether the node's own workload mounts it.
    """
    owner = _annotations(found).get(NODE)
    if owner is not None:
        return bool(owner == node.name)
    # The reference's has no mark, but it is used by the node, or has what belongs to it.
    return is_mounted or (
        body is not None and all(table(found, key) == table(body, key) for key in _CONTENT)
    )


def _annotations(found: Object) -> Object:
    return table(found, "metadata", "annotations")
