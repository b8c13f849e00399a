"""The life of a builder in a cluster, and real builds in pods: containers on a real engine."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli, end, wait_for
from support.cluster_bench import cluster_cli
from support.engines import ScratchContext
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import module_cluster
from support.registry import Registry

__all__ = ["module_cluster"]

WARNING = "WARNING: No output specified with kubernetes driver. "
CLAIM = "--driver-opt=persistent-volume-claim.requests.storage=1Gi"
STEP = 'RUN ["/bin/busybox", "echo", "built"]'


@attrs.frozen(kw_only=True)
class Yard:
    """A place to make builders in."""

    cluster: Cluster
    cli: Cli
    engine: Engine
    image: str
    template: Path
    """Puts pods where the test's registry can be reached: on the machine's own network."""

    def create(self, *flags: str, name: str = "") -> str:
        """Make a builder that has not booted yet, and give its name."""
        name = name or f"k{uuid4().hex[:6]}"
        options = f"image={self.image},template={self.template}"
        self.cli.ok(
            "create", "--name", name, "--driver", "kubernetes", "--driver-opt", options, *flags
        )
        return name

    def pods(self, name: str) -> list[str]:
        return sorted(pod for pod in self.cluster.pods() if pod.startswith(f"{name}0-"))

    def left_behind(self, name: str) -> list[str]:
        return [thing for thing in self.cluster.leftovers() if f"{name}0" in thing]

    def asked(self, since: int) -> list[str]:
        """Give the verbs and resources of all requests since there were so many."""
        requests = self.cluster.requests[since:]
        return [f"{each.verb} {each.attempt.target}" for each in requests if each.attempt]

    def object(self, kind: str, name: str) -> dict[str, Any]:
        found = self.cluster.item(kind, name)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def yard(
    module_cluster: Cluster,
    engine_26: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Yard:
    home = tmp_path_factory.mktemp("home")
    template = home / "template.yaml"
    template.write_text("spec:\n  hostNetwork: true\n")
    return Yard(
        cluster=module_cluster,
        cli=cluster_cli(home, engine_26.host, module_cluster.kubeconfig),
        engine=engine_26,
        image=module_cluster.image,
        template=template,
    )


@pytest.fixture(scope="module")
def booted(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A builder with two pods that run, with a configuration. Only looked at and built with."""
    config = tmp_path_factory.mktemp("config") / "buildkitd.toml"
    config.write_text("debug = true\n")
    name = yard.create(
        *("--bootstrap", "--driver-opt=replicas=2", f"--buildkitd-config={config}"),
        "--platform=linux/amd64,linux/riscv64",
    )
    yield name
    yard.cli.ok("rm", name)


# --- from the first build to the removal -------------------------------------------------------


def boot_slowly(yard: Yard, *arguments: str | Path) -> str:
    """Run a command whose pods are ready only when it has seen BuildKit start; give its words."""
    if not yard.cluster.is_double:
        return yard.cli.ok(*arguments).err
    yard.cluster.hold()
    process = yard.cli.start(*arguments)
    try:
        said = wait_for(process, b" has started BuildKit")
        yard.cluster.hold(on=False)
        assert process.stderr is not None
        said += process.stderr.read()
        assert process.wait(60) == 0, said
    finally:
        yard.cluster.hold(on=False)
        end(process)
    return said.decode()


