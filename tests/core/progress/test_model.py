"""What is known of a build."""

from __future__ import annotations

import attrs

from dockyard.events import ProgressGroup
from dockyard.progress.model import Model, Step
from support.stage import Event, at, log, status, update, vertex, warning

SECOND = 10**9


def model_of(*updates: Event | tuple[Event, ...], keep_news: bool = False) -> Model:
    model = Model(keep_news=keep_news)
    for each in updates:
        events = each if isinstance(each, tuple) else (each,)
        model.apply(update(*events), at(0) or 0)
    return model


def only(model: Model) -> Step:
    (step,) = model.visible
    return step


def test_an_announced_vertex_is_counted_but_not_shown() -> None:
    model = model_of(vertex("a", None))

    assert model.visible == []
    assert model.counts() == (0, 1)


def test_a_late_announcement_does_not_reset_a_step() -> None:
    model = model_of(vertex("a", 0, 1), vertex("a", None))

    assert only(model).completed == at(1)


def test_steps_are_listed_in_the_order_in_which_they_started() -> None:
    model = model_of((vertex("a", None), vertex("b", None)), vertex("b", 1), vertex("a", 2))

    assert [step.name for step in model.visible] == ["b", "a"]


def test_a_step_that_runs_twice_lasts_as_long_as_both_runs() -> None:
    model = model_of(vertex("a", 0, 1), vertex("a", 5), vertex("a", 5, 7))

    assert only(model).duration(at(99) or 0) == 3 * SECOND
    assert not only(model).running


def test_a_second_run_makes_the_step_run_again() -> None:
    assert only(model_of(vertex("a", 0, 1), vertex("a", 5))).running


def test_a_run_that_was_never_ended_lasts_until_the_next_one() -> None:
    model = model_of(vertex("a", 0), vertex("a", 2), vertex("a", 2, 3))

    assert only(model).completed == at(3)
    assert only(model).duration(at(99) or 0) == 3 * SECOND


def test_a_step_has_ended_when_the_last_report_says_so_whatever_start_it_gives() -> None:
    model = model_of(vertex("a", 2), vertex("a", 1, 4))

    assert only(model).completed == at(4)
    assert only(model).duration(at(99) or 0) == 3 * SECOND


def test_a_running_step_is_timed_by_our_clock_from_when_it_was_seen() -> None:
    model = Model()
    model.apply(update(vertex("a", 1000)), at(0) or 0)  # the daemon's clock is ahead

    assert only(model).duration(at(2.5) or 0) == 2.5 * SECOND


def test_statuses_and_logs_of_unknown_vertexes_are_ignored() -> None:
    model = model_of((status("x", "s"), log("x", b"line\n"), warning("x", b"w")))

    assert model.steps == []
    assert [each.short for each in model.warnings] == [b"w"]


def test_the_same_warning_of_two_vertexes_is_one_in_the_summary() -> None:
    model = model_of((vertex("a"), vertex("b")), (warning("a", b"w"), warning("b", b"w")))

    assert len(model.warnings) == 1
    assert [len(step.warnings) for step in model.visible] == [1, 1]


def test_a_warning_that_is_repeated_is_taken_once() -> None:
    model = model_of(vertex("a"), warning("a", b"w"), warning("a", b"w"))

    assert len(only(model).warnings) == 1


def test_a_canceled_step_did_not_fail() -> None:
    step = only(model_of(vertex("a", 0, 1, error="solve: context canceled")))

    assert step.canceled
    assert not step.failed


def test_an_update_that_repeats_what_is_known_is_no_news() -> None:
    model = model_of(vertex("a", 0, 1), keep_news=True)
    only(model).take_news()
    model.changed.clear()

    model.apply(update(vertex("a", 0, 1)), at(1) or 0)

    assert not model.changed


def test_a_log_line_carries_the_time_since_the_latest_start() -> None:
    model = model_of(
        (vertex("a", 0, 1), log("a", b"x\n", 0.5)), (vertex("a", 5), log("a", b"y\n", 6))
    )

    assert [line.at for line in only(model).log.lines] == ["0.500", "1.000"]


def test_logs_of_steps_that_ended_well_can_be_dropped() -> None:
    model = Model(keep_done_logs=False)
    model.apply(update(vertex("a"), vertex("b"), log("a", b"x\n"), log("b", b"x\n")), 0)
    model.apply(update(vertex("a", 0, 1), vertex("b", 0, 1, error="no")), 0)

    assert [len(step.log.lines) for step in model.visible] == [0, 1]


GROUP = ProgressGroup(id="g", name="the group")
WEAK = attrs.evolve(GROUP, weak=True)


def test_a_group_is_one_step_with_its_members_times_logs_and_statuses() -> None:
    model = model_of(
        (vertex("a", 0, 1, group=GROUP), vertex("b", 3, 5, group=GROUP)),
        (log("a", b"from a\n"), log("b", b"from b\n"), status("a", "s"), status("b", "s")),
    )

    step = only(model)
    assert step.name == "the group"
    assert step.duration(0) == 3 * SECOND
    assert [line.text for line in step.log.lines] == ["from a", "from b"]
    assert len(step.statuses) == 2
    assert model.counts() == (1, 1)


def test_a_group_runs_while_any_member_runs() -> None:
    model = model_of((vertex("a", 0, 1, group=GROUP), vertex("b", 0, group=GROUP)))

    assert only(model).running


def test_a_group_is_cached_only_if_all_members_are() -> None:
    half = (vertex("a", 0, 1, cached=True, group=GROUP), vertex("b", 0, 1, group=GROUP))

    assert not only(model_of(half)).cached
    assert only(model_of(half, vertex("b", 0, 1, cached=True, group=GROUP))).cached


def test_a_group_has_its_first_members_error() -> None:
    model = model_of(
        (
            vertex("a", 0, 1, group=GROUP),
            vertex("b", 0, 1, error="first", group=GROUP),
            vertex("c", 0, 1, error="second", group=GROUP),
        )
    )

    assert only(model).error == "first"


def test_a_weak_group_is_hidden_until_a_firm_member_starts() -> None:
    model = model_of(vertex("a", 0, 1, group=WEAK), vertex("b", None, group=GROUP))
    assert model.visible == []
    assert model.counts() == (0, 0)

    model.apply(update(vertex("b", 2, group=GROUP)), at(2) or 0)

    assert only(model).name == "the group"


def test_a_weak_group_shows_up_with_its_second_error() -> None:
    model = model_of(vertex("a", 0, 1, error="one", group=WEAK), vertex("b", 0, group=WEAK))
    assert model.visible == []

    model.apply(update(vertex("b", 0, 1, error="two", group=WEAK)), at(2) or 0)

    assert only(model).error == "one"


def test_a_vertex_that_was_only_announced_can_still_join_a_group() -> None:
    model = model_of(vertex("a", None), vertex("a", 0, 1, group=GROUP))

    assert only(model).name == "the group"
    assert model.counts() == (1, 1)


def test_a_vertex_that_has_started_by_itself_stays_by_itself() -> None:
    model = model_of(vertex("a", 0), vertex("a", 0, 1, group=GROUP))

    assert only(model).name == "a"
    assert not only(model).running
