"""A real cluster with the face of our own, for the tests that need no misbehaviour."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from support.kubernetes.access import User
from support.kubernetes.collector import ROOT
from support.kubernetes.credential import set_namespace
from support.kubernetes.resource import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    STATEFUL_SETS,
    Json,
    Resource,
    find,
)
from support.kubernetes.workload import is_ready

STOCK_IMAGE = "moby/buildkit:buildx-stable-1"
SECONDS = 180.0
_RBAC = "rbac.authorization.k8s.io"
_LEFT = (DEPLOYMENTS, STATEFUL_SETS, PODS, CONFIG_MAPS, CLAIMS)
_EVERYWHERE = (ROOT, "openshift-service-ca.crt")
"""Config maps that clusters make in every namespace; the second OpenShift and MicroShift do."""


class RealCluster:
    """A namespace of its own in the cluster that ``KUBECONFIG`` names."""

    is_double = False

    def __init__(self, folder: Path) -> None:
        from kubernetes.config.kube_config import new_client_from_config

        self.folder = folder
        self.image = os.environ.get("DOCKYARD_TEST_BUILDKIT_IMAGE") or STOCK_IMAGE
        self.namespace = f"dockyard-test-{secrets.token_hex(4)}"
        self.kubeconfig = set_namespace(
            os.environ["KUBECONFIG"], folder / "kubeconfig", self.namespace
        )
        make = cast("Callable[[str], Any]", new_client_from_config)  # it has no types
        self._client = make(str(self.kubeconfig))
        self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def __getattr__(self, name: str) -> NoReturn:
        pytest.skip(f"a real cluster cannot be told to do {name!r}: unset KUBECONFIG for this test")

    def close(self) -> None:
        """Remove the namespace and all that is in it."""
        self._ask("DELETE", f"/api/v1/namespaces/{self.namespace}")
        self._client.rest_client.pool_manager.clear()

    def items(self, kind: str) -> list[Json]:
        """Give all objects of a kind, in the cluster's namespace."""
        found: list[Json] = self._ask("GET", self._path(_resource(kind)))["items"]
        return found

    def item(self, kind: str, name: str) -> Json | None:
        return next((one for one in self.items(kind) if one["metadata"]["name"] == name), None)

    def pods(self) -> list[str]:
        """Give the names of all pods."""
        return [pod["metadata"]["name"] for pod in self.items("pods")]

    def leftovers(self) -> list[str]:
        """Give what is left of builders, as ``kind/name``."""
        return [
            f"{resource.plural}/{item['metadata']['name']}"
            for resource in _LEFT
            for item in self.items(resource.plural)
            if item["metadata"]["name"] not in _EVERYWHERE
        ]

    def wait(self, answer: Callable[[], bool], what: str = "it", seconds: float = SECONDS) -> None:
        """Wait until a question is answered with yes."""
        deadline = time.monotonic() + seconds
        while not answer():
            assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
            time.sleep(0.5)  # a poll with a deadline

    def wait_empty(self, seconds: float = SECONDS) -> None:
        """Wait until nothing is left of any builder."""
        self.wait(lambda: not self.leftovers(), "nothing to be left", seconds)

    def wait_ready(self, count: int = 1, seconds: float = SECONDS) -> list[str]:
        """Wait until so many pods are ready, and give their names."""

        def ready() -> list[str]:
            return [pod["metadata"]["name"] for pod in self.items("pods") if is_ready(pod)]

        self.wait(lambda: len(ready()) == count, f"{count} ready pods", seconds)
        return ready()

    def create(self, kind: str, item: Json) -> Json:
        """Make an object."""
        resource = _resource(kind)
        named = {"kind": resource.kind, "apiVersion": resource.api_version, **item}
        return self._ask("POST", self._path(resource), named)

    def delete(self, kind: str, name: str, **options: object) -> None:
        """Delete an object."""
        self._ask("DELETE", f"{self._path(_resource(kind))}/{name}", options)

    def delete_pod(self, name: str, *, grace: int | None = None) -> None:
        """Delete a pod; with a grace of 0 it is gone at once."""
        self.delete("pods", name, **({} if grace is None else {"gracePeriodSeconds": grace}))

    def pod_security(self, level: str) -> None:
        """Enforce a level on the namespace: ``privileged`` or ``baseline``."""
        labels = {"pod-security.kubernetes.io/enforce": level}
        change = {"metadata": {"labels": labels}}
        self._ask("PATCH", f"/api/v1/namespaces/{self.namespace}", change)

    def quota(self, name: str, **hard: str) -> None:
        """Limit the namespace (``pods="0"``, ``requests_cpu="1"``)."""
        limits = {
            key.replace("requests_", "requests.").replace("limits_", "limits."): amount
            for key, amount in hard.items()
        }
        self.create("resourcequotas", {"metadata": {"name": name}, "spec": {"hard": limits}})

    def add_user(self, name: str, rules: Sequence[Json]) -> User:
        """Make a service account that may do in the namespace what the rules of a role say."""
        self.create("serviceaccounts", {"metadata": {"name": name}})
        self._ask("POST", self._roles, self._role(name, rules))
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        }
        self._ask("POST", f"/apis/{_RBAC}/v1/namespaces/{self.namespace}/rolebindings", binding)
        place = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}/token"
        user = User(name, self._ask("POST", place, {"spec": {}})["status"]["token"])
        self.wait(lambda: self._may_list_pods(name), f"the role of {name} to be known")
        return user

    def set_rules(self, user: User, rules: Sequence[Json]) -> None:
        """Give somebody another role. The server takes a moment to know it."""
        self._ask("PUT", f"{self._roles}/{user.name}", self._role(user.name, rules))

    def write_kubeconfig(self, name: str, *, user: User) -> Path:
        """Write a file that leads here, as somebody else."""
        content = json.loads(self.kubeconfig.read_text())
        for entry in content["users"]:
            entry["user"] = {"token": user.token}
        path = self.folder / name
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    @property
    def _roles(self) -> str:
        return f"/apis/{_RBAC}/v1/namespaces/{self.namespace}/roles"

    def _role(self, name: str, rules: Sequence[Json]) -> Json:
        return {"metadata": {"name": name}, "rules": list(rules)}

    def _may_list_pods(self, name: str) -> bool:
        asked = {"namespace": self.namespace, "verb": "list", "resource": "pods"}
        user = f"system:serviceaccount:{self.namespace}:{name}"
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        body = {"spec": {"user": user, "resourceAttributes": asked}}
        return bool(self._ask("POST", path, body)["status"]["allowed"])

    def _path(self, resource: Resource) -> str:
        return f"{resource.prefix}/namespaces/{self.namespace}/{resource.plural}"

    def _ask(self, method: str, path: str, body: object = None) -> Json:
        kind = "merge-patch+json" if method == "PATCH" else "json"
        headers = {"Accept": "application/json", "Content-Type": f"application/{kind}"}
        serialized = self._client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        answer = self._client.call_api(*serialized)
        data = answer.read()
        assert answer.status < 300, f"{method} {path}: {data.decode()}"
        found: Json = json.loads(data)
        return found


def _resource(kind: str) -> Resource:
    for group in ("", "apps"):
        found = find(group, kind)
        if found is not None:
            return found
    raise AssertionError(f"there is no kind {kind}")
