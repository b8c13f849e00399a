"""Builders ready for use: nodes made from records, and what those nodes have to say.

Nothing here holds the store's lock, because all of it may wait for a network.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from attrs import define, evolve

from dockyard.builder.gather import Task, gather
from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.cancellation import Cancellation
from dockyard.driver import Feature, Node, parse_options
from dockyard.errors import ConfigError, DockyardError, DriverError
from dockyard.platforms import Platform

if TYPE_CHECKING:
    from dockyard.driver import DriverType, NodeFeatures, NodeStatus, State, Worker
    from dockyard.engine.context import DockerContexts
    from dockyard.engine.credential import Credentials
    from dockyard.plugin.manager import PluginManager

TIMEOUT = 20.0
"""Seconds that loading builders may take when nobody says otherwise."""


@define(eq=False, kw_only=True)
class NodeInfo:
    """One node of a builder, and as much of it as could be found out."""

    entry: NodeEntry
    node: Node | None = None
    """What drivers are asked about; None when the record makes none."""
    error: DockyardError | None = None
    """Why the node cannot be used, or could not be asked."""
    status: NodeStatus | None = None
    """None as long as nobody asked."""
    version: str = ""
    """BuildKit's."""
    workers: tuple[Worker, ...] = ()
    features: NodeFeatures | None = None
    """None unless the node runs and was asked."""

    @property
    def state(self) -> State | None:
        return self.status.state if self.status else None

    @property
    def is_running(self) -> bool:
        return self.status is not None and self.status.is_running

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """What it can build: what a person declared, then what its workers say."""
        found = (platform for worker in self.workers for platform in worker.platforms)
        return tuple(dict.fromkeys((*self.entry.platforms, *found)))


class Builder:
    """A builder and its nodes."""

    def __init__(self, *, group: NodeGroup, driver: str) -> None:
        self.group = group
        self.driver = driver
        """Empty when it could not be decided."""
        self.nodes: list[NodeInfo] = []
        self.error: DockyardError | None = None
        """Why the builder as a whole cannot be used."""

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def is_dynamic(self) -> bool:
        """Whether more daemons stand behind the nodes than the record has."""
        return [info.entry.name for info in self.nodes] != [node.name for node in self.group.nodes]

    def first_error(self) -> DockyardError | None:
        """Give the first thing that is wrong with it."""
        return self.error or next((info.error for info in self.nodes if info.error), None)


