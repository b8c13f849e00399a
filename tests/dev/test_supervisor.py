"""The supervisor's promises, with a small web server in the place of a Docker Engine."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import process
from tools.control import Control
from tools.report import DevError
from tools.supervisor import FOLDER_PREFIX, OWNER, Spec, sweep

SERVER = """
import os, signal, socketserver, subprocess, sys
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def address_string(self): return "somebody"
    def log_message(self, *rest): pass
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

subprocess.Popen(["sleep", "600"], start_new_session=True)
if "--stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.path.exists("server.sock"):
    os.unlink("server.sock")
socketserver.UnixStreamServer("server.sock", Handler).serve_forever(0.05)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one daemon; its path is short, as a unix socket's must be."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        path = Path(parent) / "daemon"
        path.mkdir()
        yield path


def spec(folder: Path, *arguments: str, keep: bool = False, code: str = SERVER) -> Spec:
    return Spec(
        argv=[sys.executable, "-c", code, *arguments],
        environment={},
        socket=str(folder / "server.sock"),
        keep=keep,
    )


def pids_of(control: Control) -> set[int]:
    supervisor = control.ask("status").supervisor
    return {supervisor, *process.descendants(supervisor)}


def test_the_end_of_the_last_connection_ends_everything(folder: Path) -> None:
    control = Control.launch(folder, spec(folder))
    second = Control(folder)
    pids = pids_of(control)

    control.release()
    still_there = second.ask("status").pid
    second.release()

    assert len(pids) == 3  # the supervisor, the server, and the program that it let go
    assert still_there in pids
    assert all(process.wait_gone(pid, 30) for pid in pids)
    assert not folder.exists()


def test_a_kept_daemon_outlives_its_connections_until_told_to_quit(folder: Path) -> None:
    control = Control.launch(folder, spec(folder, keep=True))
    pid = control.state.pid
    control.release()

    again = Control(folder)
    answered = again.state.pid
    again.end()

    assert answered == pid
    assert not process.alive(pid)
    assert not folder.exists()


def test_a_daemon_that_ignores_sigterm_is_killed_at_the_end(folder: Path) -> None:
    control = Control.launch(folder, spec(folder, "--stubborn"))
    pids = pids_of(control)

    control.end()

    assert not [pid for pid in pids if process.alive(pid)]


def test_sigterm_ends_a_supervisor_and_its_daemon(folder: Path) -> None:
    control = Control.launch(folder, spec(folder, keep=True))
    pids = pids_of(control)

    os.kill(control.state.supervisor, signal.SIGTERM)

    assert all(process.wait_gone(pid, 30) for pid in pids)
    assert not folder.exists()
    control.release()


def test_restart_and_kill_change_the_process(folder: Path) -> None:
    control = Control.launch(folder, spec(folder))
    first = control.state.pid

    second = control.ask("restart").pid
    killed = control.ask("kill").pid
    third = control.ask("start").pid
    control.end()

    assert killed == 0
    assert len({first, second, third, 0}) == 4


def test_a_daemon_that_cannot_start_is_reported_in_its_own_words(folder: Path) -> None:
    code = "print('one'); print('no space left'); raise SystemExit(3)"

    with pytest.raises(DevError, match="ended with 3: no space left"):
        Control.launch(folder, spec(folder, code=code))

    assert not folder.exists()


def test_a_supervisor_that_is_just_ending_counts_as_gone(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        ending = threading.Thread(target=lambda: listener.accept()[0].close())
        ending.start()
        with pytest.raises(OSError):  # noqa: PT011  # which of them is a matter of time
            Control(folder)
        ending.join(60)


def test_a_sweep_removes_the_folders_of_the_dead_only(folder: Path) -> None:
    dead, living, new = (folder / f"{FOLDER_PREFIX}{name}" for name in ("dead", "living", "new"))
    for path, text in ((dead, "bridge="), (living, "bridge="), (new, "")):
        path.mkdir()
        (path / OWNER).write_text(text)

    with (living / OWNER).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sweep(folder)

    assert not dead.exists()
    assert living.exists()
    assert new.exists()
