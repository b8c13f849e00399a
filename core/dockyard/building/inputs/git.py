"""What git says of the directory that a build is made from: for provenance, and for labels.

The program ``git`` is asked, in a thread, while the builder is being reached. It is asked only
where there is something to find, and whatever goes wrong is a warning and no error.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from attrs import evolve

from dockyard.building.inputs.place import is_directory
from dockyard.building.inputs.spawn import find_program, run_program
from dockyard.buildkit.address import without_credentials
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, boolean

_PATIENCE = 10.0
"""Seconds for everything that git is asked."""
_REVISION_LABEL = "org.opencontainers.image.revision"
_SOURCE_LABEL = "org.opencontainers.image.source"
_DOCKERFILE_LABEL = "com.docker.image.source.entrypoint"
_SETTINGS = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
_UNBORN = ("unknown revision or path not in the working tree", "bad revision")

Warn = Callable[[str], None]


class Wanted(NamedTuple):
    """What a build shall say of its repository; from variables."""

    info: bool
    labels: bool
    check_dirty: bool

    @classmethod
    def of(cls, environment: Environment) -> Wanted:
        """Read the variables; what makes no sense counts as not said."""
        labels = environment.get("BUILDX_GIT_LABELS")
        return cls(
            info=_flag(environment.get("BUILDX_GIT_INFO"), default=True),
            labels=labels == "full" or _flag(labels, default=False),
            check_dirty=_flag(environment.get("BUILDX_GIT_CHECK_DIRTY"), default=False),
        )


class Repository:
    """The repository around a build's context, being looked at."""

    def __init__(
        self, request: BuildRequest, environment: Environment, cancel: Cancellation
    ) -> None:
        """Begin to look, if there is something to see."""
        self._request = request
        self._found: dict[str, str] = {}
        self._problem = ""
        self._stop = Cancellation()
        self._forget = cancel.on_cancel(self._stop.cancel)
        self._thread: threading.Thread | None = None
        self._wanted = Wanted.of(environment)
        self._variables = environment.variables
        directory = Path(request.working_directory, request.build_context)
        asked = (self._wanted.info or self._wanted.labels) and not request.git
        if asked and is_directory(directory) and _has_repository(directory, self._variables):
            self._thread = threading.Thread(
                target=self._look, args=(directory.resolve(),), name="dockyard-git", daemon=True
            )
            self._thread.start()

    def describe(self, request: BuildRequest, warn: Warn) -> BuildRequest:
        """Give the request with what was found. Waits for git, which is never long."""
        if self._thread is None:
            return request
        self._thread.join()  # it keeps to its own deadline
        if self._stop.canceled:
            return request
        if self._problem:
            warn(f"current commit information was not captured by the build: {self._problem}")
            return request
        return evolve(request, git=dict(self._found))

    def close(self) -> None:
        """Look no further."""
        self._forget()
        self._stop.cancel()

    # --- in a thread ------------------------------------------------------------------------

    def _look(self, directory: Path) -> None:
        try:
            look = _Look(directory, self._variables, self._stop, monotonic() + _PATIENCE)
            self._found = look.attributes(self._request, self._wanted)
        except _GitError as error:
            self._problem = str(error)
        except (OSError, ValueError, RuntimeError) as error:  # a loop of links is a RuntimeError
            self._problem = f"git cannot be asked: {getattr(error, 'strerror', None) or error}"


class _GitError(Exception):
    """Git does not say what it is asked; the text says why."""


