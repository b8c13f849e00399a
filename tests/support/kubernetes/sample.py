"""Small workloads and a plain client, for the tests of the double itself."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import websockets.asyncio.client as asyncio_client
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from support.kubernetes.access import User
from support.kubernetes.cluster import Cluster
from support.kubernetes.resource import Json

APPS = "/apis/apps/v1/namespaces/builders"
CORE = "/api/v1/namespaces/builders"
V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
SECONDS = 30


class Answer(NamedTuple):
    code: int
    body: Any
    headers: Mapping[str, str]


def ask(
    cluster: Cluster,
    method: str,
    path: str,
    body: object = None,
    *,
    user: User | None = None,
    kind: str = "application/json",
) -> Answer:
    """Ask the server, over a connection of its own."""
    with asking(cluster, method, path, body, user=user, kind=kind) as answer:
        data = answer.read()
        is_json = answer.headers["Content-Type"] == "application/json"
        found = json.loads(data) if is_json else data.decode()
        return Answer(answer.status, found, dict(answer.headers))


@contextmanager
def asking(
    cluster: Cluster,
    method: str,
    path: str,
    body: object = None,
    *,
    user: User | None = None,
    kind: str = "application/json",
) -> Iterator[HTTPResponse]:
    """Ask the server, and give the answer as it comes."""
    port = int(cluster.url.rpartition(":")[2])
    connection = HTTPSConnection("127.0.0.1", port, context=_trust(cluster), timeout=SECONDS)
    headers = {"Content-Type": kind}
    who = cluster.admin if user is None else user
    if who.token:
        headers["Authorization"] = f"Bearer {who.token}"
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers)
        yield connection.getresponse()
    finally:
        connection.close()


@contextmanager
def executing(
    cluster: Cluster, pod: str, *command: str, protocol: str = V5, user: User | None = None
) -> Iterator[ClientConnection]:
    """Run a command in a pod, over a WebSocket that is not ours at either end."""
    # This client reads in a thread while it writes, which one TLS object does not bear while the
    # server still has something of its own to say: in TLS 1.3, tickets after the handshake.
    trust = _trust(cluster)
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(
        _exec_address(cluster, pod, command),
        ssl=trust,
        subprotocols=[Subprotocol(protocol)],
        additional_headers={"Authorization": f"Bearer {(user or cluster.admin).token}"},
        compression=None,
        max_size=None,
        open_timeout=SECONDS,
        proxy=None,
    ) as stream:
        yield stream


def executing_both_ways(cluster: Cluster, pod: str, *command: str) -> asyncio_client.connect:
    """Do the same for those who send and receive much at once, which the other client cannot."""
    return asyncio_client.connect(
        _exec_address(cluster, pod, command),
        ssl=_trust(cluster),
        subprotocols=[Subprotocol(V5)],
        additional_headers={"Authorization": f"Bearer {cluster.admin.token}"},
        compression=None,
        max_size=None,
        open_timeout=SECONDS,
        proxy=None,
    )


def _exec_address(cluster: Cluster, pod: str, command: tuple[str, ...]) -> str:
    words = [("command", word) for word in command]
    flags = [(name, "true") for name in ("stdin", "stdout", "stderr")]
    server = cluster.url.replace("https", "wss")
    return f"{server}{CORE}/pods/{pod}/exec?{urlencode(words + flags)}"


def _trust(cluster: Cluster) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=cluster.authority.decode())


def deployment(name: str, *, image: str = "busybox:1", **spec: object) -> Json:
    """Give a Deployment of one small container; ``spec`` goes into the pod's."""
    labels = {"app": name}
    container = {"name": "main", "image": image, "command": ["sleep", "600"]}
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "terminationGracePeriodSeconds": 1,
                    **spec,
                },
            },
        },
    }


def stateful_set(name: str, *, image: str = "busybox:1") -> Json:
    """Give a StatefulSet with a claim, mounted at ``/data``."""
    made = deployment(name, image=image)
    made["kind"] = "StatefulSet"
    made["spec"] |= {
        "serviceName": "none",
        "podManagementPolicy": "Parallel",
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            }
        ],
    }
    mounts = [{"name": "data", "mountPath": "/data"}]
    made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts
    return made


def selector(name: str) -> str:
    return f"labelSelector={quote(f'app={name}')}"
