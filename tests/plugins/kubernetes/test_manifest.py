"""What is made in a cluster, beside what the reference makes there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import DriverError
from dockyard.platforms import Platform
from dockyard_kubernetes import manifest
from dockyard_kubernetes.option import BUILDER, NODE

from .conftest import MakeNode

REFERENCE = Path(__file__).parent / "reference"
IMAGE = {"image": "moby/buildkit:buildx-stable-1"}
FLAGS = ("--allow-insecure-entitlement=network.host",)
TOML = b"debug = true\n\n[worker]\n[worker.oci]\nmax-parallelism = 3\n"
CLAIM = "persistent-volume-claim.requests.storage"
MEMORY = "buildkit-root-volume-memory"

CASES: dict[str, dict[str, Any]] = {
    "default": {"typed": {**IMAGE, "replicas": "1"}},
    "replicas2-sticky": {"typed": {**IMAGE, "replicas": "2", "loadbalance": "sticky"}},
    "requests-limits": {
        "typed": {
            **IMAGE,
            "requests.cpu": "100m",
            "requests.memory": "128Mi",
            "requests.ephemeral-storage": "1Gi",
            "limits.cpu": "1500m",
            "limits.memory": "1Gi",
            "limits.ephemeral-storage": "2Gi",
        }
    },
    "env": {"typed": {**IMAGE, "env.HTTP_PROXY": "http://p.example:1", "env.FOO": "bar"}},
    "labels-annotations": {
        "typed": {
            **IMAGE,
            "labels": "team=a,tier=b",
            "annotations": "example.com/x=1,example.com/y=two",
        }
    },
    "nodeselector": {
        "typed": {**IMAGE, "nodeselector": "kubernetes.io/os=linux,kubernetes.io/arch=amd64"}
    },
    "tolerations-ok": {
        "typed": {
            **IMAGE,
            "tolerations": "key=foo,value=bar,operator=Equal,effect=NoSchedule;"
            "key=foo2,operator=Exists;"
            "key=foo3,operator=exists,effect=NoExecute,tolerationSeconds=60",
        }
    },
    "rootless": {"typed": {"rootless": "true"}},
    "pvc": {"typed": {**IMAGE, CLAIM: "1Gi"}},
    "config-flags": {
        "typed": IMAGE,
        "flags": ("--debug", "--oci-worker-gc-keepstorage", "100", *FLAGS),
        "files": {"buildkitd.toml": TOML},
    },
}

DEFAULTS: dict[str, list[Any]] = {
    "status": [{}, {"replicas": 0, "availableReplicas": 0}, {"phase": "Pending"}],
    "strategy": [
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    ],
    "updateStrategy": [{"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}],
    "persistentVolumeClaimRetentionPolicy": [{"whenDeleted": "Retain", "whenScaled": "Retain"}],
    "revisionHistoryLimit": [10],
    "progressDeadlineSeconds": [600],
    "terminationMessagePath": ["/dev/termination-log"],
    "terminationMessagePolicy": ["File"],
    "imagePullPolicy": ["IfNotPresent"],
    "restartPolicy": ["Always"],
    "terminationGracePeriodSeconds": [30],
    "dnsPolicy": ["ClusterFirst"],
    "securityContext": [{}],
    "schedulerName": ["default-scheduler"],
    "defaultMode": [420],
    "volumeMode": ["Filesystem"],
}
"""What the server adds of its own, so that nobody needs to send it."""


def without_defaults(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return [without_defaults(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_defaults(each)
        for name, each in value.items()
        if each not in DEFAULTS.get(name, [])
    }


def created(case: str) -> list[dict[str, Any]]:
    """Give what the reference asked the server to create."""
    recorded = json.loads(REFERENCE.joinpath(f"{case}.json").read_text())
    return [
        without_defaults(each["body"]) for each in recorded["requests"] if each["verb"] == "create"
    ]


def without_owner(body: dict[str, Any]) -> dict[str, Any]:
    """Take away what says whose it is, which the reference says of nothing."""
    metadata = body["metadata"]
    assert metadata["annotations"].pop(BUILDER) == "k"
    assert metadata["annotations"].pop(NODE) == "k0"
    if not metadata["annotations"]:
        del metadata["annotations"]
    return body


def expected(case: str) -> list[dict[str, Any]]:
    bodies = created(case)
    spec = bodies[-1]["spec"]
    for claim in spec.get("volumeClaimTemplates", ()):
        # The server knows what a claim template is.
        assert (claim.pop("kind"), claim.pop("apiVersion")) == ("PersistentVolumeClaim", "v1")
    if case == "requests-limits":
        # The reference puts this one into the limits, where the limit then overwrites it.
        resources = spec["template"]["spec"]["containers"][0]["resources"]
        resources["requests"]["ephemeral-storage"] = "1Gi"
    return bodies


def test_every_recorded_case_is_compared() -> None:
    assert sorted(path.stem for path in REFERENCE.glob("*.json")) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_is_what_the_reference_makes(case: str, make_node: MakeNode) -> None:
    node = make_node(**{"flags": FLAGS, **CASES[case]})

    made = [*manifest.config_maps(node), manifest.workload(node)]

    assert [without_owner(body) for body in made] == expected(case)


def pod(node_spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = node_spec["spec"]["template"]["spec"]
    return found


def mounts(workload: dict[str, Any]) -> dict[str, str]:
    (container,) = pod(workload)["containers"]
    return {each["mountPath"]: each["name"] for each in container.get("volumeMounts", ())}


FILES = {
    "certs/r.example_5000/key.pem": b"\xff\xfe",
    "buildkitd.toml": TOML,
    "certs/a.example/ca.pem": b"one",
}


def test_each_directory_of_files_is_a_config_map_and_they_are_numbered_in_order(
    make_node: MakeNode,
) -> None:
    node = make_node(files=FILES)

    maps = manifest.config_maps(node)

    assert [(each["metadata"]["name"], each.get("data")) for each in maps] == [
        ("k0-config", {"buildkitd.toml": TOML.decode()}),
        ("k0-config-1", {"ca.pem": "one"}),
        ("k0-config-2", None),
    ]
    assert maps[2]["binaryData"] == {"key.pem": "//4="}
    workload = manifest.workload(node)
    assert mounts(workload) == {
        "/etc/buildkit": "config",
        "/etc/buildkit/certs/a.example": "config-1",
        "/etc/buildkit/certs/r.example_5000": "config-2",
    }
    assert pod(workload)["volumes"] == [
        {"name": "config", "configMap": {"name": "k0-config"}},
        {"name": "config-1", "configMap": {"name": "k0-config-1"}},
        {"name": "config-2", "configMap": {"name": "k0-config-2"}},
    ]


def test_files_in_another_order_make_the_same(make_node: MakeNode) -> None:
    node = make_node(files=FILES)
    other = make_node(files=dict(reversed(FILES.items())))

    assert manifest.config_maps(other) == manifest.config_maps(node)
    assert manifest.workload(other) == manifest.workload(node)


@pytest.mark.parametrize(("typed", "is_told"), [("true", True), ("false", False), (None, False)])
def test_buildkit_is_told_about_a_run_of_github_actions_when_that_is_wanted(
    typed: str | None, is_told: bool, make_node: MakeNode, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"number": 7}')
    node = make_node(
        {} if typed is None else {"provenance-add-gha": typed},
        files=FILES,
        variables={
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_EVENT_PATH": str(event),
        },
    )

    maps = {each["metadata"]["name"]: each.get("data", {}) for each in manifest.config_maps(node)}

    assert ("k0-config-3" in maps) is is_told
    if is_told:
        told = json.loads(maps["k0-config-3"]["github_actions_context.json"])
        assert told == {"github_event_name": "push", "github_event_payload": {"number": 7}}
    assert ("/etc/buildkit/provenance.d" in mounts(manifest.workload(node))) is is_told


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"certs/a/my ca.pem": b""}, 'certs/a/my ca.pem .* invalid file name "my ca.pem"'),
        ({"a": b"x" * (1 << 19), "b": b"x" * (1 << 19), "c": b"x"}, "1048577 bytes, at most"),
    ],
)
def test_files_that_fit_into_no_config_map_are_refused(
    files: dict[str, bytes], words: str, make_node: MakeNode
) -> None:
    with pytest.raises(DriverError, match=words):
        manifest.check(make_node(files=files))


def test_a_claim_leaves_the_configuration_mounted(make_node: MakeNode) -> None:
    workload = manifest.workload(make_node({CLAIM: "1Gi"}, files={"buildkitd.toml": TOML}))

    assert mounts(workload) == {"/etc/buildkit": "config", "/var/lib/buildkit": "buildkitd"}
    assert [each["name"] for each in pod(workload)["volumes"]] == ["config"]


def test_the_cache_in_memory_is_a_volume_of_that_size(make_node: MakeNode) -> None:
    workload = manifest.workload(make_node({MEMORY: "1.5Gi"}, files={"buildkitd.toml": TOML}))

    assert mounts(workload) == {"/etc/buildkit": "config", "/var/lib/buildkit": "buildkit-memory"}
    assert pod(workload)["volumes"][1] == {
        "name": "buildkit-memory",
        "emptyDir": {"medium": "Memory", "sizeLimit": "1536Mi"},
    }


def test_a_rootless_cache_in_memory_is_where_rootless_buildkit_has_it(make_node: MakeNode) -> None:
    workload = manifest.workload(make_node({"rootless": "true", MEMORY: "1Gi"}))

    assert mounts(workload) == {"/home/user/.local/share/buildkit": "buildkitd"}
    assert pod(workload)["volumes"] == [
        {"name": "buildkitd", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    ]


def test_a_rootless_claim_is_given_to_the_user_that_buildkit_runs_as(make_node: MakeNode) -> None:
    workload = manifest.workload(make_node({"rootless": "true", CLAIM: "1Gi", "image": "bk"}))

    assert mounts(workload) == {"/home/user/.local/share/buildkit": "buildkitd"}
    assert "volumes" not in pod(workload)
    (first,) = pod(workload)["initContainers"]
    assert first["image"] == "bk"
    assert "chown 1000:1000 /home/user/.local/share/buildkit" in first["command"][-1]
    assert first["volumeMounts"] == [
        {"name": "buildkitd", "mountPath": "/home/user/.local/share/buildkit"}
    ]


def test_rootless_buildkit_is_told_where_its_configuration_is(make_node: MakeNode) -> None:
    files = {"buildkitd.toml": TOML}

    workload = manifest.workload(make_node({"rootless": "1"}, files=files, flags=("--debug",)))

    assert pod(workload)["containers"][0]["args"] == [
        "--config",
        "/etc/buildkit/buildkitd.toml",
        "--debug",
        "--oci-worker-no-process-sandbox",
    ]


@pytest.mark.parametrize(
    ("typed", "image"),
    [
        ({}, "moby/buildkit:buildx-stable-1"),
        ({"image": ""}, "moby/buildkit:buildx-stable-1"),
        ({"rootless": "false"}, "moby/buildkit:buildx-stable-1"),
        ({"rootless": "true"}, "moby/buildkit:buildx-stable-1-rootless"),
        ({"rootless": "true", "image": "other"}, "other"),
    ],
)
def test_the_image_goes_with_the_rights(
    typed: dict[str, str], image: str, make_node: MakeNode
) -> None:
    assert pod(manifest.workload(make_node(typed)))["containers"][0]["image"] == image


@pytest.mark.parametrize(
    ("typed", "image"),
    [({}, "tonistiigi/binfmt:latest"), ({"qemu.image": "mirror.example/binfmt"}, None)],
)
def test_emulators_are_installed_before_buildkit_starts(
    typed: dict[str, str], image: str | None, make_node: MakeNode
) -> None:
    workload = manifest.workload(make_node({"qemu.install": "true", **typed}))

    assert pod(workload)["initContainers"] == [
        {
            "name": "qemu",
            "image": image or "mirror.example/binfmt",
            "args": ["--install", "all"],
            "securityContext": {"privileged": True},
        }
    ]


def test_without_flags_there_are_no_arguments(make_node: MakeNode) -> None:
    assert "args" not in pod(manifest.workload(make_node()))["containers"][0]


def test_account_and_scheduler_are_the_pods(make_node: MakeNode) -> None:
    found = pod(manifest.workload(make_node({"serviceaccount": "sa", "schedulername": "Mine"})))

    assert (found["serviceAccountName"], found["schedulerName"]) == ("sa", "Mine")


def test_platforms_are_told_to_everybody_who_looks_at_the_pods(make_node: MakeNode) -> None:
    platforms = (Platform("linux", "arm64"), Platform("linux", "arm", "v7"))

    workload = manifest.workload(
        make_node({"annotations": "a=b"}, platforms=platforms, files={"buildkitd.toml": TOML})
    )

    wanted = {"buildx.docker.com/platform": "linux/arm64,linux/arm/v7", "a": "b"}
    assert workload["spec"]["template"]["metadata"]["annotations"] == wanted
    assert wanted.items() <= workload["metadata"]["annotations"].items()


def test_a_name_gets_dashes_and_a_selector_that_only_its_pods_have(make_node: MakeNode) -> None:
    node = make_node({"labels": "team=a"}, name="k_b0")

    assert manifest.workload_name(node) == "k-b0"
    assert manifest.selector(node) == {"app": "k-b0", "team": "a"}
    assert manifest.workload(node)["metadata"]["name"] == "k-b0"


def test_a_claim_makes_the_workload_a_stateful_set(make_node: MakeNode) -> None:
    kinds = [manifest.kind(make_node(typed)) for typed in ({}, {CLAIM: ""}, {CLAIM: "1Gi"})]

    assert kinds == ["Deployment", "Deployment", "StatefulSet"]
    assert [manifest.resource(kind)[1] for kind in kinds] == [
        "deployments",
        "deployments",
        "statefulsets",
    ]


def test_what_is_made_may_be_changed_without_changing_what_is_made_next(
    make_node: MakeNode,
) -> None:
    node = make_node(
        {"labels": "a=b", "tolerations": "key=a,operator=Exists", "nodeselector": "c=d"}
    )
    before = json.dumps(manifest.workload(node))

    changed = manifest.workload(node)
    changed["metadata"]["labels"].clear()
    pod(changed)["tolerations"].clear()
    pod(changed)["nodeSelector"].clear()
    pod(changed)["containers"][0]["readinessProbe"]["exec"].clear()

    assert json.dumps(manifest.workload(node)) == before
    assert changed["spec"]["selector"] == {"matchLabels": {"app": "k0", "a": "b"}}
    assert pod(changed)["containers"][0]["livenessProbe"]["exec"]
