"""The kit, run as an author runs it, on drivers that are honest and on drivers that lie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tools.engine import Engine

from dockyard.conformance.sample import endless_program
from support.distribution import install
from support.registry import Registry

LIARS = Path(__file__).with_name("liars.py")
TESTS = Path(__file__).parents[2]
SECONDS = 240
PATIENCE = 60.0
"""What a driver is given, which a loaded machine may need."""
NEVER = {"statushangs", "connecthangs", "deaftocancel", "waitsforever", "keepssocket"}
"""Liars that never do what they are waited for."""
NEVER_SECONDS = 10.0
"""What those are given."""

AUTHORS_TEST = """\
import json
import os

import pytest

from dockyard.conformance import Conformance, Subject


class TestDriver(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls):
        return Subject(**json.loads(os.environ["SUBJECT"]))
"""

Outcomes = dict[str, str]
"""What each test that did not pass said."""
Try = Callable[..., Outcomes]


@pytest.fixture(scope="module")
def image(engine_26_containerd: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that does nothing but wait."""
    folder = tmp_path_factory.mktemp("image")
    program = endless_program("amd64")
    assert program is not None
    (folder / "wait").write_bytes(program)
    (folder / "wait").chmod(0o755)
    with tarfile.open(folder / "image.tar", "w") as archive:
        archive.add(folder / "wait", "wait")
    name = f"conformance-liar-{uuid4().hex[:8]}"
    engine_26_containerd.docker("import", str(folder / "image.tar"), name)
    yield name
    engine_26_containerd.docker("rmi", "--force", name)


@pytest.fixture
def run_kit(
    engine_26_containerd: Engine, registry: Registry, image: str, tmp_path: Path
) -> Iterator[Try]:
    """Run the kit on a driver of ``liars.py``, on a BuildKit that has all features."""
    site = tmp_path / "site"
    names = [
        line.removeprefix("class ").partition("(")[0].rstrip(":").lower()
        for line in LIARS.read_text().splitlines()
        if line.startswith("class ")
    ]
    offers = {name: f"liars:DRIVERS.{name}" for name in names}
    install(site, "liars", {"dockyard": offers}, liars=LIARS.read_text())
    (tmp_path / "test_driver.py").write_text(AUTHORS_TEST)

    def run(name: str, *, endpoint: str = "", **more: object) -> Outcomes:
        subject = {
            "driver": name,
            "endpoint": endpoint or engine_26_containerd.host,
            "engine": engine_26_containerd.host,
            "registry": registry.address,
            "dead_endpoint": "unix://{path}",
            "answer_seconds": NEVER_SECONDS if name in NEVER else PATIENCE,
            "boot_seconds": 2 * PATIENCE,
            **more,
        }
        report = tmp_path / "report.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-p", "randomly", f"--junitxml={report}", "test_driver.py"),
            ],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": f"{site}:{TESTS}",
                # Loading all that our tests use would be half of the work; one mixes the order.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "SUBJECT": json.dumps(subject),
                "LIAR_IMAGE": image,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return outcomes(report)

    yield run
    clear(engine_26_containerd, image)


def clear(engine: Engine, image: str) -> None:
    """Remove what the liars of this worker left; the others' have another image."""
    ids = engine.docker("ps", "--all", "--quiet", "--filter", f"label=liar={image}").stdout.split()
    if ids:
        engine.docker("rm", "--force", *ids)
    listed = engine.docker("volume", "ls", "--quiet", "--filter", "name=liar_helper_").stdout
    if volumes := [name for name in listed.split() if name.endswith(image)]:
        engine.docker("volume", "rm", "--force", *volumes)


def outcomes(report: Path) -> Outcomes:
    """Read the words of every test that failed; one that was skipped has none."""
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        for kind in ("failure", "error"):
            if (node := case.find(kind)) is not None:
                found[case.attrib["name"]] = f"{node.attrib['message']}\n{node.text}"
    return found


