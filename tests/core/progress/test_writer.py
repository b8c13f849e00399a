"""Steps of our own."""

from __future__ import annotations

import re
import threading

import pytest

from dockyard.driver.progress import Progress
from dockyard.errors import BootstrapError, CanceledError
from dockyard.events import StatusUpdate, Vertex
from dockyard.progress import ProgressWriter
from support.stage import Stage


@pytest.fixture
def updates() -> list[StatusUpdate]:
    return []


@pytest.fixture
def writer(updates: list[StatusUpdate]) -> ProgressWriter:
    times = iter(range(1, 1000))
    return ProgressWriter(updates.append, clock=lambda: next(times))


def last_vertex(updates: list[StatusUpdate]) -> Vertex:
    return updates[-1].vertexes[0]


def test_a_step_is_a_vertex_that_starts_and_ends(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with writer.step("[internal] booting buildkit"):
        pass

    began, ended = (update.vertexes[0] for update in updates)
    assert began.name == "[internal] booting buildkit"
    assert (began.started, began.completed) == (1, None)
    assert (ended.started, ended.completed, ended.error) == (1, 2, "")
    assert re.fullmatch("sha256:[0-9a-f]{64}", began.digest)
    assert ended.digest == began.digest


def test_two_steps_of_one_name_are_two_vertexes(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    for _ in range(2):
        with writer.step("same"):
            pass

    assert len({update.vertexes[0].digest for update in updates}) == 2


def test_an_exception_becomes_the_steps_error_and_goes_on(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with pytest.raises(BootstrapError, match="it broke"), writer.step("boot"):
        raise BootstrapError("it broke", hint="mend it")

    assert last_vertex(updates).error == "it broke"
    assert last_vertex(updates).completed is not None


@pytest.mark.parametrize("error", [CanceledError(), KeyboardInterrupt()])
def test_a_canceled_step_looks_canceled(
    writer: ProgressWriter, updates: list[StatusUpdate], error: BaseException
) -> None:
    with pytest.raises(type(error)), writer.step("boot"):
        raise error

    assert last_vertex(updates).error.endswith("context canceled")


def test_an_exception_without_message_is_named_by_its_type(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with pytest.raises(RuntimeError), writer.step("boot"):
        raise RuntimeError

    assert last_vertex(updates).error == "RuntimeError"


def test_a_status_lasts_as_long_as_its_block(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with writer.step("boot") as step, step.status("pulling image"):
        pass

    began, ended = (update.statuses[0] for update in updates if update.statuses)
    assert (began.id, began.vertex) == ("pulling image", updates[0].vertexes[0].digest)
    assert (began.started, began.completed, began.timestamp) == (2, None, 3)
    assert (ended.started, ended.completed, ended.timestamp) == (2, 4, 4)


def test_a_status_ends_also_when_its_block_fails(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with pytest.raises(ValueError, match="x"), writer.step("boot") as step, step.status("pulling"):
        raise ValueError("x")

    began, ended = (update.statuses[0] for update in updates if update.statuses)
    assert began.completed is None
    assert ended.completed is not None


def test_reports_of_one_text_are_one_status_until_it_is_done(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with writer.step("load") as step:
        step.report("layer", 1, 10)
        step.report("layer", 10, 10, done=True)
        step.report("layer", 0, 5)

    first, second, third = (update.statuses[0] for update in updates if update.statuses)
    assert (first.current, first.total, first.completed) == (1, 10, None)
    assert second.started == first.started
    assert second.completed is not None
    assert third.started != first.started


def test_a_log_carries_its_stream_and_time(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    with writer.step("boot") as step:
        step.log(b"words\n")
        step.log(b"more\n", stream=1)

    logs = [log for update in updates for log in update.logs]
    assert [(log.data, log.stream, log.timestamp) for log in logs] == [
        (b"words\n", 2, 2),
        (b"more\n", 1, 3),
    ]


def test_updates_of_the_daemon_pass_as_they_are(
    writer: ProgressWriter, updates: list[StatusUpdate]
) -> None:
    update = StatusUpdate(vertexes=(Vertex(digest="d"),))

    writer.update(update)

    assert updates == [update]


def test_updates_from_many_threads_arrive_one_at_a_time_and_in_full() -> None:
    busy = threading.Lock()
    count = 0

    def emit(update: StatusUpdate) -> None:
        nonlocal count
        assert busy.acquire(blocking=False), "two updates at once"
        count += 1
        busy.release()

    writer: Progress = ProgressWriter(emit)
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            start.wait()
            with writer.step("step") as step:
                for number in range(200):
                    step.report("layer", number, 200)
        except BaseException as exc:  # noqa: BLE001 - told to the test below
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert count == 8 * 202


def test_a_boot_is_shown_as_buildx_shows_it() -> None:
    stage = Stage("plain", builder="")
    writer = ProgressWriter(stage.display.update, clock=lambda: stage.now)

    with writer.step("[internal] booting buildkit") as step:
        with step.status("pulling image moby/buildkit:buildx-stable-1"):
            stage.now += 1_900_000_000
        with step.status("creating container buildx_buildkit_container0"):
            stage.now += 500_000_000

    assert stage.close() == (
        "#1 [internal] booting buildkit\n"
        "#1 pulling image moby/buildkit:buildx-stable-1 1.9s done\n"
        "#1 creating container buildx_buildkit_container0 0.5s done\n"
        "#1 DONE 2.4s\n"
    )
