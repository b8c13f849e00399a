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

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, TypedDict, Unpack

from dockyard.building.option import (
    parse_add_host,
    parse_cache,
    parse_network,
    parse_size,
    parse_ulimit,
)
from dockyard.building.output import check_outputs, parse_outputs
from dockyard.building.reference import check_tag
from dockyard.building.running import Running
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, BuildResult, Output
from dockyard.errors import InputError
from dockyard.events import StatusUpdate
from dockyard.platforms import parse_list

if TYPE_CHECKING:
    from dockyard.building.workbench import Workbench

OnProgress = Callable[[StatusUpdate], None]

_GRACE = 10.0
"""Seconds that a build which was ended gets to tell the daemon so."""


class BuildOptions(TypedDict, total=False):
    """What can be said of a build beside its context; the words of the command line's flags."""

    dockerfile: str | Path | None
    """A path, or ``-`` for ``stdin``; ``Dockerfile`` in the context by default."""
    tags: Iterable[str]
    """Names for the image."""
    outputs: Iterable[str | Output]
    """As with ``-o``: ``"type=local,dest=out"``, or :class:`Output` values."""
    load: bool
    """Put the image into the Docker Engine of the current docker context."""
    push: bool
    """Push the image to its registry."""
    target: str
    """The stage to build."""
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    platforms: Iterable[str]
    """Such as ``linux/arm64``."""
    no_cache: bool
    """Build every step anew."""
    no_cache_filter: Iterable[str]
    """Build the steps of these stages anew."""
    pull: bool
    """Ask for newer base images."""
    add_hosts: Iterable[str]
    """``name:address`` each; the address may be ``host-gateway``."""
    network: str
    """``default``, ``none`` or ``host``, for ``RUN``."""
    shm_size: int | str
    """Bytes, or text such as ``64m``."""
    ulimits: Iterable[str]
    """``name=soft[:hard]`` each."""
    cgroup_parent: str
    cache_from: Iterable[str]
    """Caches to read, as with ``--cache-from``."""
    cache_to: Iterable[str]
    """Caches to write, as with ``--cache-to``."""
    stdin: BinaryIO | None
    """What ``-`` reads from."""
    stdout: BinaryIO | None
    """Where an output to ``-`` goes."""
    working_directory: str | Path
    """What relative paths are relative to."""


def request(build_context: str | Path = ".", **options: Unpack[BuildOptions]) -> BuildRequest:
    """Make a request, everything in it checked.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: See :class:`BuildOptions`.

    Raises:
        InputError: A value cannot be used; says which and why.
    """
    no_cache = options.get("no_cache", False)
    no_cache_filter = tuple(options.get("no_cache_filter", ()))
    if no_cache and no_cache_filter:
        raise InputError("--no-cache and --no-cache-filter cannot currently be used together")
    dockerfile = options.get("dockerfile")
    here = Path(options.get("working_directory", ".")).absolute()
    return BuildRequest(
        build_context=str(build_context),
        dockerfile=None if dockerfile is None else str(dockerfile),
        tags=tuple(check_tag(tag) for tag in options.get("tags", ())),
        outputs=_outputs(options, here),
        target=options.get("target", ""),
        build_args=dict(options.get("build_args", {})),
        labels=dict(options.get("labels", {})),
        platforms=parse_list(options.get("platforms", ())),
        no_cache=no_cache,
        no_cache_filter=no_cache_filter,
        pull=options.get("pull", False),
        add_hosts=tuple(
            pair for value in options.get("add_hosts", ()) for pair in parse_add_host(value)
        ),
        network=parse_network(options.get("network", "")),
        shm_size=parse_size(str(options.get("shm_size", 0)), "shm-size"),
        ulimits=tuple(parse_ulimit(value) for value in options.get("ulimits", ())),
        cgroup_parent=options.get("cgroup_parent", ""),
        cache_from=parse_cache(options.get("cache_from", ())),
        cache_to=parse_cache(options.get("cache_to", ())),
        stdin=options.get("stdin"),
        stdout=options.get("stdout"),
        working_directory=str(here),
    )


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
        if not isinstance(build_context, BuildRequest):
            build_context = request(build_context, **options)
        return Build(self._workbench(), self.name, build_context, cancel or Cancellation())

    def _workbench(self) -> Workbench:
        from dockyard.building.workbench import Workbench
        from dockyard.plugin.discovery import find_offers
        from dockyard.plugin.manager import PluginManager

        if self._made is None:
            environment = self._environment
            manager = PluginManager(
                find_offers(environment.cache), disabled=environment.disabled_plugins
            )
            self._made = Workbench.of(environment, manager)
        return self._made


class Build:
    """A build that runs: an iterator over its events, then its result.

    As a context manager it ends the build when the block is left early.
    """

    def __init__(
        self, workbench: Workbench, builder: str, asked: BuildRequest, cancel: Cancellation
    ) -> None:
        from dockyard.building.run import open_builder, run_build
        from dockyard.progress.writer import ProgressWriter

        self.warnings: list[str] = []
        """Lines that a person should read."""

        def work(emit: OnProgress) -> BuildResult:
            return run_build(
                workbench,
                open_builder(workbench, builder, sticky_key=asked.build_context),
                asked,
                progress=ProgressWriter(emit),
                cancel=cancel,
                warn=self.warnings.append,
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


def _outputs(options: BuildOptions, here: Path) -> tuple[Output, ...]:
    given = tuple(options.get("outputs", ()))
    parsed = parse_outputs(
        [output for output in given if isinstance(output, str)],
        push=options.get("push", False),
        load=options.get("load", False),
    )
    ready = (output for output in given if isinstance(output, Output))
    return check_outputs((*ready, *parsed), working_directory=here, terminal=False)
