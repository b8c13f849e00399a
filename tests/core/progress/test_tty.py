"""The terminal: what is on the screen, whatever its size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.progress import make_display
from support.stage import BEGINNING, Stage, log, status, update, vertex, warning
from support.terminal import Terminal

RUN, DONE, ERROR = "[2/2] RUN make", "[1/2] FROM alpine", "exit code: 2"


def test_steps_statuses_and_output_are_shown_while_they_run() -> None:
    stage = Stage("tty", size=(48, 20))

    stage.at(0, vertex(DONE), status(DONE, "sha256:ab", 21_000, 36_000, started=0))
    stage.at(1, vertex(RUN, 1), log(RUN, b"one\ntwo\n", 1))
    stage.at(2.04, vertex(DONE, 0, 1.25), status(DONE, "extracting", started=0, completed=1))

    assert stage.terminal.text == (
        "[+] Building 2.0s (1/2)              remote:rem\n"
        " => [1/2] FROM alpine                      1.2s\n"
        " => => sha256:ab 21.00kB / 36.00kB         1.2s\n"
        " => => extracting                          1.0s\n"
        " => [2/2] RUN make                         1.0s\n"
        " => => # one\n"
        " => => # two\n"
    )


def test_the_end_leaves_every_step_and_says_finished() -> None:
    stage = Stage("tty", size=(48, 20))
    stage.at(0, vertex(DONE), vertex(RUN), log(RUN, b"one\n"))
    stage.at(4.2, vertex(DONE, 0, 1, cached=True), vertex(RUN, 0, 4.2))

    stage.close()

    assert stage.terminal.text == (
        "[+] Building 4.2s (2/2) FINISHED     remote:rem\n"
        " => CACHED [1/2] FROM alpine               1.0s\n"
        " => [2/2] RUN make                         4.2s\n"
    )


def test_a_failure_leaves_all_of_the_failed_steps_output() -> None:
    stage = Stage("tty", size=(48, 20), environment={"NO_COLOR": "1"})
    lines = b"".join(b"line %d\n" % number for number in range(30))
    stage.at(0, vertex(RUN), log(RUN, lines, 0.5))
    stage.at(2, vertex(RUN, 0, 1.5, error=ERROR), vertex("c", 0, 1, error="x: context canceled"))

    stage.close(failed=True)

    kept = "".join(f"0.500 line {number}\n" for number in range(30))
    assert stage.terminal.text == (
        "[+] Building 2.0s (2/2) FINISHED     remote:rem\n"
        " => ERROR [2/2] RUN make                   1.5s\n"
        " => CANCELED c                             1.0s\n"
        f"------\n > [2/2] RUN make:\n{kept}------\n"
    )


def test_warnings_are_shown_at_their_step_and_summed_up() -> None:
    stage = Stage("tty", size=(60, 20))
    stage.at(0, vertex(DONE, 0, 0), warning(DONE, b"Rule: words (line 3)"))

    stage.close()

    assert stage.terminal.text == (
        "[+] Building 0.0s (1/1) FINISHED                 remote:rem\n"
        " => [1/2] FROM alpine                                  0.0s\n"
        " => WARN: Rule: words (line 3)                         0.0s\n"
        "\n"
        " 1 warning found (use docker --debug to expand):\n"
        " - Rule: words (line 3)\n"
    )


def test_nothing_is_drawn_before_the_first_step_starts() -> None:
    stage = Stage("tty")

    stage.at(0, vertex("announced", None))
    stage.at(1)

    assert stage.text == ""
    assert stage.close() == ""


def test_the_clocks_move_on_with_every_tick() -> None:
    stage = Stage("tty", size=(48, 20))
    stage.at(0, vertex(RUN, 500), status(RUN, "extracting", started=500))

    stage.at(7.5)

    assert stage.terminal.text == (
        "[+] Building 7.5s (0/1)              remote:rem\n"
        " => [2/2] RUN make                         7.5s\n"
        " => => extracting                          7.5s\n"
    )


def test_a_status_that_never_started_has_no_time() -> None:
    stage = Stage("tty", size=(30, 20))

    stage.at(1, vertex(RUN, 1), status(RUN, "importing to docker"))

    assert stage.terminal.screen[2] == " => => importing to docker"


def test_ended_rows_give_way_to_running_ones_when_there_is_no_room() -> None:
    stage = Stage("tty", size=(40, 6))
    ended = [vertex(f"ended {number}", number, number + 1) for number in range(10)]
    running = [vertex(f"running {number}", number) for number in range(3)]

    stage.at(20, *running, *ended)

    screen = stage.terminal.screen
    assert [line[4:].split("  ")[0] for line in screen[1:]] == [
        "running 0",
        "running 1",
        "running 2",
        "ended 8",
        "ended 9",
    ]
    assert not stage.terminal.scrollback


def test_more_running_steps_than_lines_lose_the_oldest() -> None:
    stage = Stage("tty", size=(40, 3))

    stage.at(0, *(vertex(f"running {number}") for number in range(5)))

    assert [line[4:13] for line in stage.terminal.screen] == ["Building ", "running 3", "running 4"]


def test_the_end_shows_all_steps_even_if_they_scroll_away() -> None:
    stage = Stage("tty", size=(40, 5))
    stage.at(0, *(vertex(f"step {number}", 0, 1) for number in range(20)))

    stage.close()

    text = stage.terminal.text
    assert text.splitlines()[0] == "[+] Building 0.0s (20/20) FINISHED"
    assert text.count("[+]") == 1
    assert [text.count(f"step {number} ") for number in range(20)] == [1] * 20


@pytest.mark.parametrize(("setting", "shown"), [("", 6), ("2", 2), ("0", 0), ("many", 6)])
def test_the_output_window_has_as_many_lines_as_set(setting: str, shown: int) -> None:
    stage = Stage("tty", environment={"BUILDKIT_TTY_LOG_LINES": setting})

    stage.at(0, vertex(RUN), log(RUN, b"".join(b"line %d\n" % n for n in range(20))))

    window = [line for line in stage.terminal.screen if line.startswith(" => => #")]
    assert window == [f" => => # line {n}" for n in range(20 - shown, 20)]


def test_the_output_window_takes_only_lines_that_are_free() -> None:
    stage = Stage("tty", size=(40, 6))
    lines = b"".join(b"line %d\n" % n for n in range(9))

    stage.at(0, vertex("a"), vertex("b"), log("a", lines, 1), log("b", lines, 2))

    assert [line[:20].rstrip() for line in stage.terminal.screen[1:]] == [
        " => a",
        " => b",
        " => => # line 6",
        " => => # line 7",
        " => => # line 8",
    ]


def test_output_cannot_break_the_screen() -> None:
    stage = Stage("tty", size=(40, 20))
    nasty = (
        b"\x1b[2Jcleared\n\x1b]0;title\x07titled\n10%\r50%\r\n\ta tab\n\x9b31mred\x00\x08\n"
        + "\u202eturned \u4e2d\u6587 \U0001f600\n".encode()
        + b"x" * 500
        + b"\n"
    )
    stage.at(0, vertex(f"RUN {RUN}\x1b[H\nnext"), log(f"RUN {RUN}\x1b[H\nnext", nasty))

    terminal = stage.terminal
    assert terminal.clipped == 0
    assert terminal.screen[1:] == [
        " => RUN [2/2] RUN makenext         0.0s",
        " => => # titled",
        " => => # 50%",
        " => => #         a tab",
        " => => # \ufffd31mred",
        " => => # turned \u4e2d\u6587 \U0001f600",
        " => => # " + "x" * 30,
    ]


def test_a_failed_steps_colours_stay_and_its_cursor_movements_go() -> None:
    data = b"\x1b[2J\x1b[35mpurple\x1b[A\n"
    coloured = Stage("tty", environment={"TERM": "xterm"})
    plain = Stage("tty", environment={"TERM": "xterm", "NO_COLOR": "1"})

    for stage in (coloured, plain):
        stage.at(0, vertex(RUN, 0, 1, error=ERROR), log(RUN, data))
        stage.close(failed=True)

    assert "0.000 \x1b[35mpurple\x1b[0m\r\n" in coloured.text
    assert "0.000 purple\r\n" in plain.text


def test_wide_characters_are_cut_at_the_edge_and_not_in_the_middle() -> None:
    for columns in range(1, 40):
        stage = Stage("tty", size=(columns, 10))

        stage.at(
            0,
            vertex("\u4e2d\u6587" * 20),
            log("\u4e2d\u6587" * 20, "\u4e2d\u6587\u4e2d".encode() * 9),
        )

        assert stage.terminal.clipped == 0
        assert len(stage.terminal.rows) == 3


COLOURS = {"TERM": "xterm-256color"}


def colours(environment: dict[str, str]) -> set[str]:
    stage = Stage("tty", environment=environment)
    stage.at(
        0,
        vertex("done", 0, 1),
        vertex("failed", 0, 1, error="no"),
        vertex("canceled", 0, 1, error="context canceled"),
        vertex("runs"),
        log("runs", b"line\n"),
    )
    stage.close(failed=True)
    return stage.terminal.colours


def test_done_failed_and_canceled_steps_have_colours() -> None:
    assert colours(COLOURS) == {"34", "31", "33", "2"}


def test_no_color_leaves_no_colour_at_all() -> None:
    assert colours(COLOURS | {"NO_COLOR": "1", "BUILDKIT_COLORS": "run=green"}) == set()


def test_a_terminal_without_colours_gets_none() -> None:
    assert colours({"TERM": "dumb"}) == set()


def test_colours_can_be_set() -> None:
    environment = COLOURS | {"BUILDKIT_COLORS": "run=light-green:error=1,2,3:cancel=magenta"}

    assert colours(environment) == {"92", "38;5;16", "35", "2"}


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5), (5, 2), (3, 40), (0, 0)])
def test_the_smallest_terminals_do_no_harm(size: tuple[int, int]) -> None:
    stage = Stage("tty", size=size)
    stage.at(0, vertex(RUN), vertex("b"), log(RUN, b"line\n"), status(RUN, "x", 5, started=0))
    for tenth in range(2, 9):
        stage.at(tenth / 10)
    if size[0]:
        running = stage.terminal
        assert not running.scrollback
        assert running.clipped == 0
        assert len(running.rows) <= size[1]
        shown = max(size[0] - 1, 1)
        assert running.screen[0] == "[+] Building 0.8s (0/2)"[:shown].rstrip()

    stage.close()

    assert "FINISHED" in stage.text or size[0] < 20


def test_making_the_terminal_smaller_or_larger_leaves_one_header() -> None:
    stage = Stage("tty", size=(60, 12), environment={"NO_COLOR": "1"})
    terminal = Terminal(60, 12)
    written = 0
    stage.at(0, vertex("a"), vertex("b"), vertex("c"), log("c", b"1\n2\n3\n"))

    for step, size in enumerate([(60, 12), (25, 12), (70, 12), (70, 3), (30, 8), (8, 2), (60, 12)]):
        terminal.resize(*size)
        stage.size = size
        stage.at(1 + step)
        terminal.write(stage.text[written:])
        written = len(stage.text)
        assert sum("[+] Bu" in line for line in terminal.screen) == 1
        assert len(terminal.screen) <= size[1]

    stage.close()
    terminal.write(stage.text[written:])
    assert [line[:13].rstrip() for line in terminal.screen] == [
        "[+] Building",
        " => a",
        " => b",
        " => c",
        "",
    ]


def test_every_frame_leaves_the_cursor_shown_and_wrapping_on() -> None:
    stage = Stage("tty", size=(30, 6))
    for second in range(5):
        stage.at(second, vertex(f"step {second}", second), log(f"step {second}", b"x\n"))

        assert stage.terminal.cursor_shown
        assert stage.terminal.wraps

    stage.close()

    assert stage.terminal.cursor_shown
    assert stage.terminal.wraps
    assert stage.text.endswith("\n\x1b[?7h\x1b[?25h")


# Characters whose width is beyond dispute; a line with others may be clipped, but never wraps.
TITLES = st.text(st.sampled_from("ab \u00e9\u4e2d\U0001f600\x1b[;m\r\n\t\x9b\u202e"), max_size=30)


@given(
    st.lists(
        st.tuples(
            st.tuples(st.integers(1, 50), st.integers(1, 12)),
            st.lists(
                st.one_of(
                    st.builds(vertex, st.sampled_from("abc"), st.just(0), st.none() | st.just(1)),
                    st.builds(log, st.sampled_from("abc"), TITLES.map(str.encode)),
                    st.builds(status, st.sampled_from("abc"), TITLES),
                    st.builds(warning, st.sampled_from("abc"), TITLES.map(str.encode)),
                ),
                max_size=5,
            ),
        ),
        max_size=10,
    )
)
@settings(deadline=None)
def test_any_sequence_of_updates_stays_within_the_screen(
    script: list[tuple[tuple[int, int], list[object]]],
) -> None:
    stage = Stage("tty", size=(40, 10))
    terminal = Terminal(40, 10)
    written = 0

    for second, (size, events) in enumerate(script):
        terminal.resize(*size)
        stage.size = size
        stage.at(second, *events)  # type: ignore[arg-type]
        terminal.write(stage.text[written:])
        written = len(stage.text)
        assert terminal.clipped == 0
        assert terminal.cursor_shown
    stage.close()


# --- a real pseudo terminal ----------------------------------------------------------------


class Screen:
    """The other end of a pseudo terminal, read in the background."""

    def __init__(self, master: int, stream: TextIO) -> None:
        self.stream = stream
        self._master = master
        self._data = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def hang_up(self) -> str:
        """Return all that was written, once the program's end is closed."""
        self.stream.close()
        self._reader.join()
        return self._data.decode()

    def _read(self) -> None:
        with suppress(OSError):  # what Linux says when the other end is closed
            while data := os.read(self._master, 65536):
                self._data += data


