"""Builders in a cluster, things that go wrong with them, and a record of those."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from support.cli import Cli, Finished
from support.faults import Bench
from support.kubernetes.cluster import Cluster
from support.kubernetes.workload import is_ready


@attrs.frozen(kw_only=True)
class ClusterBench(Bench):
    """A place to make builders in a cluster, break them, and look at what is left of them."""

    cluster: Cluster

    def creation(self, name: str, image: str = "") -> list[str]:
        """Give the arguments of ``create`` for a builder."""
        chosen = f"image={image or self.image}"
        return ["--name", name, "--driver", "kubernetes", "--driver-opt", chosen]

    def as_user(self, name: str, kubeconfig: Path) -> ClusterBench:
        """Give the same bench for another kubeconfig, and a home of its own."""
        home = self.cli.home.with_name(f"home-{name}")
        home.mkdir(exist_ok=True)
        return attrs.evolve(self, cli=cluster_cli(home, self.cli.docker_host, kubeconfig))

    def pod(self, name: str) -> str:
        """Give the one pod of a builder."""
        (found,) = [pod for pod in self.cluster.pods() if pod.startswith(f"{name}0-")]
        return found

    def left_behind(self, name: str) -> list[str]:
        """Name what is in the cluster and on its machine because of a builder."""
        return [thing for thing in self.cluster.leftovers() if f"{name}0" in thing]

    def await_pod(self, name: str) -> str:
        """Wait until a builder has a pod that was begun with, and name it."""

        def begun() -> bool:
            return any(pod.startswith(f"{name}0-") for pod in self.cluster.pods())

        self.cluster.wait(begun, f"a pod of {name}")
        return self.pod(name)

    def ready_pod(self, name: str, *, after: tuple[str, int] | None = None) -> tuple[str, int]:
        """Wait until a builder's pod is ready; give it, and how often its BuildKit has started.

        Args:
            name: The builder.
            after: What was given last, if that has been ended since.
        """
        found: list[tuple[str, int]] = []

        def ready() -> bool:
            found[:] = [
                (pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"])
                for pod in self.cluster.items("pods")
                if pod["metadata"]["name"].startswith(f"{name}0-")
                and "deletionTimestamp" not in pod["metadata"]
                and is_ready(pod)
            ]
            return bool(found) and found[0] != after

        self.cluster.wait(ready, f"a ready pod of {name}")
        return found[0]

    def record(self, fault: str, done: Finished, seconds: float, within: float = 10.0) -> str:
        """Check that a command failed as it should, in time, and give the error."""
        error = super().record(fault, done, seconds, within)
        for token in self.cluster.users if self.cluster.is_double else ():
            assert token not in done.out + done.err
        return error

    def clear(self) -> None:
        """Do nothing: a cluster takes all of its own away when it is closed."""


def cluster_cli(home: Path, docker_host: str, kubeconfig: Path) -> Cli:
    """Give a command line whose cluster a kubeconfig names."""
    return Cli(home=home, docker_host=docker_host, variables={"KUBECONFIG": str(kubeconfig)})


def first_line(error: str) -> str:
    """Give an error without the names that are made up for pods."""
    return re.sub(r"-[a-z0-9]{10}-[a-z0-9]{5}\b", "-POD", error.splitlines()[0])
