"""Text that is fit for a terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.progress.display import Paper
from dockyard.progress.output import Output
from dockyard.progress.screen import Line, Screen, printable
from support.terminal import Terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("10%\r20%", "20%"),
        ("windows\r", "windows"),
        ("a\x1b[1;31mred\x1b[0m", "ared"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "alink"),
        ("a\x1b(Bb\x1bcc", "abc"),
        ("unfinished\x1b[12", "unfinished"),
        ("a\x9b2Jb\x85c\x7f", "abc"),
        ("a\tb", "a       b"),
        ("\u202eabc\u2069", "abc"),
        ("half \ud800", "half "),
        ("na\u00efve \u4e2d", "na\u00efve \u4e2d"),
    ],
)
def test_only_what_can_be_shown_remains(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_colours_may_stay_and_are_then_ended() -> None:
    assert printable("\x1b[31mred\x1b[2J", colour=True) == "\x1b[31mred\x1b[0m"


@given(st.text(st.characters() | st.sampled_from("\x1b[];m\r\n\t\x07\x9b\x9d")))
def test_no_control_character_remains(text: str) -> None:
    shown = printable(text)

    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]


def screen(columns: int, lines: int = 10) -> Screen:
    paper = Paper(
        output=Output(io.StringIO()),
        environment={},
        builder="b",
        driver="d",
        debug=False,
        terminal=True,
        clock=lambda: 0,
    )
    made = Screen(paper, lambda: (columns, lines))
    made.measure()
    return made


def test_a_row_fills_the_whole_width() -> None:
    assert screen(13).row("left", "right") == "left   right"


def test_the_left_part_of_a_row_gives_way_first() -> None:
    assert screen(12).row("much too long", "1.0s") == "much   1.0s"
    assert screen(17).row("much too long", "1.0s") == "much too l  1.0s"


def test_without_room_for_both_the_right_part_goes() -> None:
    assert screen(5).row("much too long", "10.0s") == "much"
    assert screen(2).row("long", "1.0s") == "l"


def test_a_long_name_gives_way_to_the_amount_beside_it() -> None:
    name = " => => sha256:0123456789"

    assert screen(35).row(name, "1.0s", "2B / 4B") == " => => sha256:012345 2B / 4B  1.0s"
    assert screen(24).row(name, "1.0s", "2B / 4B") == " => => sha256:012  1.0s"


@given(st.integers(1, 40), st.text(), st.text(max_size=8), st.text(max_size=12))
def test_a_row_is_never_wider_than_the_screen(
    columns: int, left: str, right: str, amount: str
) -> None:
    made = screen(columns)

    row = made.row(printable(left), printable(right), printable(amount))

    assert made.width(row) <= columns


def test_a_stream_without_descriptor_counts_as_eighty_columns() -> None:
    paper = Paper(
        output=Output(io.StringIO()),
        environment={},
        builder="b",
        driver="d",
        debug=False,
        terminal=True,
        clock=lambda: 0,
    )
    made = Screen(paper, None)

    made.measure()

    assert (made.columns, made.lines) == (80, 24)


def test_a_shorter_frame_erases_the_rest_of_a_longer_one() -> None:
    stream = io.StringIO()
    paper = Paper(
        output=Output(stream),
        environment={},
        builder="b",
        driver="d",
        debug=False,
        terminal=True,
        clock=lambda: 0,
    )
    made = Screen(paper, lambda: (5, 10))
    made.measure()

    made.draw([Line("one"), Line("two"), Line("three")])
    made.draw([Line("1")])
    made.draw([Line("12345"), Line("2")])

    terminal = Terminal(5, 10)
    terminal.write(stream.getvalue())
    assert terminal.text == "12345\n2\n"
