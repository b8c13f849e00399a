"""Pods, workloads and events as an API server has them, for tests."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def pod(name: str = "k0-1", **fields: Any) -> Json:  # noqa: ANN401  # JSON
    """Give a pod that runs and is ready; ``status=`` and ``metadata=`` are laid over it."""
    status = {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True"},
        ],
        "containerStatuses": [container(state={"running": {}})],
    }
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", **fields.get("metadata", {})},
        "spec": {"nodeName": "node-1", "containers": [{"name": "buildkitd"}]},
        "status": {**status, **fields.get("status", {})},
    }


def unready(name: str = "k0-1", *, phase: str = "Pending", **status: Any) -> Json:  # noqa: ANN401
    """Give a pod that is on its way."""
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "False"},
    ]
    return pod(name, status={"phase": phase, "conditions": conditions, **status})


def container(name: str = "buildkitd", **fields: Any) -> Json:  # noqa: ANN401
    return {"name": name, "image": "img:1", "restartCount": 0, "state": {}, **fields}


def waiting(reason: str, message: str = "", **fields: Any) -> Json:  # noqa: ANN401
    return container(state={"waiting": {"reason": reason, "message": message}}, **fields)


def ended(code: int, reason: str = "Error", message: str = "") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def deployment(name: str = "k0", replicas: int = 1, **fields: Any) -> Json:  # noqa: ANN401
    labels = {"app": name}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", **fields.get("metadata", {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "buildkitd"}]},
            },
            **fields.get("spec", {}),
        },
        "status": fields.get("status", {}),
    }


def event(about: Json, reason: str, message: str, kind: str = "Pod") -> Json:
    metadata = about["metadata"]
    return {
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": metadata["name"], "uid": metadata["uid"]},
    }