class _Look(NamedTuple):
    """One look at one directory."""

    directory: Path
    variables: Mapping[str, str]
    stop: Cancellation
    deadline: float

    def attributes(self, request: BuildRequest, wanted: Wanted) -> dict[str, str]:
        """Give what the frontend shall be told; nothing outside of a work tree."""
        code, out, errors = self._git(
            "rev-parse", "--is-inside-work-tree", "--show-toplevel", "HEAD",
            "--symbolic-full-name", "HEAD",
        )  # fmt: skip
        lines = out.splitlines()
        if lines[:1] == ["false"]:
            return {}
        if lines[:1] != ["true"] or len(lines) < 2:
            raise _GitError(_first_line(errors) or "git does not know the directory")
        root = Path(lines[1])
        found = {}
        if not code and len(lines) == 4:
            found["revision"] = lines[2] + self._dirt(wanted)
        elif not any(words in errors for words in _UNBORN):
            raise _GitError(f"failed to get git commit: {_first_line(errors)}")
        remote = self._remote(lines[3] if "revision" in found else "")
        if remote:
            found["source"] = without_credentials(remote)
        result = {f"vcs:{key}": value for key, value in found.items()} if wanted.info else {}
        if wanted.info:
            result |= _places(request, root)
        if wanted.labels:
            result |= _labels(request, root, found)
        return result

    def _dirt(self, wanted: Wanted) -> str:
        if not wanted.check_dirty:
            return ""
        code, out, _ = self._git("status", "--porcelain", "--ignored")
        return "-dirty" if code or out.strip() else ""

    def _remote(self, branch: str) -> str:
        """Give the address of what the branch follows, else of the usual names."""
        names = ["origin", "upstream"]
        if branch.startswith("refs/heads/"):
            _, out, _ = self._git("for-each-ref", "--format=%(upstream:remotename)", branch)
            names[:0] = out.splitlines()[:1]
        for name in dict.fromkeys(filter(None, names)):
            code, out, _ = self._git("remote", "get-url", name)
            if not code and out.strip():
                return out.splitlines()[0]
        return ""

    def _git(self, *arguments: str) -> tuple[int, str, str]:
        """Run git, and give its exit code and what it printed."""
        program = find_program("git", self.variables)
        if not program:
            raise _GitError("git was not found in the system")
        # Not its own programs: a repository may name some that status would run.
        safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
        code, out, errors = run_program(
            [program, "-C", str(self.directory), *safe, *arguments],
            {**self.variables, **_SETTINGS},
            self.stop,
            self.deadline,
        )
        if self.stop.canceled or monotonic() >= self.deadline:
            raise _GitError(f"git took longer than {_PATIENCE:g} seconds")
        return code, os.fsdecode(out), errors.decode(errors="replace")


def _places(request: BuildRequest, root: Path) -> dict[str, str]:
    """Say where in the repository the build's directories are."""
    here = Path(request.working_directory)
    served = {"context": here / request.build_context}
    dockerfile = _dockerfile(request)
    if dockerfile is not None:
        served["dockerfile"] = dockerfile.parent
    for name, value in request.build_contexts.items():
        if "://" not in value and is_directory(here / value):
            served[f"_{name}" if name in served else name] = here / value
    found = {}
    for name, path in served.items():
        inside = _inside(root, path.resolve())
        if inside:
            found[f"vcs:localdir:{name}"] = inside
    return found


def _labels(request: BuildRequest, root: Path, found: Mapping[str, str]) -> dict[str, str]:
    labels = {}
    if "revision" in found:
        labels[_REVISION_LABEL] = found["revision"]
    if "source" in found:
        labels[_SOURCE_LABEL] = found["source"]
    dockerfile = _dockerfile(request)
    if dockerfile is not None:
        inside = _inside(root, dockerfile.parent.resolve() / dockerfile.name)
        if inside:
            labels[_DOCKERFILE_LABEL] = inside
    return {f"label:{key}": value for key, value in labels.items()}


def _dockerfile(request: BuildRequest) -> Path | None:
    """Give the path of the Dockerfile, if it is a file here."""
    here = Path(request.working_directory)
    if request.dockerfile is None:
        return here / request.build_context / "Dockerfile"
    if request.dockerfile == "-" or "://" in request.dockerfile:
        return None
    return here / request.dockerfile


def _inside(root: Path, path: Path) -> str:
    """Give a path below the root, ``.`` for the root itself; nothing for one elsewhere."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else ""


def _has_repository(directory: Path, variables: Mapping[str, str]) -> bool:
    """Say whether git could find something, without starting it."""
    if variables.get("GIT_DIR"):
        return True
    directory = directory.resolve()
    return any(os.path.lexists(each / ".git") for each in (directory, *directory.parents))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    clean = "".join(char for char in lines[0] if char.isprintable()) if lines else ""
    return clean[:300]


def _flag(value: str, *, default: bool) -> bool:
    try:
        return boolean(value)
    except ValueError:
        return default
