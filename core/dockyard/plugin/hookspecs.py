"""The hooks. Every one is called for one driver only; wrappers of any plugin run around it.

An operation returns a small value even when there is nothing to say (``Booted()``, ``Stopped()``):
None means "not my business" and passes the question on.

Hooks are called from several threads at a time, each with a node of its own. Import client
libraries inside a hook, not at the top of the module: most commands need none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.plugin.marker import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dockyard.cancellation import Cancellation
    from dockyard.driver import (
        Booted,
        BuildRequest,
        BuildResult,
        Connection,
        DriverType,
        Image,
        LoadResult,
        Node,
        NodeFeatures,
        NodeStatus,
        Progress,
        PushResult,
        Removed,
        Stopped,
        Supported,
        Worker,
    )
    from dockyard.engine.endpoint import EngineEndpoint


class DriverHooks:
    """All hooks, in the order in which a builder's life calls them."""

    @hookspec
    def dockyard_driver(self) -> DriverType:
        """Declare the driver: its name, its options, its features.

        Called once, when the driver is first needed, and by ``dockyard drivers``. The name must be
        the one of the entry point. Nothing may be contacted here.

        Example::

            @hookimpl
            def dockyard_driver() -> DriverType:
                return DriverType(
                    name="shed",
                    summary="BuildKit on the machine in the shed",
                    features={Feature.TARBALL: Support.yes()},
                    options=(Option(name="port", help="where it listens", default="1234"),),
                )

        Returns:
            The declaration.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_endpoint(
        self,
        driver: str,
        argument: str | None,
        variables: Mapping[str, str],
        node_name: str,
        builder_name: str,
    ) -> str | None:
        """Turn what was given to ``create`` into the endpoint that is stored.

        Optional. Without it the argument is stored as it is, or the content of the driver's
        ``endpoint_variable``. Drivers with ``uses_engine`` are not asked: their endpoints are
        docker contexts and daemon addresses, which the core knows.

        Example::

            @hookimpl
            def dockyard_endpoint(argument: str | None) -> str:
                if argument is None or not argument.startswith("shed://"):
                    raise EndpointError(f"a shed has an address like shed://HOST, not {argument}")
                return argument.rstrip("/")

        Args:
            driver: The driver's name.
            argument: What stands on the command line; None when nothing does.
            variables: The environment.
            node_name: The name that the node will have.
            builder_name: The builder's name as it is displayed.

        Returns:
            The endpoint in its stored form.

        Raises:
            EndpointError: It is missing or malformed.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_supports(self, node: Node) -> Supported | None:
        """Say whether the driver can serve a docker context that nobody made a builder of.

        Asked only of drivers that declare ``serves_docker_contexts``, the lowest priority first;
        the first that says yes serves the context. May contact the engine, briefly, and may keep
        what it opened in ``node.cache``.

        Example::

            @hookimpl
            def dockyard_supports(node: Node) -> Supported:
                return Supported(answers(node.engine))

        Args:
            node: A node whose ``engine`` is the context's.

        Returns:
            Yes or no.

        Raises:
            EngineUnreachableError: The engine does not answer at all.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_status(self, node: Node) -> NodeStatus | None:
        """Say how far the node is from answering, without starting anything.

        Called by ``ls`` and ``inspect``, for many nodes at a time, and before a build. Must come
        back within a few seconds.

        Example::

            @hookimpl
            def dockyard_status(node: Node) -> NodeStatus:
                running = find_process(node.name) is not None
                return NodeStatus(state=State.RUNNING if running else State.INACTIVE)

        Args:
            node: The node.

        Returns:
            The state, and why it is not ready.

        Raises:
            DriverError: Not even the state can be found out.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_bootstrap(
        self, node: Node, progress: Progress, cancel: Cancellation
    ) -> Booted | None:
        """Make the node's BuildKit run, and return once it answers.

        Called before a build and by ``inspect --bootstrap``, also when the node already runs: then
        it returns at once. May run at the same time for the same node in another process.

        Example::

            @hookimpl
            def dockyard_bootstrap(node: Node, progress: Progress) -> Booted:
                with progress.step("[internal] booting buildkit") as step:
                    with step.status(f"starting process {node.name}"):
                        daemon = start(node)
                    daemon.wait_ready(seconds=20)
                return Booted()

        Args:
            node: The node.
            progress: Where to show what is being done.
            cancel: Turned when nobody waits for it any more.

        Returns:
            Booted.

        Raises:
            BootstrapError: It did not come up; says why in the daemon's words.
            CanceledError: ``cancel`` was turned.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection | None:
        """Open a connection to the node's BuildKit.

        Called when the node runs. The caller closes the connection.

        Example::

            @hookimpl
            def dockyard_connect(node: Node) -> Connection:
                return Connection(stream=SocketStream(dial(node.endpoint, timeout=20)))

        Args:
            node: The node.
            cancel: Turned when nobody waits for it any more.

        Returns:
            The connection; its stream is not blocking.

        Raises:
            ConnectError: Nothing answers there.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_features(self, node: Node, workers: Sequence[Worker]) -> NodeFeatures | None:
        """Say what this very node can do now.

        Called before a build, when the daemon has told its workers. Optional: without it the
        declaration counts, and what it calls conditional counts as no.

        Example::

            @hookimpl
            def dockyard_features(node: Node, workers: Sequence[Worker]) -> NodeFeatures:
                emulated = any(len(worker.platforms) > 1 for worker in workers)
                level = Support.yes() if emulated else Support.no()
                return NodeFeatures(support={Feature.MULTI_PLATFORM: level})

        Args:
            node: The node.
            workers: The daemon's workers.

        Returns:
            Yes or no for each feature, and how the node wants to be asked.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_build(
        self, node: Node, request: BuildRequest, progress: Progress, cancel: Cancellation
    ) -> BuildResult | None:
        """Build on the node.

        The core answers this one for every driver, through ``dockyard_connect``. A driver whose
        place is no BuildKit answers itself. The node runs and has what the request needs.

        Example::

            @hookimpl(wrapper=True)
            def dockyard_build(node: Node, request: BuildRequest):
                started = time.monotonic()
                result = yield
                audit(node.builder, request.tags, time.monotonic() - started)
                return result

        Args:
            node: The node.
            request: What to build, with this node's share of the platforms.
            progress: Where status goes.
            cancel: Turned when the build shall end.

        Returns:
            What the build left.

        Raises:
            BuildError: The build failed.
            ConnectionLostError: The daemon died, or the way to it broke.
            CanceledError: ``cancel`` was turned.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_load(
        self,
        node: Node,
        image: Image,
        engine: EngineEndpoint,
        progress: Progress,
        cancel: Cancellation,
    ) -> LoadResult | None:
        """Bring a build's image into an engine's image store.

        Called for ``--load``, ``type=docker`` without a destination, and automatic loading. The
        core answers for every driver: where the image is known blob by blob (``image.content``) it
        sends what the engine lacks, otherwise it streams the archive (``image.stream``, which is
        there in both cases). A driver whose builds end in an engine's own store
        (``loads_itself``) is given an image without either, and makes sure that it is there.

        Example::

            @hookimpl
            def dockyard_load(node: Node, image: Image, engine: EngineEndpoint) -> LoadResult:
                return LoadResult(image_id=find(engine, image.image_id), names=image.names)

        Args:
            node: The node that built it.
            image: The image, as an archive or as a name.
            engine: The engine that shall have it.
            progress: Where to show what is being done.
            cancel: Turned when nobody waits for it any more.

        Returns:
            The image's id in that engine.

        Raises:
            EngineError: The engine refused it.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_push(
        self, node: Node, image: Image, progress: Progress, cancel: Cancellation
    ) -> PushResult | None:
        """Push an image from the node's own store to its registry.

        Called after a build with ``push`` on nodes that lack the feature ``direct-push``; the
        others push during the build. A driver that always pushes directly leaves it out.

        Example::

            @hookimpl
            def dockyard_push(node: Node, image: Image) -> PushResult:
                return PushResult(digest=[push(node.engine, name) for name in image.names][0])

        Args:
            node: The node that built it.
            image: The image by its names.
            progress: Where to show what is being done.
            cancel: Turned when nobody waits for it any more.

        Returns:
            The digest in the registry.

        Raises:
            EngineError: The registry or the engine refused it.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_stop(self, node: Node) -> Stopped | None:
        """Stop the node and keep everything that is its own.

        Called for nodes in any state; a node that does not run needs nothing.

        Example::

            @hookimpl
            def dockyard_stop(node: Node) -> Stopped:
                terminate(node.name)
                return Stopped()

        Args:
            node: The node.

        Returns:
            Stopped.

        Raises:
            DriverError: It still runs.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def dockyard_rm(
        self, node: Node, force: bool, keep_state: bool, keep_daemon: bool
    ) -> Removed | None:
        """Remove what the driver made for the node.

        Called after ``dockyard_stop``. Finds its things by their labels, also when half of them
        are already gone.

        Example::

            @hookimpl
            def dockyard_rm(node: Node, keep_state: bool) -> Removed:
                if not keep_state:
                    delete_directory(node.name)
                return Removed(what=(f"process {node.name}",))

        Args:
            node: The node.
            force: Remove also what still runs.
            keep_state: Keep the build cache.
            keep_daemon: Keep the daemon running.

        Returns:
            What was removed, in words.

        Raises:
            DriverError: Something could not be removed; names it.
        """
        raise NotImplementedError
