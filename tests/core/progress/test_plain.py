"""Lines, each written once."""

from __future__ import annotations

import io
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.events import ProgressGroup, StatusUpdate, VertexLog
from dockyard.progress import make_display
from support.stage import Event, Stage, log, status, update, vertex, warning


def test_the_first_line_names_the_builder_and_the_driver() -> None:
    stage = Stage("plain", builder="rem", driver="remote")

    stage.at(0, vertex("[internal] load build definition from Dockerfile"))
    stage.at(
        1,
        vertex("[internal] load build definition from Dockerfile", 0, 0.02),
        status(
            "[internal] load build definition from Dockerfile",
            "transferring dockerfile:",
            142,
            now=0.01,
            started=0,
            completed=0.01,
        ),
    )

    assert stage.close() == (
        '#0 building with "rem" instance using remote driver\n'
        "\n"
        "#1 [internal] load build definition from Dockerfile\n"
        "#1 transferring dockerfile: 142B done\n"
        "#1 DONE 0.0s\n"
    )


def test_without_a_builder_there_is_no_such_line() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a", 0, 0, cached=True))

    assert stage.close() == "#1 a\n#1 CACHED\n"


def test_nothing_is_written_for_a_build_without_steps() -> None:
    stage = Stage("plain")

    stage.at(0, vertex("announced", None))
    stage.at(1)

    assert stage.close() == ""


def test_a_boot_that_takes_long_shows_each_status_when_it_starts_and_ends() -> None:
    stage = Stage("plain", builder="")
    boot = "[internal] booting buildkit"
    pulling = "pulling image moby/buildkit:buildx-stable-1"
    creating = "creating container buildx_buildkit_container0"

    stage.at(0, vertex(boot))
    stage.at(0.2, status(boot, pulling, started=0, now=0))
    stage.at(1.9, status(boot, pulling, started=0, now=1.9, completed=1.9))
    stage.at(2.1, status(boot, creating, started=1.9, now=1.9))
    stage.at(2.4, status(boot, creating, started=1.9, now=2.4, completed=2.4))
    stage.at(2.4, vertex(boot, 0, 2.4))

    assert stage.close() == (
        "#1 [internal] booting buildkit\n"
        "#1 pulling image moby/buildkit:buildx-stable-1\n"
        "#1 pulling image moby/buildkit:buildx-stable-1 1.9s done\n"
        "#1 creating container buildx_buildkit_container0\n"
        "#1 creating container buildx_buildkit_container0 0.5s done\n"
        "#1 DONE 2.4s\n"
    )


def test_a_status_that_starts_and_ends_between_two_drawings_is_one_line() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("boot"))
    stage.at(0.01, status("boot", "creating container", started=0.01, now=0.01))
    stage.at(0.06, status("boot", "creating container", started=0.01, now=0.06, completed=0.06))
    stage.at(0.07, vertex("boot", 0, 0.07))

    assert stage.close() == "#1 boot\n#1 creating container 0.1s done\n#1 DONE 0.1s\n"


def test_switching_steps_closes_one_and_names_the_other() -> None:
    stage = Stage("plain")
    pull = "[1/2] FROM docker.io/library/alpine"

    stage.at(
        0, vertex(pull), status(pull, "sha256:ab...", 2_100_000, 3_600_000, now=0.4, started=0)
    )
    stage.at(1, vertex("[2/2] RUN make", 0.5))
    stage.at(
        2,
        vertex("[2/2] RUN make", 0.5, 1.5, error="exit code: 2"),
        log("[2/2] RUN make", b"line of output\n", 0.912),
    )
    stage.at(3, vertex(pull, 0, 2.5))

    assert stage.close(failed=True) == (
        '#0 building with "rem" instance using remote driver\n'
        "\n"
        "#1 [1/2] FROM docker.io/library/alpine\n"
        "#1 sha256:ab... 2.10MB / 3.60MB 0.4s\n"
        "#1 ...\n"
        "\n"
        "#2 [2/2] RUN make\n"
        "#2 0.412 line of output\n"
        "#2 ERROR: exit code: 2\n"
        "\n"
        "#1 [1/2] FROM docker.io/library/alpine\n"
        "#1 DONE 2.5s\n"
        "------\n"
        " > [2/2] RUN make:\n"
        "0.412 line of output\n"
        "------\n"
    )


