"""The conformance kit, on the remote driver and a daemon of somebody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tools.engine import Engine

from dockyard.conformance import Conformance, Subject
from dockyard.driver import Feature
from dockyard_remote.reach import Target
from support.buildkit_image import BuildkitImage
from support.registry import Registry
from support.remote_buildkit import Relay, run_daemon


class TestRemote(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(
        cls,
        engine_26: Engine,
        buildkit_image: BuildkitImage,
        registry: Registry,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Subject]:
        folder = tmp_path_factory.mktemp("r")
        with (
            run_daemon(engine_26, buildkit_image(engine_26), "--network", "host") as daemon,
            Relay(daemon.command, engine_26.environment(), folder=folder) as relay,
            pytest.MonkeyPatch.context() as patch,
        ):
            # The relay starts a program for each connection, which takes long on a busy machine.
            usual = Target.patience.__get__
            patch.setattr(
                Target,
                "patience",
                property(
                    lambda target: 45.0 if target.endpoint.text == relay.endpoint else usual(target)
                ),
            )
            yield Subject(
                driver="remote",
                endpoint=relay.endpoint,
                engine=engine_26.host,
                registry=registry.address,
                turned_on={Feature.AUTO_LOAD: {"default-load": "true"}},
                answer_seconds=60.0,  # this machine is busy
            )
