"""Failed steps' logs and warnings."""

from __future__ import annotations

from dockyard.events import SourceInfo, SourceRange, VertexWarning
from dockyard.progress.model import Model
from dockyard.progress.summary import failure_logs, warning_summary
from support.stage import at, log, update, vertex, warning


def test_failed_steps_are_repeated_with_their_last_lines() -> None:
    model = Model(max_log_lines=2)
    model.apply(
        update(
            vertex("RUN make", 0, 2, error="exit code: 2"),
            vertex("RUN true", 0, 1),
            vertex("RUN sleep", 0, 1, error="failed: context canceled"),
            log("RUN make", b"one\ntwo\nthree\n", 0.5),
            log("RUN true", b"fine\n"),
        ),
        at(2) or 0,
    )

    assert failure_logs(model.steps) == ("------\n > RUN make:\n0.500 two\n0.500 three\n------\n")


def test_a_failed_step_without_output_is_named() -> None:
    model = Model()
    model.apply(update(vertex("importing cache", 0, 1, error="not found")), at(1) or 0)

    assert failure_logs(model.steps) == "------\n > importing cache:\n------\n"


def test_no_warnings_need_no_summary() -> None:
    assert warning_summary([], debug=False, colour=False) == ""


def test_one_warning_is_counted_in_the_singular() -> None:
    summary = warning_summary([warning("a", b"Rule: words (line 3)")], debug=False, colour=False)

    assert summary == (
        "\n 1 warning found (use docker --debug to expand):\n - Rule: words (line 3)\n"
    )


def test_warnings_are_listed_in_a_line_each() -> None:
    summary = warning_summary(
        [warning("a", b"A: a"), warning("a", b"B: b")], debug=False, colour=True
    )

    assert summary == (
        "\n \x1b[33m2 warnings found (use docker --debug to expand):\x1b[0m\n - A: a\n - B: b\n"
    )


def test_debug_shows_warnings_in_full() -> None:
    full = VertexWarning(
        vertex="a",
        short=b"Rule: words (line 2)",
        detail=(b"Why it matters", b"and more"),
        url="https://example.com/rule",
        source=SourceInfo(filename="Dockerfile", data=b"FROM a\nRUN b\n"),
        ranges=(SourceRange(start_line=2, end_line=2),),
    )

    assert warning_summary([full], debug=True, colour=False) == (
        "\n"
        " 1 warning found:\n"
        " - Rule: words (line 2)\n"
        "Why it matters\n"
        "and more\n"
        "More info: https://example.com/rule\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM a\n"
        "   2 | >>> RUN b\n"
        "   3 |     \n"
        "--------------------\n"
        "\n"
    )


def test_a_warning_that_points_outside_of_its_source_has_no_excerpt() -> None:
    astray = VertexWarning(
        vertex="a",
        short=b"Rule: words",
        source=SourceInfo(filename="Dockerfile", data=b"FROM a\n"),
        ranges=(SourceRange(start_line=99, end_line=99),),
    )

    assert warning_summary([astray], debug=True, colour=False) == (
        "\n 1 warning found:\n - Rule: words\n\n"
    )


def test_foreign_text_is_made_fit_for_the_screen() -> None:
    model = Model()
    model.apply(update(vertex("n\x07", 0, 1, error="no"), log("n\x07", b"l\x07\n")), at(1) or 0)

    text = failure_logs(model.steps, lambda text: text.replace("\x07", "?"))

    assert text == "------\n > n?:\n0.000 l?\n------\n"
