"""What the node answers of a pod's containers: logs, and commands."""

from __future__ import annotations

from support.kubernetes.call import Call, Reply
from support.kubernetes.container import Container
from support.kubernetes.exec import Handler, Session
from support.kubernetes.fault import Faults
from support.kubernetes.kubelet import Kubelet
from support.kubernetes.resource import Json, Resource
from support.kubernetes.runtime import RuntimeFailure
from support.kubernetes.status import Refusal, bad_request, internal, invalid, wrong
from support.kubernetes.websocket import V4, V5, accept_key, negotiate


class Node:
    """The way from the API server to the kubelet."""

    def __init__(self, kubelet: Kubelet, faults: Faults) -> None:
        self.protocols: tuple[str, ...] = (V5, V4)
        """What exec streams may speak; an old server has only the second."""
        self.sessions: list[Session] = []
        """All exec streams that there were."""
        self._kubelet = kubelet
        self._faults = faults

    def logs(self, pod: Json, call: Call) -> Reply:
        name, container = self._container(pod, call.value("container"))
        if not pod["spec"].get("nodeName"):
            return Reply(204, b"")
        if container is None:
            raise _waiting(pod, name, "ContainerCreating")
        if call.on("previous"):
            if container.previous_log is None or (container.restarts == 0 and container.current):
                raise bad_request(
                    f'previous terminated container "{name}" in pod '
                    f'"{pod["metadata"]["name"]}" not found'
                )
            text = container.previous_log
        elif container.current:
            text = self._kubelet.runtime.logs(container.current)
        elif container.previous_log is not None:
            text = container.previous_log
        else:
            reason = container.state.get("waiting", {}).get("reason", "ContainerCreating")
            if reason in ("ErrImagePull", "ImagePullBackOff"):
                reason = (
                    "trying and failing to pull image"
                    if reason == "ErrImagePull"
                    else "image can't be pulled"
                )
            raise _waiting(pod, name, reason)
        return Reply(200, _last(text, call, pod["metadata"]["name"]))

    def exec(self, pod: Json, call: Call) -> Reply:
        headers, command = call.headers, list(call.query.get("command", []))
        wanted = [key for key in ("stdin", "stdout", "stderr") if call.on(key)]
        name, container = self._container(pod, call.value("container"))
        if not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        if "websocket" not in headers.get("upgrade", "").lower():
            raise bad_request("Upgrade request required")
        if call.method != "GET":
            return Reply(405, b"bad method")
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        if not wanted:
            raise bad_request("you must specify at least one of stdin, stdout, stderr")
        protocol = negotiate(headers, self.protocols)
        if protocol is None:
            return Reply(403, b"")
        if container is None or not container.current:
            raise Refusal(500, "", f'container not found ("{name}")', plain=True)
        running = container.current

        def take(handler: Handler) -> None:
            handler.connection.sendall(accept_key(headers, protocol))
            session = Session(handler, self._kubelet.runtime, self._faults, protocol, wanted)
            self.sessions.append(session)
            try:
                session.run(running, command)
            except RuntimeFailure as failure:
                session.refuse(internal(f"error executing command in container: {failure}"))

        return Reply(101, takeover=take)

    def _container(self, pod: Json, name: str) -> tuple[str, Container | None]:
        specs = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        names = [spec["name"] for spec in specs]
        title = pod["metadata"]["name"]
        if not name:
            if len(pod["spec"]["containers"]) > 1:
                listed = " ".join(spec["name"] for spec in pod["spec"]["containers"])
                raise bad_request(
                    f"a container name must be specified for pod {title}, choose one of: [{listed}]"
                )
            name = names[0]
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {title}")
        worker = self._kubelet.worker(pod)
        return name, worker.find(name) if worker else None


def _waiting(pod: Json, name: str, reason: str) -> Refusal:
    where = f'container "{name}" in pod "{pod["metadata"]["name"]}"'
    return bad_request(f"{where} is waiting to start: {reason}")


def _last(text: bytes, call: Call, title: str) -> bytes:
    lines = text.splitlines(keepends=True)
    if call.value("tailLines"):
        count = call.value("tailLines")
        if count.startswith("-") and count[1:].isdecimal():
            options = Resource("", "PodLogOptions")
            words = "must be greater than or equal to 0"
            raise invalid(options, title, [wrong("tailLines", int(count), words)])
        if not count.isdecimal():
            raise bad_request(f'strconv.ParseInt: parsing "{count}": invalid syntax')
        lines = lines[-int(count) :] if int(count) else []
    found = b"".join(lines)
    limit = call.value("limitBytes")
    return found[: int(limit)] if limit else found