def test_a_builder_s_life(yard: Yard, scratch_context: ScratchContext) -> None:
    name = yard.create()
    context = scratch_context(STEP)

    first = boot_slowly(yard, "build", "--progress=plain", "--builder", name, context)

    (pod,) = yard.pods(name)
    assert re.match(
        rf'#0 building with "{name}" instance using kubernetes driver\n\n'
        r"#1 \[internal\] booting buildkit\n"
        rf"#1 creating {name}0( \d+\.\ds)?( done)?\n"
        r"(.|\n)*#1 waiting for 1 pods to be ready, timeout: 2 minutes\n"
        rf"(.|\n)*#1 pod {pod} has started BuildKit( |\n)"
        rf"(.|\n)*#1 pod {pod} is ready( \d+\.\ds)? done\n"
        r"(.|\n)*#1 1 of 1 pods ready( \d+\.\ds)? done\n"
        r"(.|\n)*#1 DONE \d+\.\ds\n\n"
        r"#2 \[internal\] load ",
        first,
    ), first
    assert WARNING in first
    since = len(yard.cluster.requests)

    again = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert "booting" not in again.err
    assert "CACHED" in again.err
    asked = yard.asked(since)
    assert asked.count("list pods") <= 2
    assert {each.split()[1] for each in asked} == {"pods", "pods/exec"}

    yard.cli.ok("stop", name)
    yard.cli.ok("stop", name)

    yard.cluster.wait(lambda: yard.pods(name) == [])
    assert f"{name}0 stopped\n" in yard.cli.ok("ls", "--format", "{{.Name}} {{.Status}}").out

    third = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert f"#1 scaling deployment {name}0 up to 1" in third.err
    assert yard.pods(name) != [pod]

    removed = yard.cli.ok("rm", name)

    assert removed.err == f"{name} removed\n"
    assert yard.left_behind(name) == []


def test_claims_keep_the_cache_until_they_are_removed(
    yard: Yard, scratch_context: ScratchContext
) -> None:
    name = yard.create(CLAIM)
    context = scratch_context(STEP)
    yard.cli.ok("build", "--builder", name, context)

    yard.cli.ok("stop", name)
    stopped = yard.cli.ok("build", "--progress=plain", "--builder", name, context)
    yard.cli.ok("rm", "--keep-state", name)
    kept = yard.left_behind(name)
    yard.create(CLAIM, name=name)
    anew = yard.cli.ok("build", "--progress=plain", "--builder", name, context)
    yard.cli.ok("rm", name)

    assert f"#1 scaling stateful set {name}0 up to 1" in stopped.err
    assert "CACHED" in stopped.err
    assert kept == [f"persistentvolumeclaims/buildkitd-{name}0-0"]
    assert "CACHED" in anew.err
    yard.cluster.wait(lambda: not yard.left_behind(name))


