"""A process that has Dockyard loaded already, and becomes a command for whoever asks.

Most of what a short command costs is Python's start and Dockyard's import, some fifth of a second
of a processor; a run of all tests has thousands of them. Here both are done once. Each command is
a process of its own all the same, forked off: its arguments, variables, directory, streams and
exit code are as of any other, and it ends as ``dockyard`` ends.

:mod:`support.command` asks, over the socket in the first argument: a request with the command's
three streams and a socket for the answers, which are its process id and then its exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from contextlib import suppress

PACKAGES = (
    "dockyard.cli",
    "dockyard.api",
    "dockyard.building",
    "dockyard.builder",
    "dockyard.progress",
    "dockyard.plugin",
    "dockyard.session",
    "dockyard.buildkit",
    "dockyard.fsutil",
    "dockyard.wire",
    "dockyard.driver",
    "dockyard.engine",
    "dockyard_docker",
    "dockyard_docker_container",
    "dockyard_kubernetes",
    "dockyard_remote",
)
OTHERS = ("importlib.metadata", "json", "pluggy", "ssl", "tarfile")
LARGEST = 1 << 20
STREAMS = 3


def main() -> None:
    """Load everything, then fork a command for each request until nobody can ask any more."""
    sys.path[0] = sys.argv[2]  # as for a script there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; commands heed it
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _load()
        gc.collect()
        gc.freeze()  # a command that collects garbage need not copy all of this
        _serve(asked)


def _serve(asked: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who look after the commands just end
    while True:
        request, files, _, _ = socket.recv_fds(asked, LARGEST, STREAMS + 1)
        if not request:
            return
        if os.fork() == 0:
            asked.close()
            _look_after(json.loads(request), files)
            return
        for file in files:
            os.close(file)


def _load() -> None:
    """Import what commands import; one that cannot be is left to the command that needs it."""
    for name in (*PACKAGES, *OTHERS):
        with suppress(Exception):
            importlib.import_module(name)
        path = getattr(sys.modules.get(name), "__path__", ())
        for found in pkgutil.walk_packages(path, f"{name}.", onerror=lambda _: None):
            with suppress(Exception):
                importlib.import_module(found.name)


def _look_after(request: dict[str, object], files: list[int]) -> None:
    """Fork the command, and tell its process id and its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, answers = files
    if (command := os.fork()) == 0:
        os.close(answers)
        _become(request, streams)
        return
    for stream in streams:
        os.close(stream)
    with socket.socket(fileno=answers) as line, suppress(BrokenPipeError):
        line.send(str(command).encode())
        _, status = os.waitpid(command, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, object], streams: list[int]) -> None:
    """Turn this process into the command; it ends in here, or as the interpreter ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    variables, arguments, directory = (request[name] for name in ("env", "argv", "cwd"))
    assert isinstance(variables, dict)
    assert isinstance(arguments, list)
    os.chdir(str(directory))
    os.environ.clear()
    os.environ.update(variables)
    sys.path[1:1] = [place for place in variables.get("PYTHONPATH", "").split(":") if place]
    sys.argv = arguments
    importlib.invalidate_caches()
    from dockyard.cli import main as entry

    run = entry.docker_buildx if arguments[0].endswith("docker-buildx") else entry.dockyard
    sys.exit(run())


if __name__ == "__main__":
    main()
