from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import ssl
import subprocess
from asyncio import TaskGroup
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from tools import debian
from tools.packages import KUBECTL
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import Protocol, Side
from websockets.sync.client import ClientConnection

from support.engines import or_skip
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import REAL
from support.kubernetes.patch import JSON, MERGE, STRATEGIC
from support.kubernetes.real import RealCluster
from support.kubernetes.resource import Json
from support.kubernetes.sample import (
    APPS,
    CORE,
    V4,
    V5,
    Answer,
    ask,
    asking,
    deployment,
    executing,
    executing_both_ways,
    selector,
    stateful_set,
)
from support.kubernetes.websocket import ClosedError, WebSocket

Change = Callable[[Json], object]


@pytest.fixture(autouse=True)
def _no_real_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REAL, raising=False)


def message(answer: Answer) -> str:
    body = answer.body
    assert (body["kind"], body["status"], body["code"]) == ("Status", "Failure", answer.code)
    return str(body["message"])


def test_refusals_are_in_the_real_servers_words(control_plane: Cluster) -> None:
    made = ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"))
    assert made.code == 201

    for method, path, body, code, words in (
        ("GET", f"{APPS}/deployments/x", None, 404, 'deployments.apps "x" not found'),
        ("GET", f"{CORE}/pods/x", None, 404, 'pods "x" not found'),
        ("DELETE", f"{CORE}/configmaps/x", None, 404, 'configmaps "x" not found'),
        (
            "POST",
            f"{APPS}/deployments",
            deployment("k0"),
            409,
            'deployments.apps "k0" already exists',
        ),
        (
            "POST",
            f"{APPS.replace('builders', 'nowhere')}/deployments",
            deployment("k0"),
            404,
            'namespaces "nowhere" not found',
        ),
        (
            "POST",
            f"{CORE}/configmaps",
            {"metadata": {"name": "a", "namespace": "b"}},
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "PUT",
            f"{APPS}/deployments/k0",
            {**deployment("k0"), "metadata": {"name": "k0", "resourceVersion": "1"}},
            409,
            'Operation cannot be fulfilled on deployments.apps "k0": the object has been modified; '
            "please apply your changes to the latest version and try again",
        ),
        ("GET", f"{CORE}/pods?fieldSelector=a.b=c", None, 400, "field label not supported: a.b"),
    ):
        answer = ask(control_plane, method, path, body)
        assert (answer.code, message(answer)) == (code, words)
    unknown = ask(control_plane, "GET", f"{CORE}/things")
    assert message(unknown) == "the server could not find the requested resource"
    assert ask(control_plane, "GET", "/apis/nothing/v1/things").body == "404 page not found\n"


def _first(item: Json) -> Json:
    found: Json = item["spec"]["template"]["spec"]["containers"][0]
    return found


