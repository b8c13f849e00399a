"""What goes wrong with a builder in a cluster: a clear error in seconds, and nothing left.

Each fault is recorded with the seconds until it was reported and the words; the table is printed
at the end of the module.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from tools.engine import Engine

from support.cli import end, wait_for
from support.cluster_bench import ClusterBench, cluster_cli
from support.engines import ScratchContext
from support.faults import SECONDS, Report, report
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import cluster

__all__ = ["cluster", "report"]

POINTS = (
    b"",
    b"building with",
    b"[internal] load build definition",
    b"[internal] load .dockerignore",
    b"[internal] load build context",
    b"part 0",
    b"part 1",
    b"part 2",
    b"part 3",
    b"exporting to client directory",
)
"""The moments of a build at which its pod is killed: when it has said this, and at its start."""
SILENCE = 40.0
"""Within what a connection that says nothing any more is given up."""
SLEEP = 'RUN ["/bin/busybox", "sh", "-c", "echo begun; exec /bin/busybox sleep 1000"]'
PARTS = (
    'RUN ["/bin/busybox", "sh", "-c", "for i in 0 1 2 3; do echo part $i of {}; '
    '[ $i = {} ] && exec /bin/busybox sleep 1000; /bin/busybox sleep 0.1; done"]'
)
"""A step in parts, at one of which it stays; each build's is another."""
CLAIM = "--driver-opt=persistent-volume-claim.requests.storage=1Gi"
SHORT = "--driver-opt=timeout=4s"
BACK_OFF = 10.0 + 20.0
"""For how long a real node waits before a container that ended is started the third time."""


@pytest.fixture
def bench(
    cluster: Cluster,
    engine_26: Engine,
    report: Report,
    tmp_path: Path,
) -> ClusterBench:
    home = tmp_path / "home"
    home.mkdir()
    return ClusterBench(
        cli=cluster_cli(home, engine_26.host, cluster.kubeconfig),
        engine=engine_26,
        image=cluster.image,
        report=report,
        prefix="f",
        cluster=cluster,
    )


# --- why pods do not get ready -----------------------------------------------------------------


class Obstacle(NamedTuple):
    """Something that keeps pods from being ready."""

    name: str
    cause: Callable[[Cluster], object]
    words: tuple[str, ...]
    """What the error has to say."""
    flags: tuple[str, ...] = ()
    backs_off: bool = False
    """Whether it is known only when a container has ended several times."""


def require_nothing(cluster: Cluster) -> None:
    """Change nothing: the builder's own settings are the obstacle."""


