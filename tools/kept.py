"""Engines that stay up between commands: ``./dev engine up``, ``down`` and ``env``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tools import engine
from tools.cache import cache_root, locked
from tools.engine import Kind, PrivateEngine
from tools.report import DevError, say


def up(kind: Kind) -> str:
    """Start an engine that stays, unless it runs already; return its host."""
    with locked(_record(kind).with_suffix(".lock")):
        running = _running(kind)
        if running is None:
            running = engine.start(kind, keep=True)
            _record(kind).write_text(str(running.control.folder))
            say(f"started {describe(running)}; './dev engine down' ends it")
        return _let_go(running)


def down(kind: Kind) -> None:
    """End the engine of one kind, if it is up."""
    with locked(_record(kind).with_suffix(".lock")):
        running = _running(kind)
        if running is not None:
            description = describe(running)
            running.end()
            say(f"ended {description}")
        _record(kind).unlink(missing_ok=True)


def host(kind: Kind) -> str:
    """Return the host of an engine that is up."""
    running = _running(kind)
    if running is None:
        raise DevError(f"engine {kind.name} is not up: './dev engine up --which {kind.name}'")
    return _let_go(running)


def describe(private: PrivateEngine) -> str:
    """Return a line about a private engine."""
    return f"private Docker Engine {private.version} (pid {private.pid}, {private.host})"


def _running(kind: Kind) -> PrivateEngine | None:
    with suppress(OSError):
        return engine.attach(kind, Path(_record(kind).read_text()))
    return None


def _let_go(running: PrivateEngine) -> str:
    running.control.release()
    return running.host


def _record(kind: Kind) -> Path:
    folder = cache_root() / "engines"
    folder.mkdir(exist_ok=True)
    return folder / kind.name