FIRST = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda item: _first(item).pop("image"), f"{FIRST}.image: Required value"),
        (
            lambda item: item["spec"]["template"]["metadata"].update(labels={"app": "other"}),
            'spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not '
            "match template `labels`",
        ),
        (
            lambda item: item["spec"]["template"]["spec"].update(
                tolerations=[{"key": "a", "operator": "exists"}]
            ),
            'spec.template.spec.tolerations[0].operator: Unsupported value: "exists": supported '
            'values: "Equal", "Exists"',
        ),
        (
            lambda item: _first(item).update(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
            f'{FIRST}.volumeMounts[0].name: Not found: "v"',
        ),
        (
            lambda item: _first(item).update(
                resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
            ),
            f'{FIRST}.resources.requests: Invalid value: "2": must be less than or equal to cpu '
            "limit of 1",
        ),
        (
            lambda item: _first(item).update(env=[{"name": "A=B", "value": "c"}]),
            f'{FIRST}.env[0].name: Invalid value: "A=B": a valid environment variable name must '
            "consist only of printable ASCII characters other than '='",
        ),
        (
            lambda item: item["spec"].update(replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            lambda item: item["spec"]["template"]["spec"].update(volumes=[{"name": "v"}] * 2),
            'spec.template.spec.volumes[1].name: Duplicate value: "v"',
        ),
    ],
)
def test_a_workload_that_is_not_valid_is_refused_with_the_cause(
    control_plane: Cluster, change: Change, words: str
) -> None:
    item = deployment("k0")
    change(item)

    answer = ask(control_plane, "POST", f"{APPS}/deployments", item)

    assert answer.code == 422
    assert message(answer) == f'Deployment.apps "k0" is invalid: {words}'
    (cause,) = answer.body["details"]["causes"]
    assert f"{cause['field']}: {cause['message']}" == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda item: _first(item).update(env=[{"name": "A", "value": 1}]),
            "json: cannot unmarshal number into Go struct field "
            "EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            lambda item: item["spec"].update(replicas="2"),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of "
            "type int32",
        ),
        (
            lambda item: _first(item).update(resources={"limits": {"cpu": "1 core"}}),
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ],
)
def test_a_field_of_the_wrong_type_is_a_bad_request(
    control_plane: Cluster, change: Change, words: str
) -> None:
    item = deployment("k0")
    change(item)

    answer = ask(control_plane, "POST", f"{APPS}/deployments", item)

    assert answer.code == 400
    assert message(answer).endswith(f'"v1" cannot be handled as a Deployment: {words}')


def test_an_unknown_field_is_dropped_with_a_warning_or_refused_when_asked(
    control_plane: Cluster,
) -> None:
    item = deployment("k0", nodeSelectors={"a": "b"})

    strict = ask(control_plane, "POST", f"{APPS}/deployments?fieldValidation=Strict", item)
    mild = ask(control_plane, "POST", f"{APPS}/deployments", item)

    words = 'unknown field "spec.template.spec.nodeSelectors"'
    assert strict.code == 400
    assert message(strict).endswith(f"strict decoding error: {words}")
    assert mild.code == 201
    assert "nodeSelectors" not in mild.body["spec"]["template"]["spec"]
    assert mild.headers["Warning"] == '299 - "{}"'.format(words.replace('"', '\\"'))


def test_users_may_do_what_their_rules_say_and_no_more(control_plane: Cluster) -> None:
    rules = [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]
    user = control_plane.add_user("jane", rules)

    listed = ask(control_plane, "GET", f"{CORE}/pods", user=user)
    refused = ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"), user=user)
    elsewhere = ask(control_plane, "GET", "/api/v1/namespaces/default/pods", user=user)
    entering = ask(control_plane, "GET", f"{CORE}/pods/p/exec?command=a&stdout=1", user=user)
    user.expired = True
    expired = ask(control_plane, "GET", f"{CORE}/pods", user=user)

    assert listed.code == 200
    assert message(refused) == (
        'deployments.apps is forbidden: User "jane" cannot create resource "deployments" in API '
        'group "apps" in the namespace "builders"'
    )
    assert message(elsewhere) == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the '
        'namespace "default"'
    )
    assert message(entering) == (
        'pods "p" is forbidden: User "jane" cannot get resource "pods/exec" in API group "" in '
        'the namespace "builders"'
    )
    assert (expired.code, message(expired)) == (401, "Unauthorized")


def test_the_official_client_comes_by_token_and_by_certificate(control_plane: Cluster) -> None:
    from kubernetes import client
    from kubernetes.config.kube_config import new_client_from_config

    jane = control_plane.add_user("jane")
    admin = control_plane.write_kubeconfig("by-certificate", certificate=True)
    nobody = control_plane.write_kubeconfig("jane", user=jane, certificate=True)
    for path, code in ((control_plane.kubeconfig, 200), (admin, 200), (nobody, 403)):
        with untyped(new_client_from_config)(str(path)) as api:
            try:
                client.CoreV1Api(api).list_namespaced_pod("builders")
                found = 200
            except client.ApiException as error:
                found = error.status

        assert found == code, path