OBSTACLES = [
    Obstacle(
        "unschedulable",
        lambda cluster: cluster.unschedulable("0/3 nodes are available: 3 Insufficient memory."),
        ("cannot be scheduled", "0/3 nodes are available: 3 Insufficient memory."),
        (SHORT,),
    ),
    Obstacle(
        "no machine with such labels",
        require_nothing,
        ("cannot be scheduled", "didn't match Pod's node affinity/selector", "nodeselector"),
        (SHORT, "--driver-opt=nodeselector=disk=none"),
    ),
    Obstacle(
        "a tainted machine",
        lambda cluster: cluster.taint("team", "other"),
        ("cannot be scheduled", "untolerated taint", "tolerations"),
        (SHORT,),
    ),
    Obstacle(
        "more than a machine has",
        require_nothing,
        ("cannot be scheduled", "Insufficient cpu"),
        (SHORT, "--driver-opt=requests.cpu=900"),
    ),
    Obstacle(
        "an image that is not there",
        lambda cluster: cluster.pull_error("manifest unknown"),
        ("cannot pull image", "manifest unknown", "--driver-opt image=NAME"),
    ),
    Obstacle(
        "a registry that wants a login",
        lambda cluster: cluster.pull_error("pull access denied, may require authorization"),
        ("cannot pull image", "pull access denied", "imagePullSecrets"),
    ),
    Obstacle(
        "a quota",
        lambda cluster: cluster.quota("few", pods="0"),
        ("no pod can be made", "exceeded quota: few", "replicas"),
    ),
    Obstacle(
        "a quota, and claims",
        lambda cluster: cluster.quota("few", pods="0"),
        ("no pod can be made", "exceeded quota: few"),
        (CLAIM,),
    ),
    Obstacle(
        "pod security",
        lambda cluster: cluster.pod_security("baseline"),
        ("no pod can be made", 'violates PodSecurity "baseline:latest"', "privileged"),
    ),
    Obstacle(
        "a service account that is not there",
        require_nothing,
        ("no pod can be made", 'serviceaccount "nobody" not found', "create serviceaccount"),
        ("--driver-opt=serviceaccount=nobody",),
    ),
    Obstacle(
        "a crash loop",
        lambda cluster: cluster.crash("no luck today"),
        ("container buildkitd of pod", "ended 3 times", "exit code 1", "no luck today"),
    ),
    Obstacle(
        "a flag that buildkitd does not know",
        require_nothing,
        ("container buildkitd of pod", "ended 3 times", "  buildkitd: flag provided but not"),
        ("--buildkitd-flags=--no-such-flag",),
        backs_off=True,
    ),
    Obstacle(
        "a claim that is not bound",
        lambda cluster: cluster.storage(there=False),
        ("cannot be scheduled", "unbound immediate PersistentVolumeClaims", "no storage class"),
        (SHORT, CLAIM),
    ),
    Obstacle(
        "a provisioner that fails",
        lambda cluster: cluster.storage(error="disk quota used up"),
        ("cannot be scheduled", "unbound immediate PersistentVolumeClaims", "disk quota used up"),
        (SHORT, CLAIM),
    ),
    Obstacle(
        "a policy of the cluster",
        lambda cluster: cluster.faults.status(403, "create", "deployments"),
        ("refused to create deployments.apps", "admission webhook", "policy.example.com"),
    ),
    Obstacle(
        "a namespace that does not exist",
        require_nothing,
        ('namespaces "nowhere" not found', "kubectl create namespace nowhere"),
        ("--driver-opt=namespace=nowhere",),
    ),
    Obstacle(
        "a time limit",
        lambda cluster: cluster.pull_error("net/http: TLS handshake timeout"),
        ("expected 1 replicas to be ready, got 0", "TLS handshake timeout"),
        (SHORT,),
    ),
]


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda each: each.name)
def test_why_pods_do_not_get_ready(bench: ClusterBench, obstacle: Obstacle) -> None:
    obstacle.cause(bench.cluster)
    name = bench.create(*obstacle.flags)

    waits = obstacle.backs_off and not bench.cluster.is_double
    within = 2 * SECONDS + (BACK_OFF if waits else 0)
    error = bench.fails(obstacle.name, "build", "--builder", name, "-", within=within)

    assert error.startswith("failed to build: ")
    assert [words for words in obstacle.words if words not in error] == [], error
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_a_probe_that_never_succeeds(bench: ClusterBench, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        "spec:\n  containers:\n  - name: buildkitd\n    readinessProbe:\n"
        "      initialDelaySeconds: 0\n      periodSeconds: 1\n"
        "      exec: {command: [buildctl, no-such-command]}\n"
    )
    name = bench.create("--driver-opt", f"template={template},timeout=10s")

    error = bench.fails(
        "a probe that never succeeds", "build", "--builder", name, "-", within=2 * SECONDS + 6
    )

    assert "does not answer yet: Readiness probe failed" in error
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_what_was_made_stays_when_that_is_wanted(bench: ClusterBench) -> None:
    bench.cluster.quota("few", pods="0")
    name = bench.create("--driver-opt", "keep-failed=true")

    bench.fails("a quota, and keep-failed", "build", "--builder", name, "-", within=2 * SECONDS)
    kept = bench.left_behind(name)
    bench.cli.ok("rm", name)

    assert f"deployments/{name}0" in kept
    bench.cluster.wait(lambda: not bench.left_behind(name))


# --- the cluster and who we are ----------------------------------------------------------------


def test_a_context_that_does_not_exist(bench: ClusterBench) -> None:
    name = bench.new_name()

    error = bench.fails(
        "wrong context", "create", *bench.creation(name), "--driver-opt", "context=nowhere"
    )

    assert '"nowhere"' in error or "'nowhere'" in error
    assert name not in bench.cli.ok("ls", "--format", "{{.Name}}").out


