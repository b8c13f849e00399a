"""The tests. One class of the author's inherits them all, and gives them their subject."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockyard.conformance import declaration
from dockyard.conformance.bench import Bench
from dockyard.conformance.cancel import check_canceled_boots, check_canceled_build
from dockyard.conformance.dead import WAYS, DeadEndpoints
from dockyard.conformance.feature import CHECKS, check_config_refusal
from dockyard.conformance.life import Life, try_local_output
from dockyard.conformance.sample import make_sample
from dockyard.conformance.shared import Shared
from dockyard.conformance.subject import Subject
from dockyard.driver import Feature, Level


class Conformance:
    """What every driver has to pass. Give the fixture ``subject``, of the scope ``class``."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        """What is tried: overridden by each class."""
        raise NotImplementedError("give a fixture named subject that returns a Subject")

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Bench:
        """Where it is tried."""
        return Bench(subject, tmp_path_factory.mktemp("conformance"))

    @pytest.fixture(scope="class")
    @classmethod
    def dead(cls, bench: Bench) -> Iterator[DeadEndpoints]:
        """Endpoints where nothing answers; the driver is calling them already."""
        endpoints = DeadEndpoints(bench)
        endpoints.start()
        yield endpoints
        endpoints.close()

    @pytest.fixture(scope="class")
    @classmethod
    def life(cls, bench: Bench, dead: DeadEndpoints) -> Life:
        """The life of one builder, which is over."""
        lived = Life(bench)
        lived.live()
        return lived

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls, bench: Bench, life: Life) -> Iterator[Shared]:
        """A builder that runs, for tests that change nothing about it."""
        life.needs_usable()
        builder = Shared(bench, life)
        builder.boot()
        yield builder
        builder.close()

    # --- what it says of itself --------------------------------------------------------------

    def test_its_texts_can_be_read(self, bench: Bench) -> None:
        declaration.check_texts(bench)

    def test_its_options_have_help_and_a_default_that_they_take(self, bench: Bench) -> None:
        declaration.check_options(bench)

    def test_wrong_values_of_options_are_refused_by_name(self, bench: Bench) -> None:
        declaration.check_wrong_values(bench)

    def test_an_option_that_it_does_not_declare_is_refused(self, bench: Bench) -> None:
        declaration.check_unknown_option(bench)

    def test_a_node_says_what_is_declared(self, bench: Bench, life: Life) -> None:
        life.check("features")
        assert life.features is not None
        declaration.check_node_features(bench, life.features)

    # --- the life of a builder ---------------------------------------------------------------

    def test_a_builder_can_be_created(self, life: Life) -> None:
        life.check("create")

    def test_a_new_node_has_a_status(self, life: Life) -> None:
        life.check("status")

    def test_it_boots(self, life: Life) -> None:
        life.check("boot")

    def test_it_can_be_connected_to(self, life: Life) -> None:
        life.check("connect")

    def test_it_says_what_a_node_can_do(self, life: Life) -> None:
        life.check("features")

    def test_it_builds(self, life: Life) -> None:
        life.check("build")

    def test_it_stops(self, life: Life) -> None:
        life.check("stop")

    def test_a_build_boots_it_again(self, life: Life) -> None:
        life.check("restart")

    def test_removing_it_leaves_nothing(self, life: Life) -> None:
        life.check("remove")
        if life.things is None and not life.was_running:
            pytest.skip("not tried: give Subject(leftovers=...), which names what is left")

    # --- at once, and not to the end ---------------------------------------------------------

    def test_two_can_boot_it_at_once(self, shared: Shared) -> None:
        shared.check_boots()

    def test_booting_can_be_canceled(self, bench: Bench, life: Life) -> None:
        life.needs("stop", "remove")
        check_canceled_boots(bench, life.signs)

    def test_a_build_can_be_canceled(self, bench: Bench, shared: Shared, life: Life) -> None:
        check_canceled_build(bench, shared.usable_name(), life.workers)

    # --- the features ------------------------------------------------------------------------

    @pytest.mark.parametrize("feature", CHECKS, ids=str)
    def test_a_feature_works_or_is_refused(
        self, feature: Feature, bench: Bench, shared: Shared, life: Life
    ) -> None:
        name = shared.usable_name()
        assert life.features is not None
        CHECKS[feature](bench, name, life.features.has(feature))

    @pytest.mark.parametrize("feature", CHECKS, ids=str)
    def test_options_turn_a_feature_on(self, feature: Feature, bench: Bench, life: Life) -> None:
        life.needs_usable()
        options = bench.subject.turned_on.get(feature)
        if options is None:
            assert life.features is not None
            depends = bench.declared.support(feature).level is Level.CONDITIONAL
            if life.features.has(feature) or not depends:
                return  # there is nothing to turn on
            pytest.skip("not tried: give Subject(turned_on=...), if options can do that")
        with (
            bench.promised("a builder with these options fails"),
            bench.builder(options=options) as name,
        ):
            bench.boot(bench.node(name)).result(bench.subject.boot_seconds)
            if not bench.features(bench.node(name)).has(feature):
                typed = ",".join(f"{key}={value}" for key, value in options.items())
                bench.fault(f'{typed} does not turn on the feature "{feature.label}"')
            CHECKS[feature](bench, name, True)

    def test_a_configuration_arrives_or_is_refused(
        self, bench: Bench, shared: Shared, life: Life
    ) -> None:
        assert life.features is not None
        if life.features.has(Feature.BUILDKIT_CONFIG):
            shared.check_config()
        else:
            check_config_refusal(bench)

    def test_a_build_closes_what_it_opens(
        self, bench: Bench, shared: Shared, dead: DeadEndpoints
    ) -> None:
        name = shared.usable_name()
        dead.wait()  # they have connections of their own
        sample = make_sample(bench.home)
        try_local_output(bench, name, sample)
        before = _held()
        try_local_output(bench, name, sample)
        deadline = time.monotonic() + bench.subject.answer_seconds
        while (left := _held() - before) and time.monotonic() < deadline:
            time.sleep(0.02)
        if left:
            bench.fault(f"a build leaves open in the client: {', '.join(sorted(left))}")

    # --- when nobody is there ----------------------------------------------------------------

    @pytest.mark.parametrize("way", WAYS)
    def test_a_dead_endpoint_is_an_error_in_time(
        self, way: str, dead: DeadEndpoints, life: Life
    ) -> None:
        life.needs_usable()
        dead.check(way)


def _held() -> set[str]:
    """Name this process's sockets, pipes and children."""
    held = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # they come and go
        if target.startswith(("socket:", "pipe:")):
            held.add(f"{target.partition(':')[0]} {entry.name}")
    for task in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        with suppress(OSError):  # threads come and go, too
            held.update(f"process {pid}" for pid in task.read_text().split())
    return held