def test_patches_of_all_kinds_change_an_object_in_part(control_plane: Cluster) -> None:
    place = f"{APPS}/deployments/k0"
    made = ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"))

    ask(control_plane, "PATCH", place, {"spec": {"replicas": 3}}, kind=MERGE)
    container = {"name": "main", "env": [{"name": "A", "value": "b"}]}
    pod = {"template": {"spec": {"containers": [container]}}}
    strategic = ask(control_plane, "PATCH", place, {"spec": pod}, kind=STRATEGIC)
    change = [{"op": "add", "path": "/metadata/annotations", "value": {"a/b": "c"}}]
    last = ask(control_plane, "PATCH", place, change, kind=JSON)
    scaled = ask(control_plane, "PATCH", f"{place}/scale", {"spec": {"replicas": 0}}, kind=MERGE)
    unknown = ask(control_plane, "PATCH", place, {}, kind="application/json")

    assert _first(strategic.body)["image"] == "busybox:1"
    assert _first(strategic.body)["env"] == [{"name": "A", "value": "b"}]
    assert last.body["spec"]["replicas"] == 3
    assert last.body["metadata"]["annotations"] == {"a/b": "c"}
    assert last.body["metadata"]["generation"] == made.body["metadata"]["generation"] + 2
    assert (scaled.body["kind"], scaled.body["spec"]) == ("Scale", {})
    assert unknown.code == 415


def test_a_selector_cannot_be_changed(control_plane: Cluster) -> None:
    ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"))

    answer = ask(
        control_plane,
        "PUT",
        f"{APPS}/deployments/k0",
        deployment("k1") | {"metadata": {"name": "k0"}},
    )

    assert message(answer).endswith(
        'Invalid value: {"matchLabels":{"app":"k1"}}: field is immutable'
    )


def events(cluster: Cluster, query: str) -> Generator[tuple[str, Json]]:
    with asking(cluster, "GET", f"{CORE}/configmaps?watch=1&{query}") as answer:
        for line in answer:
            event = json.loads(line)
            yield event["type"], event["object"]


def test_a_watch_goes_on_from_a_version_and_follows_labels(control_plane: Cluster) -> None:
    named: Json = {"metadata": {"name": "a", "labels": {"app": "x"}}}
    before = ask(control_plane, "GET", f"{CORE}/configmaps").body["metadata"]["resourceVersion"]
    ask(control_plane, "POST", f"{CORE}/configmaps", named)
    ask(control_plane, "POST", f"{CORE}/configmaps", {"metadata": {"name": "b"}})
    watch = events(
        control_plane, f"resourceVersion={before}&timeoutSeconds=20&labelSelector=app%3Dx"
    )

    kinds = [next(watch)]
    for labels in ({"app": "x", "more": "y"}, {"app": "z"}):
        change = {"metadata": {"labels": labels}}
        ask(control_plane, "PATCH", f"{CORE}/configmaps/a", change, kind=MERGE)
        kinds.append(next(watch))

    assert [kind for kind, _ in kinds] == ["ADDED", "MODIFIED", "DELETED"]
    assert {item["metadata"]["name"] for _, item in kinds} == {"a"}
    versions = [int(item["metadata"]["resourceVersion"]) for _, item in kinds]
    assert versions == sorted(set(versions))
    watch.close()


