"""A builder that the tests of a class share, booted by two at once."""

from __future__ import annotations

import pytest

from dockyard.conformance.bench import Bench
from dockyard.conformance.feature import DaemonConfig
from dockyard.conformance.life import Life
from dockyard.conformance.trial import Fault, fault
from dockyard.driver import Feature
from dockyard.errors import DockyardError


class Shared:
    """The builder. What is wrong with it is kept for the test that asks."""

    def __init__(self, bench: Bench, life: Life) -> None:
        self._bench = bench
        self._life = life
        self._name = ""
        self._config = DaemonConfig(bench.home)
        self._config_words = ""
        self._boot_words = ""

    def boot(self) -> None:
        """Make the builder, with a configuration where the driver takes one, and boot it."""
        self._name = self._create()
        try:
            self._boot_twice()
        except Fault as found:
            self._boot_words = str(found.msg)
        except DockyardError as error:
            driver = self._bench.subject.driver
            self._boot_words = f"driver {driver!r}: booting twice at once fails: {error}"

    def usable_name(self) -> str:
        """Give its name; skip the test when it could not be booted."""
        if self._boot_words:
            pytest.skip("not tried, because two could not boot the builder at once")
        return self._name

    def check_boots(self) -> None:
        """Fail with what was wrong about booting it."""
        if self._boot_words:
            fault(self._boot_words)

    def check_config(self) -> None:
        """Fail when the configuration did not get to the daemon."""
        promise = f'has the feature "{Feature.BUILDKIT_CONFIG.label}"'
        if self._config_words:
            self._bench.fault(f"{promise}, but refuses a buildkitd.toml: {self._config_words}")
        if not self._config.arrived(self._bench, self.usable_name()):
            self._bench.fault(f"{promise}, but a buildkitd.toml does not arrive at the daemon")

    def close(self) -> None:
        """Take it away."""
        self._bench.discard(self._name)

    def _create(self) -> str:
        features = self._life.features
        if features is not None and features.has(Feature.BUILDKIT_CONFIG):
            try:
                return self._bench.create(config=self._config.path)
            except DockyardError as error:
                self._config_words = str(error)
        return self._bench.create()

    def _boot_twice(self) -> None:
        bench = self._bench
        nodes = [bench.node(self._name) for _ in range(2)]
        for trial in [bench.boot(node) for node in nodes]:
            trial.result(bench.subject.boot_seconds)
        things = bench.things(self._name)
        if things is not None and len(things) != len(self._life.things or ()):
            one = ", ".join(self._life.things or ()) or "nothing"
            bench.fault(f"two boots at once make {', '.join(things)}, where one makes {one}")
