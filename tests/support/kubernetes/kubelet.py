"""The node: makes pods run, tells how they are, and answers for their containers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from support.kubernetes.container import Container, Trouble
from support.kubernetes.event import KUBELET, Recorder
from support.kubernetes.objects import Objects
from support.kubernetes.resource import CLAIMS, PODS, Json
from support.kubernetes.runtime import Runtime, RuntimeFailure
from support.kubernetes.scheduler import condition
from support.kubernetes.status import Refusal
from support.kubernetes.store import now
from support.kubernetes.volume import NotYetError, Volumes, claim_volume


class Worker:
    """One pod's life on the node."""

    def __init__(self, kubelet: Kubelet, pod: Json) -> None:
        self.pod = pod
        self.ended = threading.Event()
        self.evicted = ""
        self._kubelet = kubelet
        self._lock = threading.Lock()
        self._mounted = False
        self._initialized = not pod["spec"].get("initContainers")
        prefix, uid = kubelet.prefix, pod["metadata"]["uid"]
        self.volumes = Volumes(kubelet.store, kubelet.runtime, prefix, pod)

        def make(group: str) -> list[Container]:
            return [
                Container(
                    spec,
                    pod,
                    name=f"{prefix}-{pod['metadata']['name']}-{uid[:8]}-{spec['name']}",
                    runtime=kubelet.runtime,
                    volumes=self.volumes,
                    events=kubelet.events,
                    trouble=kubelet.trouble,
                    changed=self.publish,
                )
                for spec in pod["spec"].get(group, [])
            ]

        self.init_containers = make("initContainers")
        self.containers = make("containers")
        self._thread = threading.Thread(target=self._run, name=pod["metadata"]["name"], daemon=True)
        self._thread.start()

    def find(self, name: str) -> Container | None:
        for container in [*self.containers, *self.init_containers]:
            if container.name == name:
                return container
        return None

    def end(self, grace: int) -> None:
        """Begin to end it, if that has not begun."""
        if self.ended.is_set():
            return
        self.ended.set()
        for container in [*self.containers, *self.init_containers]:
            container.ended.set()
        threading.Thread(target=self._stop, args=(grace,), daemon=True).start()

    def join(self) -> None:
        self._thread.join(60)

    def _stop(self, grace: int) -> None:
        for container in [*self.containers, *self.init_containers]:
            if container.current:
                words = f"Stopping container {container.name}"
                self._kubelet.events.normal(self.pod, KUBELET, "Killing", words)
                try:
                    self._kubelet.runtime.stop(container.current, grace)
                except RuntimeFailure:
                    container.kill()

    def _run(self) -> None:
        self.publish()
        # Nothing is wrong with the pod: many a cluster warns of something at each of them.
        meta = self.pod["metadata"]
        words = (
            f'pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})". kubelet does not have '
            'ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling '
            'back to "Default" policy.'
        )
        self._kubelet.events.warn(self.pod, KUBELET, "MissingClusterDNS", words)
        if self._mount() and self._initialize():
            threads = [
                threading.Thread(target=container.run, daemon=True) for container in self.containers
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.ended.wait()
        self._kubelet.finish(self)

    def _mount(self) -> bool:
        while not self.ended.is_set():
            try:
                self.volumes.check()
            except NotYetError as error:
                self._kubelet.events.warn(self.pod, KUBELET, "FailedMount", str(error))
                self.ended.wait(0.5)
                continue
            if not self._kubelet.trouble.creating:
                self._mounted = True
                self.publish()
                return True
            self.ended.wait(0.2)
        return False

    def _initialize(self) -> bool:
        for container in self.init_containers:
            thread = threading.Thread(target=self._run_init, args=(container,), daemon=True)
            thread.start()
            thread.join()
            if self.ended.is_set():
                return False
        self._initialized = True
        self.publish()
        return not self.ended.is_set()

    def _run_init(self, container: Container) -> None:
        while not self.ended.is_set() and container.run_once():
            if container.state.get("terminated", {}).get("exitCode") == 0:
                return
            container.ended.wait(self._kubelet.trouble.pace * 10)
            container.restarts += 1

    def publish(self) -> None:
        """Write down how it is."""
        with self._lock:
            self._kubelet.store.update(PODS, self.pod, self._describe)

    def _describe(self, item: Json) -> None:
        status = item["status"]
        if self.evicted:
            status["phase"], status["reason"] = "Failed", "Evicted"
            status["message"] = self.evicted
        else:
            status["phase"] = self._phase()
        status.setdefault("startTime", now())
        status["hostIP"] = "127.0.0.1"
        status["hostIPs"] = [{"ip": "127.0.0.1"}]
        status["observedGeneration"] = item["metadata"].get("generation", 1)
        if any("running" in container.state for container in self.containers):
            status["podIP"] = "10.42.0.10"
            status["podIPs"] = [{"ip": "10.42.0.10"}]
        status["containerStatuses"] = [container.status() for container in self.containers]
        if self.init_containers:
            if not self._initialized:
                for entry in status["containerStatuses"]:
                    entry["state"] = {"waiting": {"reason": "PodInitializing"}}
            listed = [container.status() for container in self.init_containers]
            status["initContainerStatuses"] = listed
        self._set_conditions(status)

    def _phase(self) -> str:
        for container in self.containers:
            if "waiting" in container.state and not container.last_state:
                return "Pending"
        return "Running" if self._initialized else "Pending"

    def _set_conditions(self, status: Json) -> None:
        unready = [container.name for container in self.containers if not container.ready]
        words = f"containers with unready status: [{' '.join(unready)}]"
        sandbox = "True" if self._mounted and not self.evicted else "False"
        fresh = [condition("PodReadyToStartContainers", sandbox)]
        if self._initialized:
            fresh.append(condition("Initialized", "True"))
        else:
            names = " ".join(container.name for container in self.init_containers)
            message = f"containers with incomplete status: [{names}]"
            fresh.append(condition("Initialized", "False", "ContainersNotInitialized", message))
        for kind in ("Ready", "ContainersReady"):
            if self.evicted:
                fresh.append(condition(kind, "False", "PodFailed"))
            elif unready:
                fresh.append(condition(kind, "False", "ContainersNotReady", words))
            else:
                fresh.append(condition(kind, "True"))
        known = {one["type"]: one for one in status.get("conditions", [])}
        for one in fresh:
            before = known.get(one["type"], {})
            if before.get("status") == one["status"]:
                one["lastTransitionTime"] = before["lastTransitionTime"]
            known[one["type"]] = one
        status["conditions"] = list(known.values())


class Kubelet:
    """Watches for the pods of its node."""

    def __init__(self, objects: Objects, runtime: Runtime, events: Recorder, prefix: str) -> None:
        self.objects = objects
        self.store = objects.store
        self.runtime = runtime
        self.events = events
        self.prefix = prefix
        self.trouble = Trouble()
        self._workers: dict[str, Worker] = {}
        self._claims: dict[str, Json] = {}

    def worker(self, pod: Json) -> Worker | None:
        return self._workers.get(pod["metadata"]["uid"])

    def step(self) -> None:
        """Begin and end what the store says."""
        pods = {pod["metadata"]["uid"]: pod for pod in self.store.all(PODS)}
        for uid, pod in pods.items():
            leaving = "deletionTimestamp" in pod["metadata"]
            placed = pod["spec"].get("nodeName") and pod["status"]["phase"] == "Pending"
            if placed and uid not in self._workers:
                self._workers[uid] = Worker(self, pod)
            if leaving and uid in self._workers:
                self._workers[uid].end(pod["metadata"]["deletionGracePeriodSeconds"])
        for uid, worker in list(self._workers.items()):
            if uid not in pods:
                worker.end(0)
        self._reclaim()

    def evict(self, pod: Json, words: str) -> None:
        """End a pod as a node does that has too little of something."""
        worker = self.worker(pod)
        if worker is not None:
            worker.evicted = words
            self.events.warn(pod, KUBELET, "Evicted", words)
            worker.publish()
            worker.end(0)

    def finish(self, worker: Worker) -> None:
        """Clear up after a pod, and let its object go."""
        for container in [*worker.containers, *worker.init_containers]:
            for attempt in range(container.restarts + 1):
                self.runtime.remove(f"{container.base}-{attempt}")
        worker.volumes.remove()
        with self.store.changed:
            self._workers.pop(worker.pod["metadata"]["uid"], None)
            meta = worker.pod["metadata"]
            found = self.store.find(PODS, meta["namespace"], meta["name"])
            if found is None or found["metadata"]["uid"] != meta["uid"] or worker.evicted:
                return
            try:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
                self.objects.delete(PODS, meta["namespace"], meta["name"], options)
            except Refusal:
                return

    def end(self) -> None:
        """Stop everything at once."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.end(0)
        for worker in workers:
            worker.join()

    def _reclaim(self) -> None:
        """Remove the volumes of claims that are gone."""
        claims = {claim["metadata"]["uid"]: claim for claim in self.store.all(CLAIMS)}
        gone = [claim for uid, claim in self._claims.items() if uid not in claims]
        self._claims = claims
        for claim in gone:
            name = claim_volume(self.prefix, claim)
            _later(lambda name=name: self.runtime.remove_volume(name))  # type: ignore[misc]


def _later(call: Callable[[], None]) -> None:
    def run() -> None:
        with suppress(RuntimeFailure):  # what is left goes with the cluster
            call()

    threading.Thread(target=run, daemon=True).start()