def test_a_watch_begins_with_what_is_there_and_ends_in_time(control_plane: Cluster) -> None:
    ask(control_plane, "POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})

    found = list(events(control_plane, "timeoutSeconds=1&fieldSelector=metadata.name%3Da"))

    assert [(kind, item["metadata"]["name"]) for kind, item in found] == [("ADDED", "a")]
    assert found[0][1]["kind"] == "ConfigMap"


def test_a_watch_whose_version_is_too_old_is_told_so(control_plane: Cluster) -> None:
    version = ask(control_plane, "GET", f"{CORE}/configmaps").body["metadata"]["resourceVersion"]
    control_plane.forget_history()

    (event,) = events(control_plane, f"resourceVersion={version}&timeoutSeconds=20")
    control_plane.faults.gone(times=1)
    refused = ask(control_plane, "GET", f"{CORE}/configmaps?watch=1&resourceVersion={version}")

    assert event[0] == "ERROR"
    assert (event[1]["code"], event[1]["reason"]) == (410, "Expired")
    assert event[1]["message"].startswith("too old resource version")
    assert refused.code == 410


def test_faults_meet_the_requests_that_they_are_for(control_plane: Cluster) -> None:
    faults = control_plane.faults
    faults.status(429, "list", "pods", times=1)
    faults.status(503, "create", "configmaps", skip=1, times=1)
    faults.drop("get", "pods")
    faults.lose("create", "secrets")
    faults.truncate("list", "deployments")

    busy = ask(control_plane, "GET", f"{CORE}/pods")
    codes = [
        ask(control_plane, "POST", f"{CORE}/configmaps", {"metadata": {"name": name}}).code
        for name in "abc"
    ]
    with pytest.raises(RemoteDisconnected):
        ask(control_plane, "GET", f"{CORE}/pods/x")
    with pytest.raises(RemoteDisconnected):
        ask(control_plane, "POST", f"{CORE}/secrets", {"metadata": {"name": "s"}})
    with pytest.raises(Exception, match="IncompleteRead"):
        ask(control_plane, "GET", f"{APPS}/deployments")
    faults.clear()

    assert (busy.code, busy.headers["Retry-After"]) == (429, "1")
    assert ask(control_plane, "GET", f"{CORE}/pods").code == 200
    assert codes == [201, 503, 201]
    assert ask(control_plane, "GET", f"{CORE}/secrets/s").code == 200


def test_a_stopped_server_comes_back_at_its_place_with_all_it_had(control_plane: Cluster) -> None:
    ask(control_plane, "POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    watch = events(control_plane, "timeoutSeconds=20&fieldSelector=metadata.name%3Da")
    next(watch)

    control_plane.stop()

    assert next(watch, None) is None
    with pytest.raises(ConnectionRefusedError):
        ask(control_plane, "GET", f"{CORE}/configmaps/a")
    control_plane.start()
    assert ask(control_plane, "GET", f"{CORE}/configmaps/a").code == 200


@pytest.mark.parametrize(
    ("policy", "left"),
    [("Background", []), ("Foreground", []), ("Orphan", ["replicasets", "pods"])],
)
def test_what_a_workload_owns_goes_with_it_unless_orphaned(
    control_plane: Cluster, policy: str, left: list[str]
) -> None:
    ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"))
    control_plane.wait(lambda: bool(control_plane.pods()), "a pod")

    answer = ask(control_plane, "DELETE", f"{APPS}/deployments/k0", {"propagationPolicy": policy})

    assert answer.code == 200
    control_plane.wait(lambda: not control_plane.items("deployments"), "the deployment to go")

    def found() -> list[str]:
        return [kind for kind in ("replicasets", "pods") if control_plane.items(kind)]

    control_plane.wait(lambda: found() == left, f"{left} to be left")


def test_a_namespace_takes_nothing_more_when_it_goes_and_takes_all_along(
    control_plane: Cluster,
) -> None:
    held = {"metadata": {"name": "a", "finalizers": ["x/y"]}}
    ask(control_plane, "POST", f"{CORE}/configmaps", held)
    ask(control_plane, "DELETE", "/api/v1/namespaces/builders")

    answer = ask(control_plane, "POST", f"{CORE}/configmaps", {"metadata": {"name": "b"}})

    assert message(answer) == (
        'configmaps "b" is forbidden: unable to create new content in namespace builders because '
        "it is being terminated"
    )
    change = [{"op": "remove", "path": "/metadata/finalizers"}]
    ask(control_plane, "PATCH", f"{CORE}/configmaps/a", change, kind=JSON)
    control_plane.wait(lambda: control_plane.item("namespaces", "builders") is None, "it to go")


def failure(cluster: Cluster) -> str:
    """Wait for why the Deployment gets no pods; it is also an event of its ReplicaSet."""

    def words() -> list[str]:
        found = cluster.items("deployments")[0]["status"].get("conditions", [])
        return [str(one["message"]) for one in found if one["type"] == "ReplicaFailure"]

    cluster.wait(lambda: bool(words()), "a failure")
    told = [one["message"] for one in cluster.items("events") if one["reason"] == "FailedCreate"]
    assert told[0].startswith('Error creating: pods "k0-')
    return words()[0].partition(" is forbidden: ")[2]


def test_a_pod_that_may_not_be_made_is_told_of_by_its_workload(control_plane: Cluster) -> None:
    control_plane.quota("small", pods="0")
    ask(control_plane, "POST", f"{APPS}/deployments", deployment("k0"))

    assert failure(control_plane) == (
        "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"
    )


def test_pod_security_names_the_breach(control_plane: Cluster) -> None:
    control_plane.pod_security("baseline")
    item = deployment("k0")
    _first(item)["securityContext"] = {"privileged": True}
    ask(control_plane, "POST", f"{APPS}/deployments", item)

    assert failure(control_plane) == (
        'violates PodSecurity "baseline:latest": privileged (container "main" must not set '
        "securityContext.privileged=true)"
    )


def test_a_missing_service_account_is_named(control_plane: Cluster) -> None:
    item = deployment("k0", serviceAccountName="robot")
    ask(control_plane, "POST", f"{APPS}/deployments", item)

    assert failure(control_plane) == (
        'error looking up service account builders/robot: serviceaccount "robot" not found'
    )


def test_the_official_client_sees_the_whole_life_of_a_deployment(cluster: Cluster) -> None:
    from kubernetes import client
    from kubernetes.config.kube_config import new_client_from_config
    from kubernetes.watch.watch import Watch

    item: Any = deployment("k0", image=cluster.image)
    looking = untyped(Watch)()
    with untyped(new_client_from_config)(str(cluster.kubeconfig)) as api:
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        before = core.list_namespaced_pod("builders").metadata
        assert before is not None
        apps.create_namespaced_deployment("builders", item)
        phases = []
        for event in looking.stream(  # what came before this begins is told as well
            core.list_namespaced_pod,
            "builders",
            label_selector="app=k0",
            resource_version=before.resource_version,
            timeout_seconds=120,
        ):
            pod = event["object"]
            phases.append(pod.status.phase)
            ready = [one.status for one in pod.status.conditions or () if one.type == "Ready"]
            if ready == ["True"]:
                looking.stop()
        core.delete_namespaced_pod(pod.metadata.name, "builders")
        other = another(cluster, pod.metadata.name)
        apps.patch_namespaced_deployment_scale("k0", "builders", {"spec": {"replicas": 0}})
        cluster.wait(lambda: not cluster.pods(), "no pods")
        reasons = [one.reason for one in core.list_namespaced_event("builders").items]
        apps.delete_namespaced_deployment("k0", "builders")

    assert phases[0] == "Pending"
    assert phases[-1] == "Running"
    assert pod.status.container_statuses[0].state.running is not None
    assert other != pod.metadata.name
    assert {"Scheduled", "Pulled", "Created", "Started", "Killing"} <= set(reasons)
    cluster.wait_empty()


def untyped(call: object) -> Callable[..., Any]:
    """Take something of the official client, which has no types."""
    return cast("Callable[..., Any]", call)


def another(cluster: Cluster, name: str) -> str:
    def others() -> list[str]:
        return [pod for pod in cluster.pods() if pod != name]

    cluster.wait(lambda: bool(others()), "another pod")
    return others()[0]


@pytest.fixture(scope="module")
def pod(module_cluster: Cluster) -> str:
    """A pod that only waits, for the tests that run commands in it."""
    item = deployment("waiting", image=module_cluster.image)
    module_cluster.create("deployments", item)
    return module_cluster.wait_ready()[0]


def received(stream: ClientConnection) -> dict[int, bytes]:
    """Read all that comes until the end, by channel."""
    found: dict[int, bytes] = {}
    for data in stream:
        assert isinstance(data, bytes)
        found[data[0]] = found.get(data[0], b"") + data[1:]
    return found


@pytest.mark.parametrize("protocol", [V5, V4])
def test_a_command_has_its_streams_and_its_exit_code(
    module_cluster: Cluster, pod: str, protocol: str
) -> None:
    command = ("sh", "-c", "read word; echo $word; echo oh >&2; exit 3")

    with executing(module_cluster, pod, *command, protocol=protocol) as stream:
        stream.send(b"\0hello\n")
        found = received(stream)

    status = json.loads(found[3])
    assert (found[1], found[2]) == (b"hello\n", b"oh\n")
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert stream.close_code == 1000


def test_much_goes_both_ways_at_once_and_input_ends(module_cluster: Cluster, pod: str) -> None:
    size, count = 1 << 18, 64
    found: list[bytes] = []

    async def run() -> None:
        async with executing_both_ways(module_cluster, pod, "cat") as stream, TaskGroup() as both:
            both.create_task(send(stream))
            async for data in stream:
                assert isinstance(data, bytes)
                found.append(data)

    async def send(stream: AsyncConnection) -> None:
        for at in range(count):
            await stream.send(b"\0" + bytes([at]) * size)
        await stream.send(b"\xff\x00")

    asyncio.run(run())

    output = b"".join(data[1:] for data in found if data[0] == 1)
    assert output == b"".join(bytes([at]) * size for at in range(count))
    assert json.loads(found[-1][1:]) == {"metadata": {}, "status": "Success"}
    assert module_cluster.sessions[-1].half_closed


def test_input_cannot_be_ended_in_the_older_protocol(module_cluster: Cluster, pod: str) -> None:
    with executing(module_cluster, pod, "cat", protocol=V4) as stream:
        stream.send(b"\xff\x00")
        stream.send(b"\0still here\n")
        pieces = [stream.recv(30), stream.recv(30)]

    assert pieces == [b"\x01", b"\x01still here\n"]


def test_a_command_that_is_not_there_is_told_of(module_cluster: Cluster, pod: str) -> None:
    with executing(module_cluster, pod, "nonesuch") as stream:
        found = received(stream)

    status = json.loads(found[3])
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert 'exec: "nonesuch": executable file not found in $PATH' in status["message"]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("nothing/exec?command=a&stdout=1", 404, 'pods "nothing" not found'),
        ("{pod}/exec?command=a&stdout=1", 400, "Upgrade request required"),
        (
            "{pod}/exec?command=a&stdout=1&container=x",
            400,
            "container x is not valid for pod {pod}",
        ),
        ("{pod}/log?container=x", 400, "container x is not valid for pod {pod}"),
        (
            "{pod}/log?previous=true",
            400,
            'previous terminated container "main" in pod "{pod}" not found',
        ),
    ],
)
def test_what_cannot_be_asked_of_a_pod_is_refused(
    module_cluster: Cluster, pod: str, path: str, code: int, words: str
) -> None:
    answer = ask(module_cluster, "GET", f"{CORE}/pods/{path.format(pod=pod)}")

    assert (answer.code, message(answer)) == (code, words.format(pod=pod))


