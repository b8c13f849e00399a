"""The cluster that tests hold in their hands."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.engine import Engine

from support.kubernetes.access import ADMIN_GROUP, Rule, User
from support.kubernetes.admission import ENFORCE
from support.kubernetes.api import Api
from support.kubernetes.call import Recorded
from support.kubernetes.collector import ROOT, Collector
from support.kubernetes.container import Trouble
from support.kubernetes.controller import Manager
from support.kubernetes.credential import Credentials, write_kubeconfig
from support.kubernetes.deployment import Deployments
from support.kubernetes.event import NODE, Recorder
from support.kubernetes.exec import Session
from support.kubernetes.fault import Faults
from support.kubernetes.kubelet import Kubelet, Worker
from support.kubernetes.node import Node
from support.kubernetes.objects import Objects
from support.kubernetes.resource import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    STATEFUL_SETS,
    Json,
    Resource,
    find,
)
from support.kubernetes.runtime import Runtime
from support.kubernetes.scheduler import Scheduler, condition
from support.kubernetes.server import Server
from support.kubernetes.stateful import StatefulSets
from support.kubernetes.store import Store
from support.kubernetes.workload import is_ready

SECONDS = 60.0
_LEFT = (DEPLOYMENTS, STATEFUL_SETS, REPLICA_SETS, PODS, CONFIG_MAPS, CLAIMS, SECRETS)
"""What a builder may leave behind."""


class Cluster:
    """A control plane of our own with one node, whose pods are containers on an engine."""

    is_double = True

    def __init__(
        self, engine: Engine | None, folder: Path, *, image: str = "", namespace: str = "builders"
    ) -> None:
        """Begin to serve.

        Args:
            engine: Where pods run; without one there is no node, and pods stay pending.
            folder: Where kubeconfig files go.
            image: A BuildKit image that the engine has.
            namespace: The one that is made for the tests.
        """
        self.folder = folder
        self.image = image
        self.namespace = namespace
        self._engine = engine
        self.identity = f"dk{secrets.token_hex(4)}"
        """What the names of its containers and volumes begin with."""
        self.faults = Faults()
        self.users: dict[str, User] = {}
        """Who may come, by token."""
        self.store = Store()
        self.runtime = Runtime(engine.host if engine else "", self.identity)
        events = Recorder(self.store)
        objects = Objects(self.store)
        self._objects = objects
        self._scheduler = Scheduler(self.store, events)
        self._collector = Collector(objects, events)
        self._kubelet = Kubelet(objects, self.runtime, events, self.identity)
        self.node = Node(self._kubelet, self.faults)
        self._api = Api(objects, self.faults, self.node)
        self._credentials = Credentials()
        self._collector.authority = self.authority.decode()
        self._begin()
        self._server = Server(self._api, self._credentials.server_context(), self.users)
        self._server.certified_user = self._user_of_certificate
        self.admin = self.add_user("admin", groups=(ADMIN_GROUP,))
        self.kubeconfig = self.write_kubeconfig("kubeconfig")
        """The path of a file that leads here, as somebody who may do everything."""
        steps = [self._collector.step, Deployments(objects, events).step]
        steps += [StatefulSets(objects, events).step]
        steps += [self._scheduler.step, self._kubelet.step]
        self._manager = Manager(self.store, steps)

    def close(self) -> None:
        """End the server and remove everything that was made on the engine."""
        self.faults.clear()
        self._manager.end()
        self._server.close()
        self._kubelet.end()
        if self._engine is not None:
            self.runtime.clean()

    # What clients need.

    @property
    def engine(self) -> Engine:
        """The engine whose containers the pods are."""
        assert self._engine is not None, "this cluster has no node"
        return self._engine

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.port}"

    @property
    def authority(self) -> bytes:
        """The certificate that clients have to trust, as PEM."""
        return self._credentials.authority

    @property
    def requests(self) -> list[Recorded]:
        """What was asked so far."""
        return self._api.requests

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return self._server.accepted

    @property
    def sessions(self) -> list[Session]:
        """The exec streams so far."""
        return self.node.sessions

    def watches(self, target: str) -> bool:
        """Answer whether somebody was told that a watch of a resource has begun."""
        return any(request.begun for request in self.asked("watch", target))

    def asked(self, verb: str, target: str = "") -> list[Recorded]:
        """Give the requests of one verb, and of one resource (``deployments``, ``pods/exec``)."""
        return [
            request
            for request in self.requests
            if request.verb == verb
            and (not target or (request.attempt is not None and request.attempt.target == target))
        ]

    def add_user(
        self, name: str, rules: Sequence[Mapping[str, Any]] = (), *, groups: tuple[str, ...] = ()
    ) -> User:
        """Let somebody come; ``rules`` are those of a Role in the cluster's namespace."""
        user = User(name, secrets.token_urlsafe(24), groups=groups)
        self.set_rules(user, rules)
        self.users[user.token] = user
        return user

    def set_rules(self, user: User, rules: Sequence[Mapping[str, Any]]) -> None:
        """Give somebody another role."""
        user.rules = [Rule.read(rule, self.namespace) for rule in rules]

    def write_kubeconfig(
        self,
        name: str,
        *,
        user: User | None = None,
        certificate: bool = False,
        namespace: str | None = None,
        context: str = "double",
        server: str = "",
    ) -> Path:
        """Write a file that leads here, as the administrator or as somebody else."""
        user = user or self.admin
        proof = self._credentials.client_certificate(user.name, *user.groups)
        return write_kubeconfig(
            self.folder / name,
            server=server or self.url,
            authority=self.authority,
            user=None if certificate else user,
            certificate=proof if certificate else None,
            namespace=self.namespace if namespace is None else namespace,
            context=context,
        )

    def _user_of_certificate(self, name: str, groups: tuple[str, ...]) -> User:
        known = [user for user in self.users.values() if user.name == name]
        return User(name, "", rules=known[0].rules if known else (), groups=groups)

    # What is there.

    def items(self, kind: str, namespace: str | None = None) -> list[Json]:
        """Give all objects of a kind (``pods``, ``deployments``), in the cluster's namespace."""
        where = self.namespace if namespace is None else namespace
        return self.store.all(_resource(kind), where if _resource(kind).namespaced else "")

    def item(self, kind: str, name: str) -> Json | None:
        resource = _resource(kind)
        return self.store.find(resource, self.namespace if resource.namespaced else "", name)

    def pods(self) -> list[str]:
        """Give the names of all pods."""
        return [pod["metadata"]["name"] for pod in self.items("pods")]

    def leftovers(self) -> list[str]:
        """Give what is left of builders, as ``kind/name``, and of containers and volumes."""
        found = [
            f"{resource.plural}/{item['metadata']['name']}"
            for resource in _LEFT
            for item in self.store.all(resource, self.namespace)
            if item["metadata"]["name"] != ROOT
        ]
        if self._engine is None:
            return found
        containers, volumes = self.runtime.names()
        return [
            *found,
            *(f"container/{name}" for name in containers),
            *(f"volume/{name}" for name in volumes),
        ]

    def wait(self, answer: Callable[[], bool], what: str = "it", seconds: float = SECONDS) -> None:
        """Wait until a question is answered with yes; asked at every change."""
        assert self.store.wait_for(answer, seconds), f"waited {seconds:g} s in vain for {what}"

    def wait_empty(self, seconds: float = SECONDS) -> None:
        """Wait until nothing is left of any builder."""
        deadline = time.monotonic() + seconds
        while left := self.leftovers():
            assert time.monotonic() < deadline, f"after {seconds:g} s there is still {left}"
            time.sleep(0.1)  # a poll with a deadline

    def wait_ready(self, count: int = 1, seconds: float = SECONDS) -> list[str]:
        """Wait until so many pods are ready, and give their names."""

        def ready() -> list[str]:
            return [pod["metadata"]["name"] for pod in self.items("pods") if is_ready(pod)]

        self.wait(lambda: len(ready()) == count, f"{count} ready pods", seconds)
        return ready()

    # What tests do to it.

    def create(self, kind: str, item: Json, namespace: str | None = None) -> Json:
        """Make an object, as the administrator would."""
        resource = _resource(kind)
        where = self.namespace if namespace is None else namespace
        named = {"kind": resource.kind, "apiVersion": resource.api_version, **item}
        return self._objects.create(resource, where if resource.namespaced else "", named)

    def delete(self, kind: str, name: str, **options: object) -> None:
        """Delete an object, as the administrator would (``gracePeriodSeconds=0``, ...)."""
        resource = _resource(kind)
        where = self.namespace if resource.namespaced else ""
        self._objects.delete(resource, where, name, options)

    def delete_pod(self, name: str, *, grace: int | None = None) -> None:
        """Delete a pod; with a grace of 0 it is gone at once."""
        self.delete("pods", name, **({} if grace is None else {"gracePeriodSeconds": grace}))

    def kill_container(self, pod: str, *, out_of_memory: bool = False) -> None:
        """Kill a pod's first container, as a crash or the kernel's killer would."""
        container = self._worker(pod).containers[0]
        container.killed_for = "OOMKilled" if out_of_memory else ""
        container.kill()

    def evict(self, pod: str, words: str = "The node was low on resource: memory. ") -> None:
        """End a pod as a node with too little of something does."""
        found = self.item("pods", pod)
        assert found is not None, f"there is no pod {pod}"
        self._kubelet.evict(found, words)

    def unschedulable(self, words: str = "") -> None:
        """Refuse every pod that has no node yet, in the scheduler's words; without words, stop."""
        self._scheduler.unschedulable = words
        self._touch()

    def taint(self, key: str, value: str = "", effect: str = "NoSchedule") -> None:
        """Keep pods from the node that do not tolerate this."""
        node = self.store.get(NODES, "", NODE)
        node["spec"].setdefault("taints", []).append({"key": key, "value": value, "effect": effect})
        self.store.replace(NODES, node)

    def label_node(self, **labels: str) -> None:
        node = self.store.get(NODES, "", NODE)
        node["metadata"]["labels"].update(labels)
        self.store.replace(NODES, node)

    @property
    def trouble(self) -> Trouble:
        """What goes wrong on the node."""
        return self._kubelet.trouble

    def pull_error(self, words: str = "not found") -> None:
        """Let every pull of an image fail, and no image be there; without words, stop."""
        self.trouble.pull = words

    def crash(self, words: str = "this cannot work") -> None:
        """Let every container say something and end with code 1; without words, stop."""
        self.trouble.crash = words

    def hold(self, *, on: bool = True) -> None:
        """Let no container become ready from now on, however well its probe does."""
        self.trouble.held = on

    def hollow(self, *, on: bool = True) -> None:
        """Let containers from now on only seem to run, for what does not need anything in them."""
        self.trouble.hollow = on

    def storage(self, *, there: bool = True, error: str = "") -> None:
        """Say whether claims can be bound, or how the provisioner fails."""
        self._collector.storage, self._collector.storage_error = there, error
        self._touch()

    def quota(self, name: str, **hard: str) -> None:
        """Limit the namespace (``pods="0"``, ``requests_cpu="1"``)."""
        limits = {
            key.replace("requests_", "requests.").replace("limits_", "limits."): amount
            for key, amount in hard.items()
        }
        self.create("resourcequotas", {"metadata": {"name": name}, "spec": {"hard": limits}})

    def pod_security(self, level: str) -> None:
        """Enforce a level on the namespace: ``privileged`` or ``baseline``."""
        namespace = self.store.get(NAMESPACES, "", self.namespace)
        namespace["metadata"]["labels"][ENFORCE] = level
        self.store.replace(NAMESPACES, namespace)

    def forget_history(self) -> None:
        """Make every watch that goes on, and every version known, too old."""
        self.store.forget_history()

    def cut(self) -> None:
        """Cut all connections that are open."""
        self._server.cut()

    def stop(self) -> None:
        """Stop the API server; the pods run on."""
        self._server.stop()

    def start(self, *, cold: float = 0.0) -> None:
        """Start the API server again, on the same port.

        A real one has to learn its roles first: for so many seconds it refuses everybody but the
        members of ``system:masters``.
        """
        self._api.cold_until = time.monotonic() + cold
        self._server.start()

    def _worker(self, pod: str) -> Worker:
        found = self.item("pods", pod)
        worker = self._kubelet.worker(found) if found else None
        assert worker is not None, f"there is no pod {pod} on the node"
        return worker

    def _touch(self) -> None:
        with self.store.changed:
            self.store.changed.notify_all()

    def _begin(self) -> None:
        """Make what every cluster has."""
        for name in sorted({"default", "kube-system", self.namespace}):
            self.create("namespaces", {"metadata": {"name": name}})
        self._collector.step()
        if self._engine is None:
            return
        capacity = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "110"}
        labels = {
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": NODE,
            "kubernetes.io/os": "linux",
        }
        ready = condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        node = {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": NODE, "labels": labels},
            "spec": {},
            "status": {
                "capacity": capacity,
                "allocatable": dict(capacity),
                "conditions": [ready],
                "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux"},
            },
        }
        self.store.create(NODES, "", node)


def _resource(kind: str) -> Resource:
    for group in ("", "apps"):
        found = find(group, kind)
        if found is not None:
            return found
    raise AssertionError(f"there is no kind {kind}")
