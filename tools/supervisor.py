"""The process that stands between a private daemon and whoever wanted it.

It starts the daemon, says when it answers, restarts or kills it when asked, and at the end leaves
nothing behind: no process, mount, bridge or file. The end comes with the last connection to its
control socket. The kernel closes a connection with the process that holds it, so a caller that is
interrupted, crashes or is killed outright cleans up as surely as one that asks; and several
processes (pytest's workers) may hold one daemon together. A daemon that is *kept* ends only when it
is told to.

``python -m tools.supervisor FOLDER`` reads ``FOLDER/spec.json`` and returns once the daemon
answers. The control socket takes words (:data:`COMMANDS`) and gives a line of JSON for each.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from tools import bridge, process
from tools.report import DevError

READY_SECONDS = 120
"""A daemon answers in one to three seconds; a busy machine may need many more."""
CONNECT_SECONDS = 30
"""How long a daemon that is not kept waits for its first connection."""
STOP_SECONDS = 30
"""How long a graceful stop may take before the daemon is killed."""
DISCARD_SECONDS = 3
"""The same at the very end, when the data are thrown away and only the machine must be clean."""

READY = "ready"
FOLDER_PREFIX = "dockyard-"
OWNER = "owner"
"""The file in a daemon's folder that names its bridge. The supervisor and the daemon hold a lock on
it, so the lock tells whether either is left, where a process id might be another's by then."""
COMMANDS = ("status", "stop", "start", "restart", "kill", "quit")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run: ``spec.json`` in the daemon's folder, which is the daemon's alone."""

    argv: list[str]
    """The command; ``{bridge}`` in it becomes the name of a new bridge."""
    environment: dict[str, str]
    """Variables that are added to the supervisor's own."""
    socket: str = ""
    """The unix socket that it will answer on; empty for a TCP port."""
    port: int = 0
    """The port on 127.0.0.1 that it will answer on; 0 for a unix socket."""
    path: str = "/"
    """What to GET there: any HTTP answer below 500 means ready."""
    keep: bool = False
    """True: runs until told to quit. False: until the last connection closes."""

    def write(self, folder: Path) -> None:
        (folder / "spec.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Spec:
        values = json.loads((folder / "spec.json").read_text())
        return cls(**values)


@dataclass(eq=False)
class Supervisor:
    """One daemon and everything that it started."""

    folder: Path
    spec: Spec
    daemon: subprocess.Popen[bytes] | None = None
    bridge: str = ""
    lock: TextIO | None = None
    quitting: bool = False
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    connections: set[socket.socket] = field(default_factory=set)

    def run(self, report: int) -> None:
        """Run until the end; writes READY to ``report``, or why the daemon cannot start."""
        process.adopt_orphans()
        try:
            self._claim()
            with self._listen() as listener:
                self._watch_signals()
                message = self._bring_up()
                os.write(report, message.encode())
                os.close(report)
                if message == READY:
                    self._serve(listener)
        finally:
            self._clean_up()

    def _bring_up(self) -> str:
        try:
            if "{bridge}" in self.spec.argv:
                self.bridge = bridge.create(self.folder.name).name
            self._claim()
            self._start()
        except (DevError, OSError) as error:
            return str(error)
        return READY

    def _claim(self) -> None:
        """Lock the folder, and write down what is to be removed with it."""
        if self.lock is None:
            self.lock = (self.folder / OWNER).open("w")
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.lock.seek(0)
        self.lock.write(f"bridge={self.bridge}")
        self.lock.flush()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.folder / "control.sock"))
        listener.listen()
        self.selector.register(listener, selectors.EVENT_READ)
        return listener

    def _watch_signals(self) -> None:
        """Have SIGTERM, SIGINT and SIGCHLD wake the loop, which does the work."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.selector.register(reader, selectors.EVENT_READ)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.quitting = True

    def _serve(self, listener: socket.socket) -> None:
        wanted_by = time.monotonic() + CONNECT_SECONDS
        seen = self.spec.keep
        while not self.quitting and (self.connections or self.spec.keep or not seen):
            if not seen and time.monotonic() > wanted_by:
                return
            for key, _ in self.selector.select(None if seen else 1):
                if key.fileobj is listener:
                    seen = True
                    self._accept(listener)
                elif isinstance(key.fileobj, socket.socket):
                    self._answer(key.fileobj)
                elif isinstance(key.fileobj, int):
                    os.read(key.fileobj, 4096)
            self._collect_orphans()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.connections.add(connection)
        self.selector.register(connection, selectors.EVENT_READ)

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if words := connection.recv(4096).decode().split():
                for word in words:
                    connection.sendall(json.dumps(self._obey(word)).encode() + b"\n")
                return
        self.selector.unregister(connection)
        self.connections.discard(connection)
        connection.close()

    def _obey(self, word: str) -> dict[str, object]:
        try:
            if word in ("stop", "restart"):
                self._stop(STOP_SECONDS)
            if word == "kill":
                self._kill()
            if word in ("start", "restart"):
                self._start()
        except (DevError, OSError) as error:
            return {"error": str(error)}
        self.quitting = self.quitting or word == "quit"
        running = self.daemon is not None and self.daemon.poll() is None
        pid = self.daemon.pid if self.daemon is not None and running else 0
        return {"supervisor": os.getpid(), "pid": pid, "bridge": self.bridge}

    def _start(self) -> None:
        if self.daemon is not None and self.daemon.poll() is None:
            return
        argv = [self.bridge if word == "{bridge}" else word for word in self.spec.argv]
        locks = (self.lock.fileno(),) if self.lock else ()
        with (self.folder / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                argv,
                env={**os.environ, **self.spec.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=locks,
                preexec_fn=lambda: process.end_with_parent(signal.SIGTERM),
            )
        self._wait_ready(self.daemon)

    def _wait_ready(self, daemon: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + READY_SECONDS
        while not answers(self.spec):
            if daemon.poll() is not None:
                raise DevError(
                    f"{self._name()} ended with {daemon.returncode}: {self._last_words()}"
                )
            if time.monotonic() > until:
                raise DevError(f"{self._name()} did not answer in {READY_SECONDS} s")
            time.sleep(0.02)

    def _stop(self, seconds: float) -> None:
        """Ask the daemon to end, and kill it when it takes longer than ``seconds``."""
        if self.daemon is None or self.daemon.poll() is not None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(seconds)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        """Kill the daemon and what ends with it: containerd, but not the containers."""
        if self.daemon is None:
            return
        below = process.descendants(self.daemon.pid)
        self.daemon.kill()
        self.daemon.wait()
        # A dockerd that starts while the old containerd is still to be collected takes that for
        # a running one, and waits for it in vain.
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            process.wait_gone(pid, STOP_SECONDS)
        self._collect_orphans()

    def _collect_orphans(self) -> None:
        """Collect ended processes that we adopted; the daemon itself is left to ``Popen``."""
        with suppress(ChildProcessError):
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            while ended := os.waitid(os.P_ALL, 0, flags):
                if self.daemon is not None and ended.si_pid == self.daemon.pid:
                    self.daemon.poll()
                else:
                    os.waitpid(ended.si_pid, 0)

    def _clean_up(self) -> None:
        self._stop(DISCARD_SECONDS)
        until = time.monotonic() + STOP_SECONDS
        while (left := process.descendants(os.getpid())) and time.monotonic() < until:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._collect_orphans()
            time.sleep(0.01)
        discard(self.folder, self.bridge)

    def _name(self) -> str:
        return Path(self.spec.argv[0]).name

    def _last_words(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "no output"


def discard(folder: Path, bridge_name: str) -> None:
    """Remove what a daemon had, once none of its processes is left."""
    if bridge_name:
        bridge.remove(bridge_name)
    for name in _bridges_of_networks(folder):
        bridge.remove(name)
    if process.unmount_below(folder):  # or else files of others might be removed
        shutil.rmtree(folder, ignore_errors=True)


def _bridges_of_networks(folder: Path) -> set[str]:
    """Return the bridges of ``docker network create``, which an engine leaves when it ends."""
    record = folder / "data" / "network" / "files" / "local-kv.db"
    if not record.exists():
        return set()
    return {name.decode() for name in re.findall(rb"\bbr-[0-9a-f]{12}\b", record.read_bytes())}


def sweep(parent: Path) -> None:
    """Remove what supervisors left that were killed themselves."""
    for path in parent.glob(f"{FOLDER_PREFIX}*/{OWNER}"):
        with suppress(OSError), path.open() as record:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name, _, bridge_name = record.read().partition("=")
            if name == "bridge":  # or else it is just being made, or made by another version
                discard(path.parent, bridge_name)


def answers(spec: Spec) -> bool:
    """Tell whether the daemon answers a plain HTTP request."""
    family = socket.AF_UNIX if spec.socket else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.settimeout(2)
        probe.connect(spec.socket or ("127.0.0.1", spec.port))
        probe.sendall(f"GET {spec.path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = probe.recv(4096).partition(b" ")[2][:1]
        return status in (b"2", b"3", b"4")
    return False


def main(folder: Path) -> int:
    """Start a supervisor that outlives this process; return 0 once its daemon answers."""
    spec = Spec.read(folder)
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader) as report:
            message = report.read()
        if message == READY:
            return 0
        sys.stderr.write(message or "the supervisor itself ended")
        return 1
    os.close(reader)
    os.setsid()  # Ctrl-C is for whoever sits at the terminal, not for the daemon
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    Supervisor(folder, spec).run(writer)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
