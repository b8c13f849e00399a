"""What the steps of a build may do and use, by the rows of the feature table, on real engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.builder import container_builder
from support.buildkit_image import BuildkitImage
from support.cli import Cli
from support.engines import ScratchContext

CliFor = Callable[[str], Cli]

SHELL = 'RUN ["/bin/busybox", "sh", "-c", "{}"]'
GROUP = "/dockyard-test"
"""A control group; the same for all tests, because the system keeps it."""


@pytest.fixture
def cli(engine_26: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_26.host)


@pytest.fixture(scope="module")
def builder(
    engine_26: Engine, buildkit_image: BuildkitImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cli]:
    with container_builder(engine_26, buildkit_image, tmp_path_factory.mktemp("home")) as cli:
        yield cli


@pytest.fixture
def tag() -> str:
    return f"dockyard-test-{uuid4().hex[:8]}:1"


def test_row_143_steps_get_their_limits(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context(
        SHELL.format("ulimit -n; df -k /dev/shm; grep -c dockyard-test/ /proc/self/cgroup")
    )
    limits = ("--shm-size", "32m", "--ulimit", "nofile=333:444", "--cgroup-parent", GROUP)

    done = cli.ok("build", "--no-cache", *limits, context)

    shown = re.findall(r"^#\d+ \d+\.\d+ (.*)$", done.err, re.MULTILINE)
    assert shown[0] == "333"
    assert any(line.split()[:2] == ["tmpfs", "32768"] for line in shown)
    assert int(shown[-1]) > 0


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--resource", "memory=64m", "--resource", "cpuset-cpus=0"), "memory, cpuset-cpus"),
        (("-m", "64m", "-c512"), "memory, cpu-shares"),
    ],
)
def test_row_144_limits_that_a_buildkit_does_not_know_are_refused_by_name(
    cli: Cli, scratch_context: ScratchContext, flags: tuple[str, ...], names: str
) -> None:
    words = cli.refused("build", *flags, scratch_context())

    assert words.startswith(
        f"failed to build: resource limits ({names}) are not supported by the current BuildKit "
        "daemon, please upgrade to version v0.31+"
    )


def test_row_144_limits_of_nothing_are_no_limits(cli: Cli, scratch_context: ScratchContext) -> None:
    cli.ok("build", "--resource", "memory=0", scratch_context())


def test_row_145_what_a_step_may_do_is_asked_for_and_granted(
    builder: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN --network=host ["/bin/busybox", "true"]')

    refused = builder.refused("build", "-o", "type=cacheonly", context)
    builder.ok("build", "--allow", "network.host", "-o", "type=cacheonly", context)
    insecure = builder.refused("build", "--allow", "security.insecure", context)

    assert refused.endswith("network.host is not allowed")
    assert insecure.endswith(
        "granting entitlement security.insecure is not allowed by build daemon configuration"
    )
    assert builder.refused("build", "--allow", "foo", context) == (
        "failed to build: unknown entitlement foo"
    )


def test_row_146_devices_are_asked_for(builder: Cli, scratch_context: ScratchContext) -> None:
    wanted = "device=vendor.com/device=first,alias=mine"

    words = builder.refused("build", "--allow", wanted, scratch_context())

    # This BuildKit is too old for devices; that it says so shows that it was asked.
    assert words == f"failed to build: failed to solve: unknown entitlement {wanted}"


def test_row_147_the_source_date_is_the_images(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    dated = attrs.evolve(cli, variables={"SOURCE_DATE_EPOCH": "86400"})
    context = scratch_context()

    dated.ok("build", "-t", tag, context)
    first = engine_26.docker("inspect", "--format", "{{.Created}}", tag).stdout.strip()
    dated.ok("build", "-t", tag, "--build-arg", "SOURCE_DATE_EPOCH=172800", context)
    second = engine_26.docker("inspect", "--format", "{{.Created}}", tag).stdout.strip()

    assert (first, second) == ("1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z")


def test_row_149_flags_of_old_are_accepted_or_warned_of(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    ignored = ("--compress", "--rm=false", "--force-rm", "--cpu-period=0")
    warned = ("--squash", "--isolation", "x", "--security-opt", "y")

    done = cli.ok("build", *ignored, *warned, scratch_context())

    assert re.findall(r"^WARNING: (?:experimental flag )?(\S+)", done.err, re.MULTILINE) == [
        "isolation",
        "security-opt",
        "squash",
    ]
    assert cli.refused("build", "--memory", "much", scratch_context()) == (
        "failed to build: invalid value \"much\" for resource memory: invalid size: 'much'"
    )
