"""An emulator for programs of another architecture, known to the kernel for as long as it is used.

The emulator comes out of Debian's package and is not installed. The kernel opens it when it is
registered (flag F), so it works in containers, too, without being in them.

Several processes may use it at a time, and any may be killed: each holds a shared lock. The last
that lets go takes back what was done, also what a killed one before it had done; what was there
beforehand stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools import debian
from tools.cache import cache_root, locked
from tools.packages import EMULATOR
from tools.report import DevError

MACHINE = "aarch64"
"""What is emulated: the kernel's name of ``linux/arm64``."""
HANDLERS = Path("/proc/sys/fs/binfmt_misc")
OURS = f"dockyard-{MACHINE}"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def why_not() -> str | None:
    """Say why this machine cannot emulate; None when it can, or needs not."""
    if served():
        return None
    if platform.machine() != "x86_64":
        return f"emulators are fetched for x86_64, and this machine is {platform.machine()}"
    if os.geteuid() != 0:
        return "registering an emulator needs root"
    if "binfmt_misc" not in Path("/proc/filesystems").read_text().split():
        return "the kernel has no binfmt_misc"
    return debian.why_not()


@contextmanager
def registered() -> Iterator[None]:
    """Have programs of ``linux/arm64`` run for as long as the block runs.

    Raises:
        DevError: It cannot be had here.
    """
    if reason := why_not():
        raise DevError(f"cannot emulate {MACHINE}: {reason}")
    folder = cache_root() / "emulation"
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("a") as users:
        with locked(folder / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            _set_up(folder / "done")
        try:
            yield
        finally:
            with locked(folder / "lock"), suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _take_back(folder / "done")


def _set_up(record: Path) -> None:
    """Do what is missing, and write down each thing before it is done."""
    done = _done(record)
    if not (HANDLERS / "register").exists():
        _note(record, [*done, "mount"])
        _mount("mount", "-t", "binfmt_misc", "binfmt_misc", str(HANDLERS))
    if not served():
        _note(record, [*_done(record), "register"])
        _write(HANDLERS / "register", _rule())


def _take_back(record: Path) -> None:
    done = _done(record)
    if "register" in done and (HANDLERS / OURS).exists():
        _write(HANDLERS / OURS, "-1")
    if "mount" in done and _handlers() == []:  # or else somebody uses what we mounted
        _mount("umount", str(HANDLERS))
    record.unlink(missing_ok=True)


def served() -> bool:
    """Tell whether the kernel runs such programs, in containers too."""
    if platform.machine() == MACHINE:
        return True
    for handler in _handlers():
        try:
            text = handler.read_text()
        except FileNotFoundError:
            continue  # just now somebody took it back
        program = re.search(rf"^interpreter .*\b{MACHINE}\b", text, re.MULTILINE)
        flags = re.search(r"^flags: \w*F", text, re.MULTILINE)
        if text.startswith("enabled") and program and flags:
            return True
    return False


def _handlers() -> list[Path]:
    if not HANDLERS.is_dir():
        return []
    return [path for path in HANDLERS.iterdir() if path.name not in ("register", "status")]


def _rule() -> str:
    """Return the kernel's line for our emulator, with what the package says of the programs."""
    folder = debian.unpacked([EMULATOR])[0]
    text = (folder / f"usr/lib/binfmt.d/qemu-{MACHINE}.conf").read_text()
    _, _, kind, offset, magic, mask, interpreter, _ = text.strip().split(":")
    own = folder / interpreter.lstrip("/")
    # O, P: it gets the program opened, and the name that the program was called by.
    return f":{OURS}:{kind}:{offset}:{magic}:{mask}:{own}:OPF"


def _done(record: Path) -> list[str]:
    """Return what was done since the machine booted and not yet taken back."""
    try:
        values = json.loads(record.read_text())
    except (OSError, ValueError):
        return []
    return list(values["done"]) if values["boot"] == BOOT_ID.read_text() else []


def _note(record: Path, done: list[str]) -> None:
    record.write_text(json.dumps({"boot": BOOT_ID.read_text(), "done": sorted(set(done))}))


def _mount(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DevError(f"cannot {command[0]} {HANDLERS}: {done.stderr.strip()}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise DevError(f"cannot write to {path}: {error.strerror}") from error
