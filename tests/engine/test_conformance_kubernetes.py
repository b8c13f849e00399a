"""The conformance kit, on the kubernetes driver and a cluster of our own."""

from __future__ import annotations

import pytest
from tools.engine import Engine

from dockyard.conformance import Conformance, Subject
from dockyard.driver import Feature
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import module_cluster
from support.registry import Registry

__all__ = ["module_cluster"]

WORKLOADS = ("deployments", "statefulsets")


def has_pods(cluster: Cluster, builder: str) -> bool:
    return any(pod.startswith(f"{builder}0") for pod in cluster.pods())


class TestKubernetes(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(
        cls,
        engine_26: Engine,
        module_cluster: Cluster,
        registry: Registry,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Subject:
        cluster = module_cluster
        template = tmp_path_factory.mktemp("subject") / "template.yaml"
        # The registry listens on this machine's loopback alone.
        template.write_text("spec:\n  hostNetwork: true\n")

        def leftovers(builder: str) -> list[str]:
            found = [thing for thing in cluster.leftovers() if f"{builder}0" in thing]
            workloads = [thing for thing in found if thing.split("/")[0] in WORKLOADS]
            # A configuration is part of a builder, and something left only without it; and pods
            # are called something else each time.
            return [*workloads, *(["pods"] if has_pods(cluster, builder) else [])] or found

        def read_config(builder: str) -> bytes:
            (found,) = [
                each
                for each in cluster.items("configmaps")
                if each["metadata"]["name"] == f"{builder}0-config"
            ]
            text: str = found["data"]["buildkitd.toml"]
            return text.encode()

        return Subject(
            driver="kubernetes",
            options={"image": cluster.image, "template": str(template)},
            engine=engine_26.host,
            registry=registry.address,
            leftovers=leftovers,
            turned_on={Feature.AUTO_LOAD: {"default-load": "true"}},
            read_config=read_config,
            variables={"KUBECONFIG": str(cluster.kubeconfig)},
        )