def test_an_update_keeps_the_cache_of_claims_and_says_when_there_is_none(
    yard: Yard, scratch_context: ScratchContext
) -> None:
    name = yard.create("--bootstrap")
    context = scratch_context(STEP)

    refused = yard.cli.refused("update", name, "--driver-opt=limits.memory=4Gi")
    yard.cli.ok(
        *("update", name, "--allow-cache-loss", "--driver-opt"),
        "persistent-volume-claim.requests.storage=1Gi",
    )
    yard.cli.ok("build", "--builder", name, context)
    done = yard.cli.ok("update", name, "--driver-opt=limits.memory=4Gi")
    again = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert f"making node {name}0 anew would lose its build cache" in refused
    assert yard.cluster.item("deployments", f"{name}0") is None
    assert "its build cache is kept" in done.out
    assert "CACHED" in again.err
    limits = yard.object("pods", f"{name}0-0")["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "4Gi"}
    yard.cli.ok("rm", name)
    yard.cluster.wait(lambda: not yard.left_behind(name))


def test_what_is_half_gone_is_removed(yard: Yard, tmp_path: Path) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    name = yard.create(CLAIM, f"--buildkitd-config={config}", "--bootstrap")
    yard.cluster.delete("statefulsets", f"{name}0", propagationPolicy="Orphan")
    yard.cluster.delete("pods", f"{name}0-0")

    yard.cli.ok("rm", name)

    yard.cluster.wait(lambda: not yard.left_behind(name))


def test_a_configuration_goes_with_its_workload_whoever_removes_that(
    yard: Yard, tmp_path: Path
) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    name = yard.create(f"--buildkitd-config={config}", "--bootstrap")
    assert yard.object("configmaps", f"{name}0-config")["data"] == {
        "buildkitd.toml": "debug = true\n"
    }

    yard.cluster.delete("deployments", f"{name}0")

    yard.cluster.wait(lambda: not yard.left_behind(name))
    yard.cli.ok("rm", name)


def test_a_kept_daemon_runs_on_and_is_used_again(
    yard: Yard, scratch_context: ScratchContext
) -> None:
    name = yard.create("--bootstrap")
    pods = yard.pods(name)

    yard.cli.ok("rm", "--keep-daemon", name)
    yard.create(name=name)

    assert "booting" not in yard.cli.ok("build", "--builder", name, scratch_context()).err
    assert yard.pods(name) == pods
    yard.cli.ok("rm", name)


# --- builds ------------------------------------------------------------------------------------


def test_a_build_ends_in_an_oci_archive(
    yard: Yard, booted: str, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    dest = tmp_path / "image.tar"

    yard.cli.ok("build", "--builder", booted, "-o", f"type=oci,dest={dest}", scratch_context(STEP))

    with tarfile.open(dest) as archive:
        assert "oci-layout" in archive.getnames()


def test_a_build_is_loaded_into_the_engine(
    yard: Yard, booted: str, scratch_context: ScratchContext
) -> None:
    tag = f"{booted}:{uuid4().hex[:6]}"

    yard.cli.ok("build", "--builder", booted, "--load", "-t", tag, scratch_context(STEP))

    try:
        ran = yard.engine.docker("run", "--rm", tag, "/bin/busybox", "echo", "runs")
    finally:
        yard.engine.docker("image", "rm", "--force", tag)
    assert ran.stdout == "runs\n"


def test_a_cache_goes_to_a_registry_and_comes_back(
    yard: Yard, booted: str, scratch_context: ScratchContext, registry: Registry
) -> None:
    place = f"type=registry,ref={registry.address}/{booted}/{uuid4().hex[:6]}:cache"
    context = scratch_context(STEP)
    yard.cli.ok("build", "--builder", booted, "--cache-to", f"{place},mode=max", context)
    other = yard.create()

    flags = ("--cache-from", place, "-o", "type=cacheonly", "--progress=plain")
    done = yard.cli.ok("build", "--builder", other, *flags, context)
    yard.cli.ok("rm", other)

    assert "importing cache manifest" in done.err
    assert done.err.count("CACHED") >= 2


def test_large_output_comes_back_whole(
    yard: Yard, booted: str, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    fill = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=24"]'
    total = 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox sha256sum < /big > /sum"]'

    yard.cli.ok(
        *("build", "--builder", booted, "-o", f"type=local,dest={tmp_path}/out"),
        scratch_context(fill, total),
    )

    import hashlib

    found = hashlib.sha256((tmp_path / "out/big").read_bytes()).hexdigest()
    assert (tmp_path / "out/sum").read_text().split()[0] == found


# --- several pods ------------------------------------------------------------------------------


def where(yard: Yard, builder: str, context: Path, tmp_path: Path) -> str:
    """Build, and name the pod that did it."""
    since = len(yard.cluster.requests)
    yard.cli.ok("build", "--builder", builder, context)
    uris = [
        each.uri
        for each in yard.cluster.requests[since:]
        if each.attempt and each.attempt.target == "pods/exec" and "dial-stdio" in each.uri
    ]
    found: set[str] = {re.findall(r"/pods/([^/]+)/exec", uri)[0] for uri in uris}
    assert len(found) == 1, uris
    return found.pop()


def test_sticky_builds_of_one_place_go_to_one_pod(
    yard: Yard, booted: str, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    from dockyard_kubernetes.ring import next_on_ring

    pods = yard.pods(booted)
    contexts: dict[str, Path] = {}
    while len(contexts) < 2:
        context = scratch_context()
        contexts.setdefault(next_on_ring(str(context), pods), context)

    for pod, context in contexts.items():
        assert where(yard, booted, context, tmp_path) == pod
        assert where(yard, booted, context, tmp_path) == pod


def test_random_builds_go_to_all_pods(
    yard: Yard, booted: str, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    name = f"r{uuid4().hex[:6]}"
    # Another builder's record for the same pods: how they are chosen is looked at each time.
    node = ("--node", f"{booted}0", "--driver-opt", f"image={yard.image},loadbalance=random")
    yard.cli.ok("create", "--name", name, "--driver", "kubernetes", *node)
    context = scratch_context()

    seen = set()
    for _ in range(20):  # that one pod has all of them happens once in 500 000 times
        seen.add(where(yard, name, context, tmp_path))
        if len(seen) == 2:
            break

    yard.cli.ok("rm", "--keep-daemon", name)
    assert seen == set(yard.pods(booted))


def test_a_pod_that_ends_or_is_not_ready_is_not_chosen(
    yard: Yard, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    name = yard.create("--bootstrap", CLAIM, "--driver-opt=replicas=2")
    first, second = yard.pods(name)
    yard.cluster.unschedulable("nowhere")
    yard.cluster.delete_pod(first, grace=0)
    yard.cluster.wait(
        lambda: (
            not yard.object("pods", first).get("spec", {}).get("nodeName")
            if yard.cluster.item("pods", first)
            else False
        )
    )

    try:
        found = {where(yard, name, scratch_context(), tmp_path) for _ in range(3)}
    finally:
        yard.cluster.unschedulable()
        yard.cli.ok("rm", name)

    assert found == {second}


# --- several nodes -----------------------------------------------------------------------------


def test_two_workloads_are_one_builder(
    yard: Yard, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    name = yard.create("--platform=linux/amd64")
    options = f"image={yard.image},template={yard.template}"
    yard.cli.ok(
        *("create", "--append", "--name", name, "--driver", "kubernetes"),
        *("--driver-opt", options, "--platform=linux/arm64"),
    )
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    dest = tmp_path / "image.tar"

    yard.cli.ok(
        *("build", "--builder", name, "--platform", "linux/amd64,linux/arm64"),
        *("-o", f"type=oci,dest={dest}", context),
    )
    listed = yard.cli.ok("ls", "--format", "{{.Name}} {{.Platforms}}").out
    kinds = [each["metadata"]["name"] for each in yard.cluster.items("deployments")]
    yard.cli.ok("rm", name)

    with tarfile.open(dest) as archive:
        file = archive.extractfile("index.json")
        assert file is not None
        assert json.load(file)["manifests"]
    assert {f"{name}0", f"{name}1"} <= set(kinds)
    assert re.search(rf"^{name}1-\S+ linux/arm64\*", listed, re.MULTILINE), listed
    yard.cluster.wait(lambda: not [x for x in yard.cluster.leftovers() if name in x])


# --- what is shown and made --------------------------------------------------------------------


def test_ls_and_inspect_show_each_pod(yard: Yard, booted: str) -> None:
    listed = yard.cli.ok("ls").out
    shown = yard.cli.ok("inspect", booted).out

    for pod in yard.pods(booted):
        assert re.search(rf"^ \\_ {pod} +\\_ +running +v\S+ +linux/amd64", listed, re.MULTILINE)
        assert re.search(rf"^Name: +{pod}$", shown, re.MULTILINE)
    assert re.search(r"^Platforms: +linux/amd64\*, linux/riscv64\*", shown, re.MULTILINE)
    assert "Status: " in shown
    assert "running" in shown


def test_everything_says_whose_it_is(yard: Yard, booted: str) -> None:
    for kind, name in (("deployments", f"{booted}0"), ("configmaps", f"{booted}0-config")):
        notes = yard.object(kind, name)["metadata"]["annotations"]
        assert notes["dev.dockyard.builder"] == booted
        assert notes["dev.dockyard.node"] == f"{booted}0"
    (owner,) = yard.object("configmaps", f"{booted}0-config")["metadata"]["ownerReferences"]
    assert owner["uid"] == yard.object("deployments", f"{booted}0")["metadata"]["uid"]


def test_a_running_builder_is_not_inactive(yard: Yard, booted: str) -> None:
    inactive = yard.create()

    done = yard.cli.ok("rm", "--all-inactive", "--force")

    assert f"{inactive} removed\n" in done.err
    assert booted not in done.err
    assert len(yard.pods(booted)) == 2