def test_an_old_server_refuses_the_newer_protocol(cluster: Cluster) -> None:
    cluster.create("deployments", deployment("k0", image=cluster.image))
    (name,) = cluster.wait_ready()
    cluster.node.protocols = (V4,)

    with pytest.raises(InvalidStatus) as caught, executing(cluster, name, "true"):
        pass

    assert caught.value.response.status_code == 403


def test_a_client_that_has_said_goodbye_takes_no_more() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("double").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as beside:
        serving = beside.submit(context.wrap_socket, ours, server_side=True)
        client = trust.wrap_socket(theirs, server_hostname="double")
    peer = Protocol(Side.CLIENT)
    peer.send_binary(b"\0input")
    peer.send_close(1000)
    with client, serving.result(40) as connection:
        client.sendall(b"".join(peer.data_to_send()))
        stream = WebSocket(connection, b"")
        select.select([connection], [], [], 40)

        assert stream.receive() == [b"\0input"]
        with pytest.raises(ClosedError):
            stream.send(1, b"output")


def receive_into(found: list[bytes], stream: ClientConnection) -> None:
    while True:
        data = stream.recv(30)
        assert isinstance(data, bytes)
        found.append(data)


def test_a_stream_can_be_cut_and_can_fall_silent(cluster: Cluster) -> None:
    cluster.create("deployments", deployment("k0", image=cluster.image))
    (name,) = cluster.wait_ready()

    cluster.faults.exec_cut_after = 100_000
    with executing(cluster, name, "head", "-c", "1000000", "/dev/zero") as stream:
        found: list[bytes] = []
        with pytest.raises(ConnectionClosed):
            receive_into(found, stream)
    cluster.faults.clear()
    cluster.faults.exec_silent = True
    with executing(cluster, name, "true") as stream:
        first = stream.recv(30)
        with pytest.raises(TimeoutError):
            stream.recv(0.5)
        cluster.cut()

    assert sum(len(data) - 1 for data in found) == 100_000
    assert first == b"\x01"


