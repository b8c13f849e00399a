"""Dockyard as a library: the same builds as on the command line, as functions and values.

Example::

    import dockyard

    result = dockyard.build(".", tags=["app:1"])
    print(result.image_id)

Progress comes as events, from a build that is started rather than run::

    with dockyard.Builder().start(".", tags=["app:1"]) as build:
        for update in build:
            for log in update.logs:
                print(log.data.decode(), end="")
        print(build.result().digest)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, cast

from dockyard.building.request import BuildOptions as BuildOptions
from dockyard.building.request import make_request
from dockyard.building.running import Running
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, BuildResult
from dockyard.events import StatusUpdate

if TYPE_CHECKING:
    from dockyard.building.call.result import CallResult, LintResult, Outline, Targets
    from dockyard.building.workbench import Workbench

OnProgress = Callable[[StatusUpdate], None]

_GRACE = 10.0
"""Seconds that a build which was ended gets to tell the daemon so."""


def request(build_context: str | Path = ".", **options: Unpack[BuildOptions]) -> BuildRequest:
    """Make a request, everything in it checked.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: See :class:`BuildOptions`.

    Raises:
        InputError: A value cannot be used; says which and why.
    """
    variables = Environment.from_process().variables
    return make_request(build_context, options, terminal=False, variables=variables)


class Builder:
    """A builder by its name, as ``dockyard ls`` shows it."""

    def __init__(self, name: str = "", *, environment: Environment | None = None) -> None:
        """Name a builder; nothing is contacted yet.

        Args:
            name: A builder or docker context; the selected builder when empty.
            environment: Instead of what the process has: variables, directories.
        """
        self.name = name
        self._environment = environment or Environment.from_process()
        self._made: Workbench | None = None

    def build(
        self,
        build_context: str | Path | BuildRequest = ".",
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancellation | None = None,
        **options: Unpack[BuildOptions],
    ) -> BuildResult:
        """Build, and return when it is done.

        Args:
            build_context: What to build: a place, or a whole request.
            on_progress: Is given every event, in the thread of the caller.
            cancel: A switch that ends the build from another thread.
            options: See :class:`BuildOptions`.

        Returns:
            The image's id, digest and metadata.

        Raises:
            DockyardError: It failed. ``BuildError`` when the Dockerfile's steps did.
        """
        with self.start(build_context, cancel=cancel, **options) as build:
            for update in build:
                if on_progress is not None:
                    on_progress(update)
            return build.result()

    def start(
        self,
        build_context: str | Path | BuildRequest = ".",
        *,
        cancel: Cancellation | None = None,
        **options: Unpack[BuildOptions],
    ) -> Build:
        """Start a build and return at once; iterate over what it gives.

        Args:
            build_context: What to build: a place, or a whole request.
            cancel: A switch that ends the build from another thread.
            options: See :class:`BuildOptions`.

        Raises:
            InputError: A value cannot be used; says which and why.
        """
        asked = self._request(build_context, options)
        return Build(self._workbench(), self.name, asked, cancel or Cancellation())

    def call(
        self,
        method: str,
        build_context: str | Path | BuildRequest = ".",
        *,
        on_progress: OnProgress | None = None,
        cancel: Cancellation | None = None,
        **options: Unpack[BuildOptions],
    ) -> CallResult:
        """Ask a Dockerfile's frontend for something else than a build; nothing is made or kept.

        Args:
            method: ``check``, ``outline``, ``targets``, ``subrequests.describe``, or another that
                the frontend knows.
            build_context: What would be built: a place, or a whole request.
            on_progress: Is given every event, in the thread of the caller.
            cancel: A switch that ends the call from another thread.
            options: See :class:`BuildOptions`; outputs do not count.

        Returns:
            The answer: a ``LintResult``, ``Outline``, ``Targets`` or ``Methods`` where the method
            is one of these four.

        Raises:
            DockyardError: It failed. ``FrontendError`` when the frontend does not know the method.
        """
        from dockyard.building.call.grammar import method as known
        from dockyard.building.call.request import as_call
        from dockyard.building.call.result import call_result

        asked = as_call(self._request(build_context, options), known(method))
        result = self.build(asked, on_progress=on_progress, cancel=cancel)
        return call_result(method, result.response)

    def check(
        self, build_context: str | Path | BuildRequest = ".", **options: Unpack[BuildOptions]
    ) -> LintResult:
        """Check a Dockerfile for mistakes and bad habits. See :meth:`call`."""
        return cast("LintResult", self.call("check", build_context, **options))

    def outline(
        self, build_context: str | Path | BuildRequest = ".", **options: Unpack[BuildOptions]
    ) -> Outline:
        """Tell what a target can be given: arguments, secrets, agents. See :meth:`call`."""
        return cast("Outline", self.call("outline", build_context, **options))

    def targets(
        self, build_context: str | Path | BuildRequest = ".", **options: Unpack[BuildOptions]
    ) -> Targets:
        """List the stages of a Dockerfile that can be built. See :meth:`call`."""
        return cast("Targets", self.call("targets", build_context, **options))

    def _request(
        self, build_context: str | Path | BuildRequest, options: BuildOptions
    ) -> BuildRequest:
        if isinstance(build_context, BuildRequest):
            return build_context
        variables = self._environment.variables
        return make_request(build_context, options, terminal=False, variables=variables)

    def _workbench(self) -> Workbench:
        from dockyard.building.workbench import Workbench
        from dockyard.plugin.manager import PluginManager

        if self._made is None:
            self._made = Workbench.of(self._environment, PluginManager.of(self._environment))
        return self._made


class Build:
    """A build that runs: an iterator over its events, then its result.

    As a context manager it ends the build when the block is left early.
    """

    def __init__(
        self, workbench: Workbench, builder: str, asked: BuildRequest, cancel: Cancellation
    ) -> None:
        from dockyard.building.run import open_builder, run_build, sticky_key
        from dockyard.progress.writer import ProgressWriter

        self.warnings: list[str] = []
        """Lines that a person should read."""

        def work(emit: OnProgress) -> BuildResult:
            return run_build(
                workbench,
                open_builder(workbench, builder, sticky_key=sticky_key(asked)),
                asked,
                progress=ProgressWriter(emit, warn=self.warnings.append),
                cancel=cancel,
            )

        self._running = Running(work, cancel)

    def __iter__(self) -> Iterator[StatusUpdate]:
        for update in self._running.events():
            if update is not None:
                yield update

    def result(self) -> BuildResult:
        """Wait for the end, and give the result or raise the error."""
        return self._running.result()

    def cancel(self) -> None:
        """End the build; :meth:`result` then raises ``CanceledError``."""
        self._running.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()  # a build that is over does not mind
        self._running.wait(_GRACE)


def build(
    build_context: str | Path | BuildRequest = ".",
    *,
    builder: str = "",
    on_progress: OnProgress | None = None,
    cancel: Cancellation | None = None,
    **options: Unpack[BuildOptions],
) -> BuildResult:
    """Build with a builder, and return when it is done.

    Args:
        build_context: What to build: a place, or a whole request.
        builder: The builder's name; the selected one when empty.
        on_progress: Is given every event, in the thread of the caller.
        cancel: A switch that ends the build from another thread.
        options: See :class:`BuildOptions`.

    Returns:
        The image's id, digest and metadata.

    Raises:
        DockyardError: It failed. ``BuildError`` when the Dockerfile's steps did.
    """
    return Builder(builder).build(build_context, on_progress=on_progress, cancel=cancel, **options)


def call(
    method: str,
    build_context: str | Path | BuildRequest = ".",
    *,
    builder: str = "",
    on_progress: OnProgress | None = None,
    cancel: Cancellation | None = None,
    **options: Unpack[BuildOptions],
) -> CallResult:
    """Ask a Dockerfile's frontend for something else than a build. See :meth:`Builder.call`."""
    return Builder(builder).call(
        method, build_context, on_progress=on_progress, cancel=cancel, **options
    )


def check(
    build_context: str | Path | BuildRequest = ".",
    *,
    builder: str = "",
    **options: Unpack[BuildOptions],
) -> LintResult:
    """Check a Dockerfile for mistakes and bad habits."""
    return Builder(builder).check(build_context, **options)
