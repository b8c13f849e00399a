"""A program that uses the Python API, as somebody would write it: it has to pass a type check."""

from __future__ import annotations

import sys
import threading
from typing import assert_type

import dockyard
from dockyard.errors import BuildError
from dockyard.events import StatusUpdate


def simple() -> str:
    result = dockyard.build(
        ".",
        tags=["app:1"],
        build_args={"A": "1"},
        platforms=["linux/amd64"],
        outputs=["type=local,dest=out", dockyard.Output(type="docker")],
        shm_size="64m",
    )
    assert_type(result, dockyard.BuildResult)
    assert_type(result.digest, str)
    return result.image_id


def show(update: StatusUpdate) -> None:
    for vertex in update.vertexes:
        assert_type(vertex.name, str)
    for log in update.logs:
        sys.stdout.buffer.write(log.data)


def thorough(builder: dockyard.Builder) -> dockyard.BuildResult | None:
    request = dockyard.request("context", dockerfile="Other", no_cache=True)
    assert_type(request, dockyard.BuildRequest)
    cancel = dockyard.Cancellation()
    threading.Timer(60, cancel.cancel).start()
    try:
        return builder.build(request, on_progress=show, cancel=cancel)
    except BuildError as error:
        assert_type(error.excerpts, tuple[str, ...])
        assert_type(error.step_exit_code, int | None)
        return None
    except dockyard.DockyardError as error:
        sys.exit(str(error))


def step_by_step() -> None:
    with dockyard.Builder("mine").start(".", push=True) as build:
        assert_type(build, dockyard.Build)
        for update in build:
            show(update)
        sys.stdout.write(build.result().metadata["buildx.build.ref"])
