"""One container of a pod: pulled, started, probed, started again when it ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from support.kubernetes.event import KUBELET, Recorder
from support.kubernetes.resource import Json
from support.kubernetes.runtime import Runtime, RuntimeFailure
from support.kubernetes.store import now
from support.kubernetes.volume import NotYetError

if TYPE_CHECKING:
    from support.kubernetes.volume import Volumes

LONGEST_BACK_OFF = 300.0
_IMAGE = re.compile(
    r"([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(@sha256:[0-9a-f]{64})?"
)
_KEPT_LOG = "2000"
_PAUSE = 0.05


@attrs.define(eq=False)
class Trouble:
    """What goes wrong on the node, as tests order it."""

    pull: str = ""
    """Words with which every pull fails; images that are there count as missing."""
    crash: str = ""
    """What every container says before it ends with code 1."""
    creating: bool = False
    """Whether pods stay in ContainerCreating."""
    held: bool = False
    """Whether containers that run do not become ready."""
    hollow: bool = False
    """Whether containers only seem to run and be ready, with nothing of them on the engine."""
    pace: float = 0.1
    """By how much the waits of the real node are shortened."""


class Container:
    """One container, by its name in the pod."""

    def __init__(
        self,
        spec: Json,
        pod: Json,
        *,
        name: str,
        runtime: Runtime,
        volumes: Volumes,
        events: Recorder,
        trouble: Trouble,
        changed: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.state: Json = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: Json = {}
        self.restarts = 0
        self.ready = False
        self.started = False
        self.current = ""
        """The engine's name of the container that runs; empty when none does."""
        self.previous_log: bytes | None = None
        self.killed_for = ""
        """The reason to tell when it ends, where the engine cannot know it."""
        self.ended = threading.Event()
        """Set when it must not run any more."""
        self._pod = pod
        self.base = name
        self._runtime = runtime
        self._volumes = volumes
        self._events = events
        self._trouble = trouble
        self._changed = changed
        self._identity = ""
        self._path = f"spec.containers{{{self.name}}}"

    def status(self) -> Json:
        return {
            "name": self.name,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "restartCount": self.restarts,
            "image": self.spec["image"],
            "imageID": self.spec["image"] if self.started or self.last_state else "",
            **({"containerID": f"containerd://{self._identity}"} if self._identity else {}),
            "started": self.started,
        }

    def run(self) -> None:
        """Keep it running until it is ended."""
        delay = 10.0
        while not self.ended.is_set():
            if not self.run_once() or self.ended.is_set():
                return
            if self.restarts:
                self._back_off(delay)
                delay = min(2 * delay, LONGEST_BACK_OFF)
            self.restarts += 1

    def run_once(self) -> bool:
        """Run it until it ends; False when it was ended before it began."""
        if not self._have_image():
            return False
        if self._trouble.hollow:
            self._seem_to_run()
            return True
        name = f"{self.base}-{self.restarts}"
        try:
            self._create(name)
            self._runtime.start(name)
        except (RuntimeFailure, NotYetError) as failure:  # what it mounts may have just gone
            self._not_started(str(failure))
            self._runtime.remove(name)
            return True
        self._tell("Started", "Container started")
        self._identity = self._runtime.inspect(name).get("Id", "")
        begun = now()
        self.started, self.current = True, name
        if self.ended.is_set():
            self._runtime.kill(name)  # whoever ended it may have come too early to see it
        self._set({"running": {"startedAt": begun}})
        over = threading.Event()
        probe = threading.Thread(target=self._probe, args=(name, over), daemon=True)
        probe.start()
        try:
            code = self._runtime.wait(name)
        except RuntimeFailure:
            code = 137
        over.set()
        self._end(name, code, begun)
        probe.join()
        return True

    def _seem_to_run(self) -> None:
        self.started = self.ready = True
        self._set({"running": {"startedAt": now()}})
        self.ended.wait()

    def kill(self) -> None:
        """Kill what runs, as the kernel would."""
        if self.current:
            self._runtime.kill(self.current)

    def _end(self, name: str, code: int, begun: str) -> None:
        found = self._runtime.inspect(name).get("State", {})
        out_of_memory = found.get("OOMKilled") or self.killed_for == "OOMKilled"
        reason = "OOMKilled" if out_of_memory else ("Error" if code else "Completed")
        self.killed_for = ""
        self.previous_log = self._runtime.logs(name, _KEPT_LOG)
        self.current, self.ready, self.started = "", False, False
        terminated = {
            "exitCode": code,
            "reason": reason,
            "startedAt": begun,
            "finishedAt": now(),
            "containerID": f"containerd://{self._identity}",
        }
        self._set({"terminated": terminated})
        if not self.ended.is_set():
            self._runtime.remove(name)

    def _create(self, name: str) -> None:
        mounts = self._volumes.of(self.spec)
        settings = container_settings(self.spec, self._pod)
        settings["HostConfig"].update({"Mounts": mounts.mounts, "Tmpfs": mounts.tmpfs})
        if self._trouble.crash:
            settings["Entrypoint"] = ["sh", "-c", 'echo "$0" >&2; exit 1']
            settings["Cmd"] = [self._trouble.crash]
        self._runtime.create(name, settings)
        if mounts.files:
            self._runtime.put(name, mounts.files)
        self._tell("Created", "Container created")

    def _not_started(self, words: str) -> None:
        words = words.replace(
            "failed to create task for container", "failed to create containerd task"
        )
        words = words.removesuffix(": unknown")
        self._warn("Failed", f"Error: {words}")
        reason = "CreateContainerError"
        if "OCI runtime" in words:
            reason = "RunContainerError"
            terminated = {"exitCode": 128, "reason": "StartError", "message": words}
            self._set({"terminated": {**terminated, "finishedAt": now()}})
        self._set({"waiting": {"reason": reason, "message": words}})

    def _have_image(self) -> bool:
        """Get the image, however long that takes; False when it was ended before."""
        image, policy = self.spec["image"], self.spec["imagePullPolicy"]
        if not _IMAGE.fullmatch(image):
            words = (
                f'Failed to apply default image tag "{image}": couldn\'t parse image name '
                f'"{image}": invalid reference format'
            )
            self._warn("InspectFailed", words)
            self._warn("Failed", "Error: InvalidImageName")
            self._set({"waiting": {"reason": "InvalidImageName", "message": words}})
            self.ended.wait()
            return False
        delay = 10.0
        while not self.ended.is_set():
            words = self._pull(image, policy)
            if not words:
                return True
            reason = "ErrImageNeverPull" if policy == "Never" else "ErrImagePull"
            if policy == "Never":
                self._warn(reason, words)
            else:
                self._warn("Failed", f'Failed to pull image "{image}": {words}')
            self._warn("Failed", f"Error: {reason}")
            self._set({"waiting": {"reason": reason, "message": words}})
            self.ended.wait(self._trouble.pace * 5)
            if policy != "Never":
                words = f'Back-off pulling image "{image}": {reason}: {words}'
                self._tell("BackOff", f'Back-off pulling image "{image}"')
                self._warn("Failed", "Error: ImagePullBackOff")
                self._set({"waiting": {"reason": "ImagePullBackOff", "message": words}})
            self.ended.wait(self._trouble.pace * delay)
            delay = min(2 * delay, LONGEST_BACK_OFF)
        return False

    def _pull(self, image: str, policy: str) -> str:
        if self._trouble.pull:
            self._tell("Pulling", f'Pulling image "{image}"')
            return self._trouble.pull
        # The engines here have their images from archives: an image that is there is the newest.
        if self._runtime.has_image(image):
            words = f'Container image "{image}" already present on machine'
            self._tell("Pulled", f"{words} and can be accessed by the pod")
            return ""
        if policy == "Never":
            return f'Container image "{image}" is not present with pull policy of Never'
        self._tell("Pulling", f'Pulling image "{image}"')
        words = self._runtime.pull(image)
        if not words:
            self._tell(
                "Pulled", f'Successfully pulled image "{image}" in 1s (1s including waiting).'
            )
        return words

    def _back_off(self, delay: float) -> None:
        meta = self._pod["metadata"]
        where = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        words = f"back-off {int(delay)}s restarting failed container={self.name} pod={where}"
        if delay > 60:
            words = words.replace(f"{int(delay)}s", f"{int(delay) // 60}m{int(delay) % 60}s")
        self._set({"waiting": {"reason": "CrashLoopBackOff", "message": words}})
        self._warn("BackOff", f"Back-off restarting failed container {self.name} in pod {where}")
        self.ended.wait(self._trouble.pace * delay)

    def _probe(self, name: str, over: threading.Event) -> None:
        """Make it ready when its probe succeeds, and unready when it fails for long."""
        probe = self.spec.get("readinessProbe")
        if probe is None or "exec" not in probe:
            self.ready = True
            self._changed()
            return
        pace, begun, failures = self._trouble.pace, time.monotonic(), 0
        over.wait(probe.get("initialDelaySeconds", 0) * pace / 2)
        while not over.is_set() and not self.ended.is_set():
            if self._trouble.held:
                over.wait(_PAUSE)
                continue
            words = self._probe_once(name, probe["exec"]["command"])
            failures = failures + 1 if words else 0
            # The real node asks for the first time after the initial delay: what fails before
            # that is not told of.
            if words and time.monotonic() - begun > probe.get("initialDelaySeconds", 0):
                self._warn("Unhealthy", f"Readiness probe failed: {words}")
            ready = not words or (self.ready and failures < probe["failureThreshold"])
            if ready != self.ready and not over.is_set():
                self.ready = ready
                self._changed()
            over.wait(0.3 if not self.ready else probe["periodSeconds"] * pace * 3)

    def _probe_once(self, name: str, command: list[str]) -> str:
        try:
            code, output = self._runtime.run(name, command)
        except (RuntimeFailure, OSError, ValueError) as error:
            return str(error)
        return (output.decode(errors="replace").strip() or "no output") if code else ""

    def _set(self, state: Json) -> None:
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = state
        self._changed()

    def _tell(self, reason: str, message: str) -> None:
        self._events.normal(self._pod, KUBELET, reason, message, self._path)

    def _warn(self, reason: str, message: str) -> None:
        self._events.warn(self._pod, KUBELET, reason, message, self._path)


def container_settings(spec: Json, pod: Json) -> Json:
    """Give what the engine is told of a container."""
    security = {**pod["spec"].get("securityContext", {}), **spec.get("securityContext", {})}
    host: Json = {"Privileged": bool(security.get("privileged"))}
    if security.get("seccompProfile", {}).get("type") == "Unconfined":
        host["SecurityOpt"] = ["seccomp=unconfined", "apparmor=unconfined"]
    if pod["spec"].get("hostNetwork"):
        host["NetworkMode"] = "host"
    settings: Json = {
        "Image": spec["image"],
        "Env": [f"{item['name']}={item.get('value', '')}" for item in spec.get("env", [])],
        "HostConfig": host,
    }
    if spec.get("command"):
        settings["Entrypoint"] = spec["command"]
    if spec.get("args"):
        settings["Cmd"] = spec["args"]
    if spec.get("workingDir"):
        settings["WorkingDir"] = spec["workingDir"]
    if "runAsUser" in security:
        settings["User"] = f"{security['runAsUser']}:{security.get('runAsGroup', 0)}"
    if not pod["spec"].get("hostNetwork"):
        settings["Hostname"] = pod["metadata"]["name"][:63]
    return settings