def test_a_claim_keeps_its_data_when_its_pod_goes(cluster: Cluster) -> None:
    cluster.create("statefulsets", stateful_set("k0", image=cluster.image))
    (name,) = cluster.wait_ready()
    with executing(cluster, name, "sh", "-c", "echo kept > /data/file") as stream:
        received(stream)
    first = cluster.item("pods", name)
    assert first is not None

    cluster.delete_pod(name)
    cluster.wait(
        lambda: (
            (cluster.item("pods", name) or first)["metadata"]["uid"] != first["metadata"]["uid"]
        ),
        "a new pod",
    )
    cluster.wait_ready()
    with executing(cluster, name, "cat", "/data/file") as stream:
        found = received(stream)
    cluster.delete("statefulsets", "k0")
    cluster.delete("persistentvolumeclaims", "data-k0-0")

    assert name == "k0-0"
    assert found[1] == b"kept\n"
    cluster.wait_empty()


def waiting(cluster: Cluster) -> str:
    """Give why the one pod's container waits."""
    for found in cluster.items("pods"):
        for status in found["status"].get("containerStatuses", []):
            return str(status["state"].get("waiting", {}).get("reason", ""))
    return ""


def test_a_container_that_cannot_run_says_why(cluster: Cluster) -> None:
    cluster.crash("I am broken")
    cluster.create("deployments", deployment("k0", image=cluster.image))

    cluster.wait(lambda: waiting(cluster) == "CrashLoopBackOff", "a crash loop")
    (name,) = cluster.pods()
    log = ask(cluster, "GET", f"{CORE}/pods/{name}/log?previous=true").body
    (status,) = cluster.items("pods")[0]["status"]["containerStatuses"]
    cluster.crash("")
    cluster.wait_ready()

    assert log == "I am broken\n"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["restartCount"] >= 1


