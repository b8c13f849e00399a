"""What the author of a driver says of it: how to make a node, how to look at what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import field, frozen

from dockyard.driver import Feature

Leftovers = Callable[[str], Iterable[str]]
"""Names the things that exist for a builder, by the builder's name."""


@frozen(kw_only=True)
class Subject:
    """A driver, and what is needed to try it."""

    driver: str
    """The driver's name. Its plugin has to be installed."""
    endpoint: str | None = None
    """What stands on the command line after ``create``; None where the driver needs nothing."""
    options: Mapping[str, str] = field(factory=dict)
    """Driver options, as they are typed."""
    engine: str = ""
    """A Docker Engine's address: where images are loaded, and ``DOCKER_HOST`` for all else."""
    registry: str = ""
    """Host and port of a registry that this machine and the node reach over plain HTTP."""
    leftovers: Leftovers | None = None
    """Names what exists because of a builder: containers, volumes, pods, files.

    Without it the engine's containers and volumes are looked at, when there is an engine.
    """
    turned_on: Mapping[Feature, Mapping[str, str]] = field(factory=dict)
    """For features that are conditional: the driver options that turn them on."""
    read_config: Callable[[str], bytes] | None = None
    """Gives the ``buildkitd.toml`` that a builder's daemon was started with.

    Without it the daemon is asked whether its worker has a label from there.
    """
    dead_endpoint: str = ""
    """An endpoint with ``{host}`` and ``{port}``, or with ``{path}``, where a daemon or a server
    that leads to one would listen. Without it the forms ``unix://`` and ``tcp://`` are tried, if
    the driver declares them.
    """
    variables: Mapping[str, str] = field(factory=dict)
    """Environment variables that the driver needs. It is given these, ``PATH``, and a ``HOME`` of
    its own."""
    answer_seconds: float = 30.0
    """Within what everything has to end for which nothing needs to be started: a question, a
    refusal, a piece of work that was canceled, a call to an endpoint that is dead."""
    boot_seconds: float = 300.0
    """The same for what takes longer: to boot, to build something small, to stop, to remove."""