def test_every_way_to_end_has_its_word() -> None:
    stage = Stage("plain", builder="")

    stage.at(
        9,
        vertex("done", 0, 1.25),
        vertex("cached", 1, 2, cached=True),
        vertex("canceled", 2, 3, error="solve: context canceled"),
        vertex("failed", 3, 4, error="no"),
    )

    assert stage.text == (
        "#1 done\n#1 DONE 1.2s\n\n"
        "#2 cached\n#2 CACHED\n\n"
        "#3 canceled\n#3 CANCELED\n\n"
        "#4 failed\n#4 ERROR: no\n"
    )


def test_steps_that_ended_together_are_written_in_the_order_of_their_end() -> None:
    stage = Stage("plain", builder="")

    stage.at(9, vertex("last", 0, 3), vertex("first", 0, 1), vertex("second", 0, 2))

    assert re.findall(r"#\d (\w+)\n#", stage.text) == ["first", "second", "last"]


def test_progress_is_written_again_after_five_percent_or_five_seconds() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"))

    for seconds, current in [(1, 0), (2, 40), (3, 50), (4, 90), (8.5, 91), (9, 1000)]:
        stage.at(seconds, status("a", "layer", current, 1000, now=seconds))

    assert stage.text == (
        "#1 a\n"
        "#1 layer 0B / 1.00kB\n"
        "#1 layer 50B / 1.00kB\n"
        "#1 layer 91B / 1.00kB\n"
        "#1 layer 1.00kB / 1.00kB\n"
    )


def test_the_end_of_a_status_is_written_once_however_often_it_is_reported() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a"))
    stage.at(1, status("a", "layer", now=1, started=0, completed=1))
    stage.at(2, status("a", "layer", now=1, started=0, completed=1))

    assert stage.text == "#1 a\n#1 layer 1.0s done\n"


def test_small_progress_of_a_waiting_step_does_not_take_over() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"), status("a", "layer", 1, 1000))
    stage.at(1, vertex("b", 1, 2))

    for tick in range(20):
        stage.at(3 + tick / 10, status("a", "layer", 2, 1000, now=1))

    assert stage.text.count("#1 a\n") == 2
    assert stage.text.endswith("#2 DONE 1.0s\n\n#1 a\n")


def test_warnings_are_written_and_summed_up_at_the_end() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a", 0, 1), warning("a", b"Rule: words (line 3)"))

    assert stage.close() == (
        "#1 a\n"
        "#1 WARN: Rule: words (line 3)\n"
        "#1 DONE 1.0s\n"
        "\n"
        " 1 warning found (use docker --debug to expand):\n"
        " - Rule: words (line 3)\n"
    )


def test_debug_sums_up_in_full() -> None:
    stage = Stage("plain", builder="", debug=True)

    stage.at(0, vertex("a", 0, 1), warning("a", b"Rule: words"))

    assert stage.close().endswith("\n 1 warning found:\n - Rule: words\n\n")


def test_a_partial_line_is_continued_without_prefix() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a"), log("a", b"working.", 0.5))
    stage.at(1, log("a", b".", 1))
    stage.at(2, log("a", b". ok\nnext\n", 2))

    assert stage.text == "#1 a\n#1 0.500 working... ok\n#1 2.000 next\n"


def test_a_partial_line_is_ended_before_another_step_and_repeated_afterwards() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a"), log("a", b"working.", 0.5))
    stage.at(1, vertex("b", 0, 1))
    stage.at(2, log("a", b". ok\n", 2))

    assert stage.text == (
        "#1 a\n#1 0.500 working.\n#1 ...\n\n#2 b\n#2 DONE 1.0s\n\n#1 a\n#1 0.500 working.. ok\n"
    )


def test_a_partial_line_is_ended_before_a_status_and_repeated_afterwards() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a"), log("a", b"working", 0.5))
    stage.at(1, status("a", "layer"))
    stage.at(2, log("a", b" ok\n", 2))

    assert stage.text == "#1 a\n#1 0.500 working\n#1 layer\n#1 0.500 working ok\n"


def test_a_partial_line_is_ended_by_the_end_of_the_step_and_of_the_build() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a"), log("a", b"no newline"))
    stage.at(1, vertex("a", 0, 1))
    stage.at(2, vertex("b", 1), log("b", b"neither", 1))

    assert stage.close() == ("#1 a\n#1 0.000 no newline\n#1 DONE 1.0s\n\n#2 b\n#2 0.000 neither\n")


