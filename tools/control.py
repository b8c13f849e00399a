"""The caller's end of a supervised daemon: start one, hold it, command it, let it go."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.process import wait_gone
from tools.report import DevError
from tools.supervisor import FOLDER_PREFIX, Spec, sweep

ROOT = Path(__file__).resolve().parent.parent
ANSWER_SECONDS = 240
"""More than the supervisor takes for anything."""
PARENT = Path("/var/tmp")


@dataclass(frozen=True, kw_only=True)
class State:
    """What the supervisor says of itself."""

    supervisor: int
    """The supervisor's process id."""
    pid: int
    """The daemon's process id; 0 while it does not run."""
    bridge: str
    """The network bridge made for it, if it has one."""


def new_folder() -> Path:
    """Make a folder for one daemon, readable by its owner only.

    Below ``/var/tmp`` and not ``/tmp``, which often is in memory, for a daemon's data are large;
    and not in the cache or the repository, as a unix socket's path may have 107 bytes only.
    """
    sweep(PARENT)
    return Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=PARENT))


class Control:
    """A connection to a supervisor. While it is open the daemon runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.connect(str(folder / "control.sock"))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("r")
        try:
            self.state = self.ask("status")
        except OSError:
            self.release()  # it is just ending
            raise

    @classmethod
    def launch(cls, folder: Path, spec: Spec) -> Control:
        """Start a daemon in a folder of its own and return once it answers."""
        spec.write(folder)
        # dockerd takes some of its settings from variables that are meant for clients.
        kept = {name: text for name, text in os.environ.items() if not name.startswith("DOCKER_")}
        done = subprocess.run(
            [sys.executable, "-m", "tools.supervisor", str(folder)],
            cwd=ROOT,
            env=kept,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            text = done.stderr.decode(errors="replace").strip()
            raise DevError(f"{spec.argv[0]} could not be started: {text}")
        return cls(folder)

    def ask(self, word: str) -> State:
        """Have the supervisor do something (see ``tools.supervisor.COMMANDS``) and wait for it.

        Raises:
            DevError: It cannot be done.
            OSError: The supervisor has ended.
        """
        self._socket.sendall(word.encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError(f"the supervisor of {self.folder} has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise DevError(f"cannot {word} the daemon in {self.folder}: {answer['error']}")
        self.state = State(**answer)
        return self.state

    def release(self) -> None:
        """Let the daemon go: it ends when nobody else holds it and it is not kept."""
        self._lines.close()
        self._socket.close()

    def end(self) -> None:
        """End the daemon, whoever else holds it, and wait until nothing of it is left."""
        self.ask("quit")
        self.release()
        if not wait_gone(self.state.supervisor, ANSWER_SECONDS):
            raise DevError(f"the supervisor with pid {self.state.supervisor} does not end")