@pytest.mark.parametrize(
    ("kubeconfig", "words"),
    [("", "requires kubernetes API access"), ("/no/such/file", "no such file: /no/such/file")],
    ids=["nothing", "missing"],
)
def test_no_cluster_at_all(bench: ClusterBench, kubeconfig: str, words: str) -> None:
    bench.cli.variables["KUBECONFIG"] = kubeconfig
    name = bench.new_name()

    error = bench.fails("no kubeconfig", "create", *bench.creation(name))

    assert words in error


def test_an_api_server_that_does_not_listen(bench: ClusterBench) -> None:
    stop = bench.cluster.stop
    name = bench.create()
    stop()

    error = bench.fails("no API server", "build", "--builder", name, "-")
    shown = bench.cli.ok("inspect", name).out
    kept = bench.cli.ok("rm", "--all-inactive", "--force").err
    other = bench.create()

    assert bench.cluster.url in error
    assert re.search(rf"Reason: .*{bench.cluster.url}", shown)
    assert f"{name} is kept, because it may be running: " in kept
    bench.cluster.start()
    bench.cli.ok("rm", name, other)


def test_a_token_that_has_expired(bench: ClusterBench) -> None:
    user = bench.cluster.add_user("gone")
    other = bench.as_user("gone", bench.cluster.write_kubeconfig("gone", user=user))
    del bench.cluster.users[user.token]

    error = other.fails("expired token", "create", *other.creation(other.new_name()))

    assert "Unauthorized" in error
    assert "log in to the cluster again" in error
    assert user.token not in error


