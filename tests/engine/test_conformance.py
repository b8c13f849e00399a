"""The conformance kit, on our own drivers and real engines."""

from __future__ import annotations

import io
import tarfile

import pytest
from tools.engine import Engine

from dockyard.conformance import Conformance, Subject
from dockyard.conformance.bench import Bench
from dockyard.conformance.dead import DeadEndpoints
from dockyard.driver import Feature
from support.buildkit_image import BuildkitImage
from support.engines import Engines
from support.registry import Registry

SECONDS = 60.0
"""Where an answer takes half a minute at most, a busy machine gets one."""


class TestDocker(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, engine_26: Engine, registry: Registry) -> Subject:
        return Subject(
            driver="docker",
            engine=engine_26.host,
            registry=registry.address,
            answer_seconds=SECONDS,
        )


class TestDockerOnOtherEngines(Conformance):
    # No engine is asked where nobody answers: TestDocker has shown what happens then.
    test_a_dead_endpoint_is_an_error_in_time = None  # type: ignore[assignment]

    @pytest.fixture(scope="class")
    @classmethod
    def dead(cls, bench: Bench) -> DeadEndpoints:
        return DeadEndpoints(bench)

    @pytest.fixture(scope="class", params=["26.1-containerd", "20.10"])
    @classmethod
    def subject(
        cls, request: pytest.FixtureRequest, engines: Engines, registry: Registry
    ) -> Subject:
        engine = engines.get(request.param)
        return Subject(
            driver="docker",
            engine=engine.host,
            registry=registry.address,
            answer_seconds=SECONDS,
        )


class TestDockerContainer(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(
        cls, engine_26: Engine, buildkit_image: BuildkitImage, registry: Registry
    ) -> Subject:
        def read_config(builder: str) -> bytes:
            path = f"buildx_buildkit_{builder}0:/etc/buildkit/buildkitd.toml"
            copied = engine_26.docker("cp", path, "-").stdout.encode()
            with tarfile.open(fileobj=io.BytesIO(copied)) as archive:
                file = archive.extractfile("buildkitd.toml")
                assert file is not None
                return file.read()

        return Subject(
            driver="docker-container",
            # The registry listens on this machine's loopback alone.
            options={"image": buildkit_image(engine_26), "network": "host"},
            engine=engine_26.host,
            registry=registry.address,
            turned_on={Feature.AUTO_LOAD: {"default-load": "true"}},
            # The Debian-made BuildKit gets its configuration, but does not look at it.
            read_config=read_config,
            answer_seconds=SECONDS,
        )