@pytest.mark.parametrize("name", ["honest", "managed"])
def test_an_honest_driver_passes(run_kit: Try, name: str) -> None:
    assert run_kit(name) == {}


@pytest.mark.parametrize(
    ("name", "test", "words"),
    [
        (
            "saysnolater",
            "test_a_node_says_what_is_declared",
            'declares yes for the feature "Tarball output", but dockyard_features says no',
        ),
        (
            "loadsnothing",
            "test_a_feature_works_or_is_refused[auto-load]",
            'has the feature "Automatically load image", but a build without an output loads no',
        ),
        (
            "rudeconfig",
            "test_a_configuration_arrives_or_is_refused",
            'lacks the feature "BuildKit configuration", but refuses a buildkitd.toml without its',
        ),
        ("withoutreason", "test_its_texts_can_be_read", "Tarball output is conditional, but not"),
        (
            "statushangs",
            "test_a_new_node_has_a_status",
            "dockyard_status does not end within 10 seconds",
        ),
        (
            "connecthangs",
            "test_it_can_be_connected_to",
            "dockyard_connect does not end within 10 seconds",
        ),
        ("stopsaysnothing", "test_it_stops", "does not answer the hook dockyard_stop"),
        (
            "statusistext",
            "test_a_new_node_has_a_status",
            "dockyard_status of driver 'statusistext' answered with str, not NodeStatus",
        ),
        ("bootcrashes", "test_it_boots", "dockyard_bootstrap raises KeyError: 'image'"),
        ("leavescontainer", "test_removing_it_leaves_nothing", "leaves container liar_conform"),
        ("neverstops", "test_it_stops", "dockyard_status says running after dockyard_stop"),
        ("bootstwice", "test_two_can_boot_it_at_once", "two boots at once make container"),
        (
            "deaftocancel",
            "test_booting_can_be_canceled",
            "dockyard_bootstrap goes on for 10 seconds when canceled before it begins",
        ),
        (
            "leaveshelper",
            "test_booting_can_be_canceled",
            "leaves volume liar_helper_",
        ),
        ("keepssocket", "test_a_build_closes_what_it_opens", "leaves open in the client: socket"),
        (
            "waitsforever",
            "test_a_dead_endpoint_is_an_error_in_time[somebody says nothing]",
            "a build where somebody says nothing does not end within 10 seconds",
        ),
        (
            "raisesitsown",
            "test_a_dead_endpoint_is_an_error_in_time[nobody listens]",
            "a build where nobody listens raises ConnectionRefusedError",
        ),
    ],
)
def test_a_lie_fails_its_own_test_and_is_named(
    run_kit: Try, name: str, test: str, words: str
) -> None:
    failed = run_kit(name)

    assert list(failed) == [test], failed
    assert words in failed[test]
    assert f"driver '{name}'" in failed[test]


def test_options_that_are_declared_wrongly_are_told_apart(run_kit: Try) -> None:
    failed = run_kit("wrongoptions")

    assert len(failed) == 2, failed
    default = failed["test_its_options_have_help_and_a_default_that_they_take"]
    values = failed["test_wrong_values_of_options_are_refused_by_name"]
    assert "option size does not take its own default: invalid literal for int()" in default
    assert "option count is a number, but takes 'no such value" in values


def test_features_that_the_daemon_does_not_have_all_fail(run_kit: Try, engine_26: Engine) -> None:
    failed = run_kit("honest", endpoint=engine_26.host)

    assert set(failed) == {
        f"test_a_feature_works_or_is_refused[{feature}]"
        for feature in ("tarball", "multi-platform", "cache-export", "direct-push")
    }
    for words in failed.values():
        assert 'has the feature "' in words


def test_what_cannot_be_tried_is_skipped(run_kit: Try) -> None:
    assert run_kit("managed", engine="", registry="", leftovers=None, dead_endpoint="") == {}