def test_an_api_server_that_is_overrun_is_asked_again(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    bench.cluster.faults.status(429, "create", "deployments", times=1)
    bench.cluster.faults.status(503, "list", "pods", times=1)

    bench.cli.ok("build", "--builder", name, scratch_context())


def test_an_answer_that_was_lost_leaves_nothing(bench: ClusterBench) -> None:
    name = bench.create()
    bench.cluster.faults.lose("create", "deployments")

    error = bench.fails("answer to create lost", "build", "--builder", name, "-")

    assert bench.cluster.url in error
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_a_watch_that_has_to_begin_anew(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    bench.cluster.faults.watch_gone_after = 2
    bench.cluster.faults.gone(times=2)

    bench.cli.ok("build", "--builder", name, scratch_context())


# --- pods that end -----------------------------------------------------------------------------


def way_to_end(cluster: Cluster, how: str) -> Callable[[str], object]:
    """Give one of several ways to end a pod by force; skips where a cluster does not have it."""
    if how == "deleted":
        return cluster.delete_pod
    if how == "gone":
        return partial(cluster.delete_pod, grace=0)
    if how == "evicted":
        return cluster.evict
    return partial(cluster.kill_container, out_of_memory=how == "out of memory")


WORDS = {
    "deleted": ("is being deleted", "is gone"),
    # The last a real server tells of a pod is that it was being deleted.
    "gone": ("is gone", "is being deleted"),
    "evicted": ("Evicted",),
    "killed": ("exit code 137",),
    "out of memory": ("out of memory",),
}


@pytest.mark.parametrize("how", WORDS)
def test_a_pod_that_ends_during_a_build(
    bench: ClusterBench, scratch_context: ScratchContext, how: str
) -> None:
    end_pod = way_to_end(bench.cluster, how)
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun")
    pod = bench.pod(name)

    error = bench.breaks(f"pod {how} during a build", process, partial(end_pod, pod))

    assert error.startswith("failed to build: ")
    assert f"pod {pod} " in error
    assert any(words in error for words in WORDS[how]), error


@pytest.mark.timeout(590)  # ten builds, and ten boots
def test_a_pod_killed_at_any_point_of_a_build_is_named(
    bench: ClusterBench, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    ways = [way_to_end(bench.cluster, "gone")]
    if bench.cluster.is_double:
        ways.append(way_to_end(bench.cluster, "killed"))
    name = bench.create()
    bench.cli.ok("inspect", "--bootstrap", name)
    named = []

    ended: tuple[str, int] | None = None
    for number, (point, end_pod) in enumerate(zip(POINTS, cycle(ways), strict=False)):
        pod, starts = bench.ready_pod(name, after=ended)
        context = scratch_context(PARTS.format(number, point.decode()[-1:] or "none"))
        process = bench.cli.start(
            *("build", "--builder", name, "--progress=plain"),
            *("-o", f"type=local,dest={tmp_path / str(number)}", context),
        )
        try:
            if point:
                wait_for(process, point)
            began = time.monotonic()
            end_pod(pod)
            ended = pod, starts
            err = process.communicate(timeout=90)[1].decode(errors="replace")
        finally:
            end(process)
        if process.returncode == 0:  # it went on in the next pod, or needed this one no more
            continue
        taken = time.monotonic() - began
        assert taken < 2 * SECONDS
        assert "Traceback" not in err, err
        words = err.rpartition("ERROR: ")[2].strip()
        bench.report.add(f"pod killed at {point.decode()!r} of a build", taken, words)
        assert pod in words or "no running buildkit pods found" in words, err
        named.append(point)

    assert set(named) >= {point for point in POINTS if point.startswith(b"part ")}, named
    bench.cli.ok("rm", name)
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_a_pod_that_ends_during_boot(bench: ClusterBench) -> None:
    bench.cluster.pull_error("manifest unknown")
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, "-")
    bench.await_pod(name)

    error = bench.breaks(
        "workload removed during boot",
        process,
        lambda: bench.cluster.delete("deployments", f"{name}0"),
        within=2 * SECONDS,
    )

    assert f"{name}0" in error
    bench.cluster.wait(lambda: not bench.left_behind(name))


# --- the connection ----------------------------------------------------------------------------


def test_a_stream_that_is_cut_during_a_build(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    cut = bench.cluster.cut
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun")

    error = bench.breaks("stream cut during a build", process, cut)

    assert error.startswith("failed to build: lost the connection to BuildKit")
    assert re.search(r"pod \S+ runs on: it was the way to it that broke", error)
    bench.cli.ok("rm", name)
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_a_stream_that_falls_silent_is_noticed(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    faults = bench.cluster.faults
    name = bench.create()
    bench.cli.ok("inspect", "--bootstrap", name)
    faults.exec_deaf = True

    error = bench.fails(
        "half-open stream", "build", "--builder", name, str(scratch_context()), within=SILENCE
    )

    assert error


def test_an_api_server_that_goes_during_a_build(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    stop = bench.cluster.stop
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun")

    error = bench.breaks("API server stopped during a build", process, stop)
    bench.cluster.start()
    again = bench.cli.run("build", "--builder", name, scratch_context())
    bench.cli.ok("rm", name)

    assert error.startswith("failed to build: lost the connection to BuildKit")
    assert bench.cluster.url in error
    assert again.code == 0, again.err
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_an_api_server_that_restarts_during_boot(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    # One that has just started does not know yet what anybody but its administrators may do.
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    user = bench.cluster.add_user("somebody", rules)
    bench = bench.as_user("somebody", bench.cluster.write_kubeconfig("somebody", user=user))
    bench.cluster.unschedulable("not yet")
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context())
    bench.await_pod(name)
    watched = ("deployments", "pods", "events")
    bench.cluster.wait(lambda: all(bench.cluster.watches(each) for each in watched))
    bench.cluster.stop()
    bench.cluster.unschedulable()
    bench.cluster.start(cold=1.5)

    _, err = process.communicate(timeout=90)

    assert process.returncode == 0, err


@pytest.mark.parametrize("times", [2, 9])
def test_a_pod_that_cannot_be_reached_at_once_is_tried_again(
    bench: ClusterBench, scratch_context: ScratchContext, times: int
) -> None:
    faults = bench.cluster.faults
    name = bench.create()
    bench.cli.ok("inspect", "--bootstrap", name)
    pod = bench.pod(name)
    words = "error dialing backend: remote error: tls: internal error"
    faults.status(500, "get", "pods/exec", message=words, times=times)
    faults.status(500, "create", "pods/exec", message=words, times=times)

    began = time.monotonic()
    done = bench.cli.run("build", "--progress=plain", "--builder", name, scratch_context())

    assert f"Transient connection error to pod {pod} (attempt 1/5): " in done.err
    if times == 2:
        assert done.code == 0, done.err
        return
    error = bench.record("pod unreachable", done, time.monotonic() - began, 20.0)
    assert f"failed to connect to pod {pod} after 5 attempts: " in error
    assert "tls: internal error" in error


# --- names that are taken ----------------------------------------------------------------------


def test_a_workload_of_that_name_that_is_not_ours(bench: ClusterBench) -> None:
    name = bench.new_name()
    pods = {
        "metadata": {"labels": {"app": f"{name}0"}},
        "spec": {"containers": [{"name": "web", "image": bench.image}]},
    }
    made = bench.cluster.create(
        "deployments",
        {
            "metadata": {"name": f"{name}0"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": f"{name}0"}},
                "template": pods,
            },
        },
    )

    error = bench.fails("somebody else's workload", "create", *bench.creation(name))

    assert "is there already and not this builder's" in error
    found = bench.cluster.item("deployments", f"{name}0")
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert found["spec"] == made["spec"]


def test_a_config_map_of_that_name_that_is_not_ours(bench: ClusterBench, tmp_path: Path) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    name = bench.create("--buildkitd-config", str(config))
    foreign = {"metadata": {"name": f"{name}0-config"}, "data": {"secret": "sauce"}}
    bench.cluster.create("configmaps", foreign)

    error = bench.fails("somebody else's config map", "build", "--builder", name, "-")
    bench.cli.ok("rm", name)

    assert f"config map '{name}0-config'" in error
    assert "not this builder's" in error
    found = bench.cluster.item("configmaps", f"{name}0-config")
    assert found is not None
    assert found["data"] == {"secret": "sauce"}


@pytest.mark.parametrize("length", [62, 63, 64, 200])
def test_a_name_that_is_too_long_is_refused_before_anything_exists(
    bench: ClusterBench, length: int
) -> None:
    name = "f".ljust(length - 1, "x")  # and the node's has one more

    done = bench.cli.run("create", *bench.creation(name))

    if length <= 63:
        assert done.code == 0, done.err
    else:
        assert "too long" in bench.record(f"node name of {length} letters", done, 0)
    assert bench.cluster.leftovers() == []


# --- the client is killed ----------------------------------------------------------------------


def has_one(bench: ClusterBench, kind: str, name: str) -> bool:
    return any(name in each["metadata"]["name"] for each in bench.cluster.items(kind))


def is_gone(bench: ClusterBench, name: str) -> bool:
    return not bench.left_behind(name)


@pytest.mark.parametrize("flags", [(), (CLAIM,)], ids=["deployment", "claims"])
def test_a_client_killed_during_boot_leaves_nothing_that_rm_does_not_remove(
    bench: ClusterBench, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    for kind in ("configmaps", "statefulsets" if flags else "deployments", "pods"):
        name = bench.create("--buildkitd-config", str(config), *flags)
        process = bench.cli.start("build", "--builder", name, "-")
        bench.cluster.wait(partial(has_one, bench, kind, name))
        end(process)
        bench.cli.ok("rm", name)
        bench.cluster.wait(partial(is_gone, bench, name), f"all that {kind} came to be gone")


def test_a_boot_that_is_interrupted_takes_back_what_it_made(bench: ClusterBench) -> None:
    bench.cluster.unschedulable("not today")
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, "-")
    bench.await_pod(name)

    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    taken = time.monotonic() - began

    bench.report.add("interrupted during boot", taken, err.decode().rpartition("ERROR: ")[2])
    assert process.returncode == 130, err
    assert taken < SECONDS
    bench.cluster.wait(lambda: not bench.left_behind(name))


def test_two_processes_boot_one_builder_at_once(
    bench: ClusterBench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    processes = [
        bench.cli.start("build", "--builder", name, scratch_context(f"RUN echo {number}"))
        for number in range(2)
    ]
    ends = [(process.communicate(timeout=90)[1], process.returncode) for process in processes]

    assert [code for _, code in ends] == [0, 0], ends
    assert len(bench.cluster.pods()) == 1
