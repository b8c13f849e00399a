"""Choosing a display."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import pytest

from dockyard.errors import InputError
from dockyard.progress import MODES, make_display, resolve_mode
from support.stage import Stage, log, update, vertex


@pytest.mark.parametrize(
    ("mode", "environment", "terminal", "chosen"),
    [
        ("auto", {}, True, "tty"),
        ("auto", {}, False, "plain"),
        ("", {}, False, "plain"),
        ("auto", {"TERM": "dumb"}, True, "plain"),
        ("auto", {"BUILDKIT_PROGRESS": "rawjson"}, True, "rawjson"),
        ("auto", {"BUILDKIT_PROGRESS": "auto"}, True, "tty"),
        ("auto", {"BUILDKIT_PROGRESS": ""}, False, "plain"),
        ("plain", {"BUILDKIT_PROGRESS": "rawjson"}, True, "plain"),
        ("plain", {"BUILDKIT_PROGRESS": "nonsense"}, True, "plain"),
        ("tty", {}, True, "tty"),
        ("tty", {}, False, "plain"),
        ("quiet", {}, True, "quiet"),
        ("none", {}, True, "none"),
    ],
)
def test_the_mode_follows_flag_variable_and_terminal(
    mode: str, environment: dict[str, str], terminal: bool, chosen: str
) -> None:
    assert resolve_mode(mode, environment, terminal=terminal) == chosen


@pytest.mark.parametrize(("mode", "variable"), [("foo", ""), ("auto", "foo"), ("Plain", "")])
def test_an_unknown_mode_is_refused(mode: str, variable: str) -> None:
    wrong = variable or mode

    with pytest.raises(InputError, match=f"^invalid progress mode {wrong}$") as caught:
        resolve_mode(mode, {"BUILDKIT_PROGRESS": variable}, terminal=False)

    assert caught.value.hint == f"the modes are {', '.join(MODES)}"


def test_whether_a_stream_is_a_terminal_is_asked_of_it() -> None:
    display = make_display("auto", io.StringIO(), environment={}, builder="b", driver="d")

    assert display.mode == "plain"


@pytest.mark.parametrize("mode", ["quiet", "none"])
def test_quiet_and_none_show_nothing(mode: str) -> None:
    stage = Stage(mode)

    stage.at(0, vertex("a", 0, 1, error="no"), log("a", b"line\n"))
    stage.at(1)

    assert stage.display.mode == mode
    assert stage.display.interval is None
    assert stage.close(failed=True) == ""


def test_a_display_takes_updates_from_many_threads() -> None:
    stream = io.StringIO()
    display = make_display("plain", stream, environment={}, builder="", driver="")
    display.update(update(vertex("a")))
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(300):
            display.update(update(log("a", b"line\n")))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    display.close()

    assert stream.getvalue().count("line\n") == 1200


_PLAIN_BUILD = """
import io, sys
from dockyard.events import StatusUpdate, Vertex, VertexLog
from dockyard.progress import make_display
display = make_display({mode!r}, sys.stdout, environment={{}}, builder="b", driver="d")
display.update(StatusUpdate(
    vertexes=(Vertex(digest="a", name="step", started=1, completed=2, error="no"),),
    logs=(VertexLog(vertex="a", data=b"line"),),
))
display.tick()
display.close(True)
heavy = {{"rich", "logging", "subprocess", "asyncio", "email", "pluggy", "docker"}}
sys.exit(", ".join(sorted(heavy & sys.modules.keys())) or None)
"""


@pytest.mark.parametrize("mode", ["plain", "rawjson", "quiet"])
def test_no_terminal_library_is_loaded_without_a_terminal(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PLAIN_BUILD.format(mode=mode)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert ("step" in done.stdout) == (mode != "quiet")
