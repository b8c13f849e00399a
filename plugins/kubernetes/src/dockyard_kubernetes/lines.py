"""What is shown of a builder's pods while they are waited for."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.driver import Step
from dockyard_kubernetes.pods import Pod, condition, container_status, is_running
from dockyard_kubernetes.value import Object, text

_PULLED = ("Pulled", "Failed", "BackOff", "Created", "Started")


class PodLines:
    """One line for what each pod is doing, renewed when it goes on to something else."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._shown: dict[str, str] = {}
        self._count = ""

    def show(self, pods: Sequence[Pod], events: Sequence[Object], wanted: int) -> None:
        """Show how far the pods are."""
        for pod in pods:
            self._renew(pod.name, _doing(pod, events))
        for name in self._shown.keys() - {pod.name for pod in pods}:
            self._end(name)
        ready = sum(pod.is_usable for pod in pods)
        count = f"{ready} of {wanted} pods ready"
        if ready and count != self._count:
            self._step.report(count, done=True)
        self._count = count

    def close(self) -> None:
        """End every line."""
        for name in list(self._shown):
            self._end(name)

    def _renew(self, name: str, doing: str) -> None:
        line = f"pod {name} {doing}"
        if self._shown.get(name) == line:
            return
        self._end(name)
        self._shown[name] = line
        self._step.report(line)

    def _end(self, name: str) -> None:
        line = self._shown.pop(name, "")
        if line:
            self._step.report(line, done=True)


def _doing(pod: Pod, events: Sequence[Object]) -> str:
    if pod.is_ending:
        return "is being deleted"
    if pod.is_ready:
        return "is ready"
    if pod.phase == "Running" and is_running(container_status(pod.object)):
        return "has started BuildKit"
    if not pod.node:
        unscheduled = condition(pod.object, "PodScheduled").get("status") == "False"
        return "finds no place yet" if unscheduled else "waits for the scheduler"
    image = _pulling(pod, events)
    if image:
        return f"is pulling image {image} on {pod.node}"
    reason = text(container_status(pod.object), "state", "waiting", "reason")
    if reason in ("", "ContainerCreating", "PodInitializing"):
        return f"is being set up on {pod.node}"
    if reason in ("ErrImagePull", "ImagePullBackOff"):  # in turn
        return f"cannot pull its image on {pod.node}"
    return f"is held up on {pod.node}: {reason}"


def _pulling(pod: Pod, events: Sequence[Object]) -> str:
    """Name the image that is being pulled; the last event that says so counts."""
    image = ""
    for event in events:
        if text(event, "involvedObject", "name") != pod.name:
            continue
        reason = event.get("reason")
        if reason == "Pulling":
            image = text(event, "message").removeprefix("Pulling image ").strip('"')
        elif reason in _PULLED:
            image = ""
    return image
