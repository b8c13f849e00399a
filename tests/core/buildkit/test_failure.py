from __future__ import annotations

from errno import ENOSPC
from time import process_time

import pytest

from dockyard import errors
from dockyard.buildkit.details import Details
from dockyard.buildkit.failure import Failure, StepLogs, classify
from dockyard.errors import BuildError, ErrorSource
from dockyard.events import StatusUpdate, Vertex, VertexLog
from dockyard.wire.status import Code

POINTED = Details(sources=(ErrorSource("Dockerfile", 1, 1, b"FROM x\n"),))
NOTHING = Details()
LLB = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "

# Each as a daemon said it: BuildKit 0.32 with its details, Docker Engine 20.10 without.
SAID: list[tuple[type[BuildError], str, Details, str]] = [
    (
        errors.StepError,
        'process "/bin/sh -c x" did not complete successfully: exit code: 7',
        Details(exit_code=7),
        "[3/3] RUN x",
    ),
    (errors.StepError, "executor failed running [/bin/sh -c x]: exit code: 7", NOTHING, ""),
    (
        errors.StepError,
        'process "/bin/sh -c echo no space left on device, access denied; exit 1" did not '
        "complete successfully: exit code: 1",
        NOTHING,
        "",
    ),
    (errors.DockerfileError, "dockerfile parse error on line 2: unknown flag: --x", POINTED, ""),
    (errors.DockerfileError, "base name (${X}) should not be blank", POINTED, ""),
    (errors.DockerfileError, LLB + "base name (${X}) should not be blank", NOTHING, ""),
    (errors.DockerfileError, 'target stage "zzz" could not be found', NOTHING, ""),
    (errors.DockerfileError, "invalid user index: -1", NOTHING, "[1/1] COPY --chown=x a /"),
    (
        errors.MissingFileError,
        'failed to compute cache key: failed to calculate checksum of ref a::b: "/x": not found',
        POINTED,
        "[1/1] COPY x /",
    ),
    (
        errors.MissingFileError,
        'failed to compute cache key: "/x" not found: not found',
        NOTHING,
        "",
    ),
    (
        errors.MissingFileError,
        "failed to read dockerfile: open Dockerfile: no such file or directory",
        NOTHING,
        "",
    ),
    (
        errors.SourceError,
        'x: failed to resolve source metadata for x: failed to do request: Head "http://x": dial '
        "tcp: connect: connection refused",
        POINTED,
        "[internal] load metadata for x",
    ),
    (errors.SourceError, LLB + 'failed to do request: Head "http://x": dial tcp x', NOTHING, ""),
    (errors.SourceError, "failed to load cache key: invalid response status 404", NOTHING, ""),
    (
        errors.FrontendError,
        "failed to resolve source metadata for x: failed to do request",
        POINTED,
        "resolve image config for docker-image://x",
    ),
    (errors.FrontendError, "unsupported request frontend.foo", NOTHING, ""),
    (errors.FrontendError, "anything", Details(capability="x"), ""),
    (
        errors.DeniedError,
        "x: failed to resolve source metadata for x: pull access denied, repository does not exist "
        "or may require authorization: server message: insufficient_scope: authorization failed",
        POINTED,
        "",
    ),
    (errors.DeniedError, "failed to push x: unexpected status: 401 Unauthorized", NOTHING, ""),
    (errors.SecretError, "secret s: not found", POINTED, ""),
    (errors.SecretError, "secret s not found: not found", NOTHING, ""),
    (errors.SecretError, 'no SSH key "" forwarded from the client', POINTED, ""),
    (errors.EntitlementError, "failed to load LLB: security.insecure is not allowed", NOTHING, ""),
    (errors.PolicyError, "source not allowed", Details(denied=True), ""),
    (errors.ExportError, 'exporter "bogus" could not be found', NOTHING, ""),
    (
        errors.ExportError,
        'failed to push x: failed to do request: Head "http://x": dial tcp: connection refused',
        NOTHING,
        "exporting to image",
    ),
    (errors.CacheError, 'unknown cache exporter: "bogus"', NOTHING, ""),
    (errors.CacheError, "error writing layer blob: failed to do request", NOTHING, ""),
    (errors.ResourceError, "failed to copy: write /x: no space left on device", POINTED, ""),
    (BuildError, "something that nobody has heard of", NOTHING, ""),
]