class BuilderLoader:
    """Makes builders from records, with the drivers that are installed."""

    def __init__(self, manager: PluginManager, contexts: DockerContexts) -> None:
        self._manager = manager
        self._contexts = contexts

    def load(
        self,
        groups: Iterable[NodeGroup],
        *,
        data: bool = False,
        timeout: float = TIMEOUT,
        sticky_key: str = "",
    ) -> list[Builder]:
        """Make builders; errors are kept on the builder or node that they concern.

        A builder whose driver is known is made without any contact. The driver of a docker
        context's builder is decided by asking drivers, which contacts the engine.

        Args:
            groups: The records.
            data: Whether to ask the nodes for status, version, workers and features, too.
            timeout: Seconds that all of it may take; whoever is late has an error.
            sticky_key: What drivers with several daemons choose one by.
        """
        deadline = time.monotonic() + timeout
        builders = [self._make(group, sticky_key) for group in groups]
        tasks: list[Task[list[NodeInfo]]] = []
        owners: list[tuple[Builder, NodeInfo]] = []
        for builder in builders:
            for info in builder.nodes:
                if builder.error is None and info.error is None and (data or not builder.driver):
                    task = self._load_context if not builder.driver else self._load_data
                    tasks.append(partial(task, builder, info, deadline=deadline, data=data))
                    owners.append((builder, info))
        for (builder, info), outcome in zip(owners, gather(tasks, timeout=timeout), strict=True):
            _accept(builder, info, outcome)
        return builders

    def _make(self, group: NodeGroup, sticky_key: str) -> Builder:
        builder = Builder(group=group, driver=group.driver)
        try:
            driver_type = None if group.is_context else self._manager.driver_type(group.driver)
        except DockyardError as error:
            builder.error = error
            builder.nodes = [NodeInfo(entry=entry) for entry in group.nodes]
            return builder
        for entry in group.nodes:
            info = NodeInfo(entry=entry)
            try:
                info.node = self._node(group, entry, driver_type, sticky_key)
            except DockyardError as error:
                if group.is_context:
                    builder.error = error
                else:
                    info.error = error
            builder.nodes.append(info)
        return builder

    def _node(
        self, group: NodeGroup, entry: NodeEntry, declared: DriverType | None, sticky_key: str
    ) -> Node:
        """Make what drivers are asked about.

        Raises:
            OptionError: A driver option is unknown or wrong.
            DriverError: The driver takes no configuration files or flags and was given some.
            DockyardError: The engine that the endpoint names cannot be found out.
        """
        uses_engine = declared is None or declared.uses_engine
        if declared is not None and entry.files and not declared.support(Feature.BUILDKIT_CONFIG):
            default = f"setting config file is not supported for {declared.name} driver"
            raise DriverError(declared.config_refusal or default)
        if declared is not None and entry.flags and declared.flags_refusal:
            raise DriverError(declared.flags_refusal)
        return Node(
            name=entry.name,
            driver=group.driver,
            endpoint=entry.endpoint,
            builder=group.name,
            options=parse_options(
                declared.name, declared.options, entry.options, refusal=declared.option_refusal
            )
            if declared
            else {},
            platforms=entry.platforms,
            flags=entry.flags,
            files=entry.files,
            engine=self._contexts.resolve(entry.endpoint) if uses_engine else None,
            variables=self._contexts.environment.variables,
            credentials=self._credentials,
            sticky_key=sticky_key,
        )

    @cached_property
    def _credentials(self) -> Credentials | None:
        """Give what docker's configuration knows about registries, to whoever may need it.

        A malformed one is no reason not to list or remove builders; builds refuse it themselves.
        """
        from dockyard.engine.credential import Credentials

        environment = self._contexts.environment
        try:
            docker = environment.docker
            return Credentials(docker.values, path=docker.path, variables=environment.variables)
        except ConfigError:
            return None

    # --- in threads: these change nothing that the caller of load() can see -----------------

    def _load_context(
        self,
        builder: Builder,
        info: NodeInfo,
        cancel: Cancellation,
        *,
        deadline: float,
        data: bool,
    ) -> list[NodeInfo]:
        if info.node is None:
            return [info]
        node = evolve(info.node, driver="")
        node.driver = self._serving_driver(node)
        found = evolve(info, node=node)
        if not data:
            return [found]
        return self._load_data(builder, found, cancel, deadline=deadline, data=data)

    def _serving_driver(self, node: Node) -> str:
        """Decide which driver serves a docker context.

        Raises:
            DriverError: No installed driver serves docker contexts.
            DockyardError: The engine cannot be reached.
        """
        serving = [
            declared for declared in self._manager.driver_types() if declared.serves_docker_contexts
        ]
        if not serving:
            raise DriverError(
                "no installed driver can use a docker context", hint=self._manager.why_none()
            )
        for declared in sorted(serving, key=lambda declared: declared.priority):
            node.driver = declared.name
            if self._manager.supports(node):
                return declared.name
        return min(serving, key=lambda declared: declared.fallback_priority).name

    def _load_data(
        self,
        builder: Builder,
        info: NodeInfo,
        cancel: Cancellation,
        *,
        deadline: float,
        data: bool,
    ) -> list[NodeInfo]:
        node = info.node
        if node is None or not data:
            return [info]
        try:
            status = self._manager.status(node)
        except DockyardError as error:
            return [evolve(info, error=error)]
        if not status.dynamic:
            return [self._ask(evolve(info, status=status), node, cancel, deadline)]
        return [
            self._ask(
                NodeInfo(
                    entry=evolve(info.entry, name=pod.name, endpoint=pod.endpoint),
                    node=pod,
                    status=evolve(status, dynamic=()),
                ),
                pod,
                cancel,
                deadline,
            )
            for pod in status.dynamic
        ]

    def _ask(self, info: NodeInfo, node: Node, cancel: Cancellation, deadline: float) -> NodeInfo:
        """Ask a running node's daemon; an error stays with the node."""
        if info.status is None or not info.is_running:
            return info
        try:
            workers, version = _workers(self._manager, node, cancel, deadline)
            features = self._manager.features(node, workers)
        except DockyardError as error:
            return evolve(info, error=error)
        if not version:
            version = info.status.ask_version() if info.status.ask_version else info.status.version
        return evolve(info, workers=workers, version=version, features=features)


def _accept(builder: Builder, info: NodeInfo, outcome: Sequence[NodeInfo] | DockyardError) -> None:
    place = builder.nodes.index(info)
    if isinstance(outcome, DockyardError):
        if builder.group.is_context:
            builder.error = outcome
        else:
            info.error = outcome
        return
    builder.nodes[place : place + 1] = outcome
    if not builder.driver and outcome and outcome[0].node is not None:
        builder.driver = outcome[0].node.driver


def _workers(
    manager: PluginManager, node: Node, cancel: Cancellation, deadline: float
) -> tuple[tuple[Worker, ...], str | None]:
    from dockyard.buildkit.client import Client

    client = Client(manager.connect(node, cancel))
    try:
        workers = client.workers(timeout=_left(deadline))
        return workers, client.version(timeout=_left(deadline))
    finally:
        client.close()


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())
