"""What a failed build was: the class of its error, and all that the failing step said.

The output of a step is kept for as long as the step may still fail: a little of it in memory, the
rest in a file without name. Nothing of it is cut. (The daemon cuts, by default after 2 MiB of a
step: see ``BUILDKIT_STEP_LOG_MAX_SIZE`` among its own settings.)
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, NamedTuple

from dockyard import errors
from dockyard.errors import BuildError
from dockyard.events import StatusUpdate, Vertex, VertexLog
from dockyard.wire.status import Code

if TYPE_CHECKING:
    from dockyard.buildkit.details import Details

_STDOUT, _STDERR = 1, 2
_IN_MEMORY = 1 << 20


class Failure(NamedTuple):
    """What is known of a build that failed."""

    code: Code
    message: str
    details: Details
    exit_code: int | None
    """Of the step's process."""
    step: str
    """The step's name."""


def classify(failure: Failure) -> type[BuildError]:
    """Say what kind of failure it was.

    By what the daemon says in a form for programs, where it does, and by its words otherwise.
    """
    details = failure.details
    message = _ends(failure.message)
    if failure.code is Code.RESOURCE_EXHAUSTED:
        return errors.ResourceError
    if details.denied:
        return errors.PolicyError
    if details.capability is not None or details.subrequest is not None:
        return errors.FrontendError
    if details.exit_code is not None or re.search(_PROCESS, message):
        return errors.StepError
    if failure.step.startswith(_FRONTEND_STEP):
        return errors.FrontendError
    for kind, pattern in _KINDS:
        if re.search(pattern, message):
            return kind
    if details.sources or re.match(_OWN_STEP, failure.step):
        return errors.DockerfileError
    return BuildError


def _ends(message: str) -> str:
    """Leave out the middle of what is very long, where no pattern shall have to search."""
    return message if len(message) <= 2 * _END else f"{message[:_END]} {message[-_END:]}"


_END = 4096
_PROCESS = r'^(failed to \S+ [^"]*: )?(process "|executor failed running \[)'
_OWN_STEP = r"\[(?!internal|context |auth)"
"""How the name of a step begins that an instruction of the Dockerfile stands for."""
_FRONTEND_STEP = "resolve image config for "
_KINDS: tuple[tuple[type[BuildError], str], ...] = (
    (errors.FrontendError, "unsupported frontend capability|unsupported request frontend"),
    (errors.ResourceError, "no space left on device|cannot allocate memory|disk quota exceeded"),
    (
        errors.DockerfileError,
        "dockerfile parse error|file with no instructions|no build stage in current context|"
        "target stage .* could not be found|circular dependency|unterminated heredoc",
    ),
    (
        errors.SecretError,
        "^(.*: )?secret [^ ]*( not found)?: not found|unset ssh forward key|no SSH key ",
    ),
    (errors.PolicyError, "not allowed by policy|denied by policy"),
    (errors.EntitlementError, "is not allowed|entitlement"),
    (
        errors.DeniedError,
        "access denied|insufficient_scope|authorization failed|[Uu]nauthorized|403 Forbidden|"
        "authentication required|denied:|could not read Username",
    ),
    (
        errors.CacheError,
        "unknown cache (exporter|importer)|cache export|error writing (layer blob|manifest)|"
        "registry cache|failed to configure .* cache",
    ),
    (errors.ExportError, "exporter .* could not be found|failed to push|exporter does not|export"),
    (
        errors.MissingFileError,
        "failed to read dockerfile|failed to (compute cache key|calculate checksum).* not found|"
        "(lstat|stat|open|failed to walk) .*no such file or directory|"
        '^(failed to compute cache key: )?"[^"]*"( not found)?: not found',
    ),
    (
        errors.SourceError,
        "failed to resolve source metadata|failed to do request|failed to fetch|dial tcp|"
        "invalid response status|unknown scheme|manifest unknown|no match for platform|"
        "failed to load cache key|unable to access|repository .* not found",
    ),
    (errors.DockerfileError, "failed to create LLB definition"),
)
"""What daemons from 0.8 to 0.32 say, the more telling words first."""


class FailedStep(NamedTuple):
    """A step that failed, and its output, whole."""

    digest: str
    name: str
    stdout: bytes
    stderr: bytes


class StepLogs:
    """Keeps the output of steps that run or have failed."""

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}

    def update(self, update: StatusUpdate) -> None:
        """Take note of what became known."""
        for vertex in update.vertexes:
            if vertex.completed is not None and not vertex.error:
                step = self._steps.pop(vertex.digest, None)
                if step is not None:
                    step.close()
            elif vertex.started is not None:
                self._steps.setdefault(vertex.digest, _Step()).vertex = vertex
        for log in update.logs:
            step = self._steps.get(log.vertex)
            if step is not None:
                step.add(log)

    def failed(self, digest: str | None, message: str) -> FailedStep | None:
        """Give the step that a build failed by.

        Args:
            digest: Its name, where the daemon tells it.
            message: The build's error, which contains the step's.
        """
        step = self._steps.get(digest or "") or self._by_error(message)
        if step is None or step.vertex is None:
            return None
        vertex = step.vertex
        return FailedStep(vertex.digest, vertex.name, step.output(_STDOUT), step.output(_STDERR))

    def close(self) -> None:
        """Forget everything."""
        for step in self._steps.values():
            step.close()
        self._steps.clear()

    def _by_error(self, message: str) -> _Step | None:
        """Docker Engine 20.10 does not say which step it was."""
        for step in self._steps.values():
            if step.vertex is not None and step.vertex.error and step.vertex.error in message:
                return step
        return None


class _Step:
    """A step and its output."""

    __slots__ = ("_outputs", "vertex")

    def __init__(self) -> None:
        self.vertex: Vertex | None = None
        self._outputs: dict[int, _Output] = {}

    def add(self, log: VertexLog) -> None:
        stream = _STDERR if log.stream == _STDERR else _STDOUT
        output = self._outputs.get(stream)
        if output is None:
            output = self._outputs[stream] = _Output()
        output.add(log.data)

    def output(self, stream: int) -> bytes:
        output = self._outputs.get(stream)
        return b"" if output is None else output.read()

    def close(self) -> None:
        for output in self._outputs.values():
            output.close()
        self._outputs.clear()


class _Output:
    """One stream of a step: its beginning in a file, once it is long, and the rest in memory."""

    __slots__ = ("_file", "_limit", "_recent")

    def __init__(self) -> None:
        self._limit = _IN_MEMORY
        self._recent = bytearray()
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        self._recent += data
        if len(self._recent) > self._limit:
            try:
                self._put_away()
            except OSError:  # there is no room: memory has to do
                self._limit *= 2

    def _put_away(self) -> None:
        if self._file is None:
            from tempfile import TemporaryFile

            self._file = TemporaryFile(buffering=0)  # noqa: SIM115  # lives as long as the step
        while self._recent:
            del self._recent[: self._file.write(self._recent)]

    def read(self) -> bytes:
        if self._file is None:
            return bytes(self._recent)
        self._file.seek(0)
        return self._file.read() + self._recent

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