def test_control_characters_and_split_characters_pass_as_they_are() -> None:
    stage = Stage("plain", builder="")
    data = "10%\r20%\x1b[31m \u20ac\n".encode()

    stage.at(0, vertex("a"), *(log("a", data[index : index + 1]) for index in range(len(data))))

    assert stage.text == "#1 a\n#1 0.000 10%\r20%\x1b[31m \u20ac\n"


def test_names_are_cut_only_when_asked_for() -> None:
    long = "x" * 80
    whole = Stage("plain", builder="")
    cut = Stage("plain", builder="", environment={"PROGRESS_NO_TRUNC": "0"})

    for stage in (whole, cut):
        stage.at(0, vertex(long))

    assert whole.text == f"#1 {long}\n"
    assert cut.text == f"#1 {'x' * 72}...\n"


def test_a_failure_repeats_the_last_ten_lines() -> None:
    stage = Stage("plain", builder="")
    lines = b"".join(b"line %d\n" % number for number in range(15))

    stage.at(0, vertex("a", 0, 1, error="no"), log("a", lines, 0.5))

    text = stage.close(failed=True)
    assert text.count("0.500 line 4\n") == 1
    block = "".join(f"0.500 line {number}\n" for number in range(5, 15))
    assert text.endswith(f"#1 ERROR: no\n------\n > a:\n{block}------\n")


def test_a_step_that_runs_again_is_named_again_and_its_time_adds_up() -> None:
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a", 0, 1))
    stage.at(1, vertex("a", 5, 7))

    assert stage.text == "#1 a\n#1 DONE 1.0s\n\n#1 a\n#1 DONE 3.0s\n"


def test_a_repeated_update_writes_nothing() -> None:
    stage = Stage("plain", builder="")

    for seconds in range(5):
        stage.at(seconds, vertex("a", 0, 1))

    assert stage.text == "#1 a\n#1 DONE 1.0s\n"


def test_a_group_is_written_under_its_own_name() -> None:
    group = ProgressGroup(id="g", name="the group")
    stage = Stage("plain", builder="")

    stage.at(0, vertex("a", 0, group=group), vertex("b", 0, 1, group=group), log("b", b"x\n", 1))
    stage.at(1, vertex("a", 0, 2, group=group))

    assert stage.text == "#1 the group\n#1 1.000 x\n#1 DONE 2.0s\n"


def test_output_is_held_back_for_a_tenth_of_a_second_and_then_written_by_a_tick() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"))

    stage.at(0.05, log("a", b"x\n"))
    held_back = stage.text
    stage.at(0.15)

    assert held_back == "#1 a\n"
    assert stage.text == "#1 a\n#1 0.000 x\n"


def test_the_display_rate_can_be_set() -> None:
    stage = Stage("plain", builder="", environment={"TTY_DISPLAY_RATE": "1000"})
    stage.at(0, vertex("a"))

    stage.at(0.9, log("a", b"x\n"))
    held_back = stage.text
    stage.at(1)

    assert stage.display.interval == 1.0
    assert held_back == "#1 a\n"
    assert stage.text.endswith("x\n")


def test_a_rate_that_is_no_number_is_ignored() -> None:
    assert Stage("plain", environment={"TTY_DISPLAY_RATE": "fast"}).display.interval == 0.15
    assert Stage("plain", environment={"TTY_DISPLAY_RATE": "-1"}).display.interval == 0.15


def test_a_clock_that_is_set_back_does_not_silence_the_display() -> None:
    stage = Stage("plain", builder="")
    stage.at(100, vertex("a", 100))

    stage.at(3, log("a", b"x\n", 100))

    assert stage.text.endswith("x\n")


def test_a_step_that_waited_more_than_ten_seconds_takes_over() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"))

    stage.at(0.2, vertex("b"), log("b", b"b\n"))
    for tenth in range(3, 120):
        stage.at(tenth / 10, *(log("a", b"a\n", tenth / 10) for _ in range(100)))
        if "#2" in stage.text:
            break

    assert tenth == 103
    assert stage.text.endswith("#1 ...\n\n#2 b\n#2 0.000 b\n")


def test_a_busier_step_takes_over_after_five_seconds() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"), vertex("b"))

    for second in range(1, 8):
        stage.at(second, log("a", b"a\n"), *(log("b", b"b\n") for _ in range(5)))
        if "#2" in stage.text:
            break

    assert second == 5
    assert stage.text.count("#2 0.000 b\n") == 25


def test_a_quieter_step_waits_for_its_turn() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"), vertex("b"))

    for second in range(1, 10):
        stage.at(second, log("b", b"b\n"), *(log("a", b"a\n") for _ in range(5)))

    assert "#2" not in stage.text
    assert stage.close().count("#2 0.000 b\n") == 9


