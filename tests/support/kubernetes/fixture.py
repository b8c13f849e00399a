"""Fixtures with a cluster: our own, or the real one that ``KUBECONFIG`` names.

A real cluster has to have the image that ``DOCKYARD_TEST_BUILDKIT_IMAGE`` names, or be able to
pull the stock one. Tests that need a cluster to misbehave, or to look behind its API, are skipped
there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.buildkit_image import BuildkitImage
from support.engines import Engines
from support.kubernetes.cluster import Cluster
from support.kubernetes.real import RealCluster

REAL = "KUBECONFIG"


@pytest.fixture
def cluster(
    engines: Engines, buildkit_image: BuildkitImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster for this test alone (of a real one: a namespace)."""
    with _running(engines, buildkit_image, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def module_cluster(
    engines: Engines, buildkit_image: BuildkitImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster that the tests of a module share."""
    with _running(engines, buildkit_image, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server of our own without a node: pods stay pending. It needs no engine."""
    running = Cluster(None, tmp_path_factory.mktemp("cluster"))
    yield running
    running.close()


@contextmanager
def _running(engines: Engines, image: BuildkitImage, folder: Path) -> Iterator[Cluster]:
    if os.environ.get(REAL):
        real = RealCluster(folder)
        try:
            yield real  # type: ignore[misc]  # what it lacks skips the test
        finally:
            real.close()
        return
    engine = engines.get("26.1")
    running = Cluster(engine, folder, image=image(engine))
    try:
        yield running
    finally:
        running.close()
