"""Make a request of what was said, on the command line or in Python, everything in it checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, TypedDict

from dockyard.building.option import (
    parse_add_host,
    parse_cache,
    parse_network,
    parse_size,
    parse_ulimit,
)
from dockyard.building.output import check_outputs, parse_outputs
from dockyard.building.reference import check_tag
from dockyard.driver import BuildRequest, Output
from dockyard.errors import InputError
from dockyard.platforms import parse_list


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


def make_request(
    build_context: str | Path, options: BuildOptions, *, terminal: bool
) -> BuildRequest:
    """Make a request.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: What else was said.
        terminal: Whether an output to ``-`` would go to a terminal, which gets no archives.

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
        outputs=_outputs(options, here, terminal=terminal),
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


def _outputs(options: BuildOptions, here: Path, *, terminal: bool) -> tuple[Output, ...]:
    given = tuple(options.get("outputs", ()))
    parsed = parse_outputs(
        [output for output in given if isinstance(output, str)],
        push=options.get("push", False),
        load=options.get("load", False),
    )
    ready = (output for output in given if isinstance(output, Output))
    return check_outputs((*ready, *parsed), working_directory=here, terminal=terminal)