@pytest.mark.parametrize(("kind", "message", "details", "step"), SAID)
def test_a_failure_has_the_class_of_its_cause(
    kind: type[BuildError], message: str, details: Details, step: str
) -> None:
    failure = Failure(Code.UNKNOWN, message, details, None, step)

    assert classify(failure) is kind


def test_a_daemon_that_ran_out_of_something_says_so_by_its_code() -> None:
    failure = Failure(Code.RESOURCE_EXHAUSTED, 'process "x" was killed', NOTHING, None, "")

    assert classify(failure) is errors.ResourceError


# --- the output of steps ----------------------------------------------------------------------


def running(digest: str, name: str = "RUN x") -> StatusUpdate:
    return StatusUpdate(vertexes=(Vertex(digest=digest, name=name, started=1),))


def ended(digest: str, error: str = "") -> StatusUpdate:
    vertex = Vertex(digest=digest, name="RUN x", started=1, completed=2, error=error)
    return StatusUpdate(vertexes=(vertex,))


def log(digest: str, data: bytes, stream: int = 2) -> StatusUpdate:
    return StatusUpdate(logs=(VertexLog(vertex=digest, data=data, stream=stream),))


@pytest.fixture
def logs() -> StepLogs:
    return StepLogs()


def test_the_output_of_a_failed_step_is_kept_whole(logs: StepLogs) -> None:
    whole = b"".join(b"line %d\n" % number for number in range(400_000))
    logs.update(running("a"))
    for start in range(0, len(whole), 100_000):
        logs.update(log("a", whole[start : start + 100_000]))
    logs.update(log("a", b"out", stream=1))
    logs.update(ended("a", error="boom"))
    logs.update(log("a", b"late"))

    failed = logs.failed("a", "boom")

    assert failed is not None
    assert failed.stderr == whole + b"late"
    assert failed.stdout == b"out"
    assert failed.name == "RUN x"
    logs.close()


def test_a_step_is_found_by_its_error_where_the_daemon_does_not_name_it(logs: StepLogs) -> None:
    logs.update(running("a", "other"))
    logs.update(running("b"))
    logs.update(log("b", b"words"))
    logs.update(ended("b", error="exit code: 1"))

    failed = logs.failed(None, "executor failed: exit code: 1")

    assert failed is not None
    assert (failed.digest, failed.stderr) == ("b", b"words")
    logs.close()


def test_the_output_of_steps_that_succeed_is_let_go(logs: StepLogs) -> None:
    logs.update(running("a"))
    logs.update(log("a", b"words"))
    logs.update(ended("a"))
    logs.update(log("a", b"late"))

    assert logs.failed("a", "boom") is None


def test_output_of_a_step_that_never_began_is_ignored(logs: StepLogs) -> None:
    logs.update(log("a", b"words"))

    assert logs.failed("a", "boom") is None


def test_words_without_end_are_classified_without_delay() -> None:
    for words in ("target stage ", "stat ", "repository ", "failed to configure : ", "secret : "):
        failure = Failure(Code.UNKNOWN, words * 200_000, NOTHING, None, "")
        begun = process_time()

        classify(failure)

        assert process_time() - begun < 10  # it would be hours


def test_the_output_of_a_step_is_whole_when_the_disk_is_full(
    logs: StepLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    logs.update(running("a"))
    pieces = [bytes([number]) * (1 << 20) for number in range(5)]
    for piece in pieces:
        logs.update(log("a", piece))

    step = logs.failed("a", "")

    assert step is not None
    assert step.stderr == b"".join(pieces)
