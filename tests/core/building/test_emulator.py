from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import attrs
import pytest

from dockyard.building.emulator import emulator_hint, explained
from dockyard.driver import Progress, Step
from dockyard.errors import BuildError, ConnectionLostError
from dockyard.events import StatusUpdate, Vertex, VertexLog
from dockyard.platforms import Platform

AMD64, ARM64, RISCV = (Platform("linux", machine) for machine in ("amd64", "arm64", "riscv64"))
NATIVE = (AMD64, Platform("linux", "amd64", "v2"), Platform("linux", "386"))
COMMAND = "docker run --privileged --rm tonistiigi/binfmt --install arm64"


@attrs.define(eq=False)
class Seen:
    """A display that keeps what it is given."""

    updates: list[StatusUpdate] = attrs.field(factory=list)

    def step(self, name: str) -> AbstractContextManager[Step]:
        raise NotImplementedError(name)

    def update(self, update: StatusUpdate, /) -> None:
        self.updates.append(update)

    def warn(self, text: str) -> None:
        raise NotImplementedError(text)


def step(name: str, output: bytes = b"", digest: str = "sha256:1") -> StatusUpdate:
    logs = (VertexLog(vertex=digest, data=output),) if output else ()
    return StatusUpdate(vertexes=(Vertex(digest=digest, name=name),), logs=logs)


def failed(vertex: str | None = "sha256:1") -> BuildError:
    return BuildError("failed to solve: process did not complete: exit code: 1", vertex=vertex)


def build(
    *updates: StatusUpdate,
    error: BuildError,
    platforms: tuple[Platform, ...] = (ARM64,),
    available: Callable[[], tuple[Platform, ...]] = lambda: NATIVE,
) -> str | None:
    """Let a build fail, and give the hint that the error has then."""

    def run() -> None:
        with explained(Seen(), platforms, available) as progress:
            for update in updates:
                progress.update(update)
            raise error

    with pytest.raises(BuildError, match="failed to solve"):
        run()
    return error.hint


def test_the_hint_names_the_platform_and_the_command() -> None:
    hint = emulator_hint("[2/3] RUN uname", [ARM64], NATIVE)

    assert hint == (
        "the machine that builds cannot run programs of linux/arm64; install an emulator there: "
        f"{COMMAND}"
    )


def test_platforms_that_run_here_are_not_named() -> None:
    hint = emulator_hint("[2/3] RUN uname", [AMD64, ARM64], NATIVE)

    assert hint is not None
    assert "programs of linux/arm64;" in hint


def test_all_that_may_be_meant_are_named_when_the_step_does_not_tell() -> None:
    hint = emulator_hint("[2/3] RUN uname", [ARM64, RISCV], NATIVE)

    assert hint is not None
    assert "linux/arm64, linux/riscv64; install emulators there" in hint
    assert hint.endswith(" --install arm64,riscv64")


def test_only_the_steps_own_platform_is_named_when_it_tells() -> None:
    hint = emulator_hint("[linux/riscv64 build 2/3] RUN uname", [ARM64, RISCV], NATIVE)

    assert hint is not None
    assert "arm64" not in hint
    assert hint.endswith(" --install riscv64")


def test_a_variant_is_no_reason_to_install_an_architecture_twice() -> None:
    arm = [Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")]

    hint = emulator_hint("", arm, NATIVE)

    assert hint is not None
    assert "linux/arm/v6, linux/arm/v7" in hint
    assert hint.endswith(" --install arm")


@pytest.mark.parametrize(
    ("name", "platforms"),
    [
        ("[2/3] RUN ./script-without-a-first-line", [AMD64]),
        ("[linux/amd64 2/3] RUN ./script-without-a-first-line", [AMD64, ARM64]),
    ],
)
def test_no_emulator_helps_what_runs_here(name: str, platforms: list[Platform]) -> None:
    assert emulator_hint(name, platforms, NATIVE) is None


def test_no_hint_where_the_emulator_is_installed() -> None:
    assert emulator_hint("[2/3] RUN uname", [AMD64, ARM64], [*NATIVE, ARM64]) is None


@pytest.mark.parametrize("vertex", ["sha256:1", None])
def test_a_build_that_failed_for_want_of_an_emulator_says_so(vertex: str | None) -> None:
    output = b"exec /bin/sh: exec format error\n"

    hint = build(step("[2/3] RUN uname", output), error=failed(vertex))

    assert hint is not None
    assert hint.endswith(COMMAND)


def test_a_daemon_that_says_it_in_the_error_is_understood() -> None:
    error = BuildError("failed to solve: runc run failed: exec /bin/sh: exec format error")

    hint = build(step("[2/3] RUN uname"), error=error)

    assert hint is not None
    assert hint.endswith(COMMAND)


def test_a_build_that_failed_otherwise_gets_no_hint() -> None:
    one = step("[2/3] RUN false", b"no luck\n")
    other = step("[3/3] RUN ./x || true", b"exec format error", "sha256:2")

    assert build(one, other, error=failed("sha256:1")) is None


def test_a_hint_that_is_there_stays() -> None:
    error = failed()
    error.hint = "read the log"

    assert build(step("", b"exec format error"), error=error) == "read the log"


def test_the_displays_see_everything() -> None:
    seen = Seen()
    update = step("[2/3] RUN uname", b"exec format error")

    with explained(seen, (ARM64,), lambda: NATIVE) as progress:
        progress.update(update)

    assert seen.updates == [update]


def test_a_build_for_no_platform_in_particular_is_left_alone() -> None:
    seen: Progress = Seen()

    with explained(seen, (), lambda: NATIVE) as progress:
        assert progress is seen


def test_the_builds_own_error_stays_when_the_daemon_is_gone() -> None:
    def gone() -> tuple[Platform, ...]:
        raise ConnectionLostError("lost the connection to BuildKit")

    hint = build(step("", b"exec format error"), error=failed(), available=gone)

    assert hint is None