@pytest.fixture
def screen() -> Iterator[Screen]:
    master, slave = pty.openpty()
    screen = Screen(master, os.fdopen(slave, "w", encoding="utf-8"))
    yield screen
    screen.hang_up()
    os.close(master)


def test_a_pseudo_terminal_shows_the_finished_build(screen: Screen) -> None:
    screen.resize(50, 10)
    now = BEGINNING
    display = make_display(
        "auto",
        screen.stream,
        environment={"TERM": "xterm"},
        builder="default",
        driver="docker",
        clock=lambda: now,
    )
    assert display.mode == "tty"

    display.update(update(vertex(DONE), vertex(RUN), log(RUN, "caf\u00e9\n".encode() * 30)))
    for second in range(1, 5):
        now = BEGINNING + second * 10**9
        display.tick()
    display.update(update(vertex(DONE, 0, 1), vertex(RUN, 0, 4)))
    display.close()

    terminal = Terminal(50, 10)
    terminal.write(screen.hang_up())
    assert terminal.clipped == 0
    assert terminal.text == (
        "[+] Building 4.0s (2/2) FINISHED   docker:default\n"
        " => [1/2] FROM alpine                        1.0s\n"
        " => [2/2] RUN make                           4.0s\n"
    )
    assert all(len(line) <= 50 for line in terminal.screen)


def test_the_size_of_a_pseudo_terminal_is_asked_for_every_time(screen: Screen) -> None:
    now = BEGINNING
    display = make_display(
        "tty", screen.stream, environment={}, builder="b", driver="d", clock=lambda: now
    )
    terminal = Terminal(80, 24)

    screen.resize(80, 24)
    display.update(update(vertex(DONE), vertex(RUN)))
    screen.resize(20, 24)
    now += 10**9
    display.close()

    terminal.resize(20, 24)
    terminal.write(screen.hang_up())
    assert terminal.screen[-4:] == [
        "[+] Building 1.0s (",
        " => [1/2] FRO  1.0s",
        " => [2/2] RUN  1.0s",
        "",
    ]


def test_a_terminal_that_can_only_write_gets_plain_lines(screen: Screen) -> None:
    display = make_display(
        "auto", screen.stream, environment={"TERM": "dumb"}, builder="b", driver="d"
    )

    assert display.mode == "plain"