def test_an_image_that_cannot_be_pulled_is_told_of(cluster: Cluster) -> None:
    cluster.pull_error("no such image")
    cluster.create("deployments", deployment("k0", image=cluster.image))

    cluster.wait(lambda: waiting(cluster) == "ErrImagePull", "a pull that fails")
    cluster.wait(lambda: waiting(cluster) == "ImagePullBackOff", "a later pull")
    (name,) = cluster.pods()
    refused = f'container "main" in pod "{name}" is waiting to start: '
    logs: list[Answer] = []

    def is_later() -> bool:
        logs.append(ask(cluster, "GET", f"{CORE}/pods/{name}/log"))
        return message(logs[-1]) != f"{refused}trying and failing to pull image"

    cluster.wait(is_later, "a log between two pulls")

    assert (logs[-1].code, message(logs[-1])) == (400, f"{refused}image can't be pulled")
    words = [one["message"] for one in cluster.items("events") if one["reason"] == "Failed"]
    assert f'Failed to pull image "{cluster.image}": no such image' in words


def test_a_killed_container_is_started_again_and_an_evicted_pod_replaced(cluster: Cluster) -> None:
    cluster.create("deployments", deployment("k0", image=cluster.image))
    (name,) = cluster.wait_ready()

    cluster.kill_container(name, out_of_memory=True)

    def restarted() -> bool:
        (status,) = cluster.items("pods")[0]["status"]["containerStatuses"]
        return bool(status["restartCount"]) and bool(status["ready"])

    cluster.wait(restarted, "a restart")
    (status,) = cluster.items("pods")[0]["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["lastState"]["terminated"]["exitCode"] == 137
    cluster.evict(name)
    another(cluster, name)
    old = cluster.item("pods", name)
    assert old is not None
    assert (old["status"]["phase"], old["status"]["reason"]) == ("Failed", "Evicted")


def test_a_pod_that_fits_no_node_is_told_in_the_schedulers_words(cluster: Cluster) -> None:
    cluster.create("deployments", deployment("a", nodeSelector={"disk": "fast"}))
    heavy = deployment("b")
    _first(heavy)["resources"] = {"requests": {"cpu": "1000"}}
    cluster.create("deployments", heavy)

    def refused() -> set[str]:
        found = [one for one in cluster.items("events") if one["reason"] == "FailedScheduling"]
        return {one["message"].partition(". ")[0] for one in found}

    cluster.wait(lambda: len(refused()) == 2, "two refusals")
    assert refused() == {
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
        "0/1 nodes are available: 1 Insufficient cpu",
    }
    cluster.label_node(disk="fast")
    cluster.wait(lambda: "Pending" in {p["status"]["phase"] for p in cluster.items("pods")}, "b")


def test_kubectl_finds_its_way(module_cluster: Cluster, pod: str) -> None:
    program = or_skip(lambda: debian.unpacked([KUBECTL])[0]) / "usr/bin/kubectl"

    def kubectl(*words: str, text: str = "") -> str:
        done = subprocess.run(
            [program, *words],
            env={**os.environ, REAL: str(module_cluster.kubeconfig), "HOME": "/nonexistent"},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    assert kubectl("get", "pods", "-o", "name") == f"pod/{pod}\n"
    described = kubectl("describe", "pod", pod)
    assert "Controlled By:  ReplicaSet/waiting-" in described
    assert "Successfully assigned" in described
    assert kubectl("logs", pod) == ""
    assert kubectl("get", "pod", "x") == 'Error from server (NotFound): pods "x" not found\n'
    program_output = kubectl("exec", "-i", pod, "--", "sh", "-c", "cat; exit 3", text="hello\n")
    assert program_output == "hello\ncommand terminated with exit code 3\n"
    assert module_cluster.sessions[-1].protocol == V5


def test_the_face_for_real_clusters_fits_this_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(REAL, str(cluster.kubeconfig))
    real = RealCluster(tmp_path)
    real.create("deployments", deployment("k0", image=cluster.image))

    (name,) = real.wait_ready(seconds=60)
    real.delete("deployments", "k0")
    real.wait_empty(seconds=60)
    with pytest.raises(pytest.skip.Exception, match="cannot be told to do 'stop'"):
        real.stop()
    real.close()

    assert name.startswith("k0-")
    cluster.wait(lambda: cluster.item("namespaces", real.namespace) is None, "the end of it")
    assert ask(cluster, "GET", f"{CORE}/pods?{selector('k0')}").body["items"] == []