def test_closing_writes_what_waited_and_closing_again_nothing() -> None:
    stage = Stage("plain", builder="")
    stage.at(0, vertex("a"), vertex("b"), vertex("c"))
    stage.at(0.01, log("a", b"a\n"), log("b", b"b\n"), log("c", b"c\n"))

    text = stage.close()
    stage.at(9, log("a", b"late\n"))
    stage.at(10)

    assert text == ("#1 a\n#1 0.000 a\n#1 ...\n\n#2 b\n#2 0.000 b\n#2 ...\n\n#3 c\n#3 0.000 c\n")
    assert stage.close() == text


def test_ten_thousand_updates_with_logs_are_written_in_well_under_a_second() -> None:
    updates = [
        update(
            vertex(f"step {index % 50}"),
            log(f"step {index % 50}", b"a line of output of the usual length\n", index / 100),
            status(f"step {index % 50}", "layer", index, 10_000, now=index / 100),
        )
        for index in range(10_000)
    ]
    stream = io.StringIO()
    display = make_display("plain", stream, environment={}, builder="b", driver="d")

    began = time.process_time()
    for each in updates:
        display.update(each)
    display.close()
    took = time.process_time() - began

    assert stream.getvalue().count("a line of output") == 10_000
    assert took < 1


NAMES = st.sampled_from(["a", "b", "c", "d"])
TIMES = st.floats(0, 30)
OPTIONAL_TIMES = st.none() | TIMES
GROUPS = st.none() | st.builds(
    ProgressGroup, id=st.sampled_from(["g", "h", ""]), name=st.just("group"), weak=st.booleans()
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        vertex,
        NAMES,
        OPTIONAL_TIMES,
        OPTIONAL_TIMES,
        cached=st.booleans(),
        error=st.sampled_from(["", "", "no", "context canceled"]),
        group=GROUPS,
    ),
    st.builds(
        status,
        NAMES,
        st.sampled_from(["x", "y"]),
        st.integers(-1, 2000),
        st.integers(0, 2000),
        now=TIMES,
        started=OPTIONAL_TIMES,
        completed=OPTIONAL_TIMES,
    ),
    st.builds(log, NAMES, st.sampled_from([b"l\n", b"l", b"\xe2\x82", b"\n", b""]), TIMES),
    st.builds(warning, NAMES, st.sampled_from([b"v", b"w"])),
)
SCRIPTS = st.lists(st.tuples(TIMES, st.lists(EVENTS, max_size=6)), max_size=25)


@given(SCRIPTS)
@settings(deadline=None)
def test_any_sequence_of_updates_gives_consistent_numbers(
    script: list[tuple[float, list[Event]]],
) -> None:
    stage = Stage("plain", builder="")
    for seconds, events in script:
        stage.at(seconds, *events)

    text = stage.close()

    names: dict[str, str] = {}
    active: str | None = None
    for line in re.split(r"------\n|\n \d+ warnings? found", text)[0].splitlines():
        if not line:
            assert active is None, "a step was left without a word"
            continue
        number, _, rest = line.partition(" ")
        if active is None:
            assert names.setdefault(number, rest) == rest
            active = number
        assert number == active, "a line of another step"
        if rest == "..." or rest.split(" ")[0].rstrip(":") in {
            "DONE",
            "CACHED",
            "CANCELED",
            "ERROR",
        }:
            active = None
    assert list(names) == [f"#{number}" for number in range(1, len(names) + 1)]
    assert len(set(names.values())) == len(names) or "group" in names.values()


@given(SCRIPTS)
@settings(deadline=None)
def test_any_sequence_of_updates_loses_no_line_of_output_of_a_shown_step(
    script: list[tuple[float, list[Event]]],
) -> None:
    stage = Stage("plain", builder="")
    stage.at(0, *(vertex(name) for name in "abcd"))
    number = 0
    for seconds, events in script:
        logs = [event for event in events if isinstance(event, VertexLog)]
        stage.at(seconds, *(event for event in events if not isinstance(event, VertexLog)))
        for event in logs:
            number += 1
            line = VertexLog(
                vertex=event.vertex,
                data=f"line {number} of output\n".encode(),
                timestamp=event.timestamp,
            )
            stage.display.update(StatusUpdate(logs=(line,)))

    text = stage.close()

    for each in range(1, number + 1):
        assert f" line {each} of output\n" in text
