"""The typed facade over the plugins: one method a hook, and the only code that calls one.

A call about a node reaches the plugin of that node's driver, the core's own defaults, and
whatever wraps the hook; never another driver. Plugins are imported when first needed, and one
that is broken is an error for whoever needs it and a line in ``problems``, never more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from dockyard.errors import (
    DriverConflictError,
    DriverNotFoundError,
    EndpointError,
    HookNotAnsweredError,
    PluginError,
)
from dockyard.plugin.discovery import DRIVERS, WRAPPERS, Offer
from dockyard.plugin.loader import DEFAULTS, Loader

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.config import Environment
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
        Worker,
    )
    from dockyard.engine.endpoint import EngineEndpoint

_Answer = TypeVar("_Answer")


class PluginManager:
    """The installed plugins, and one method for each question that they answer."""

    def __init__(self, offers: Iterable[Offer], *, disabled: Iterable[str] = ()) -> None:
        """Take what discovery found; nothing is imported yet.

        Args:
            offers: The plugins that are installed.
            disabled: Names of entry points or distributions that stay switched off.
        """
        self._disabled = frozenset(disabled)
        self._offers = list(offers)
        self._lock = threading.RLock()
        self._loader = Loader()
        self._drivers: dict[str, tuple[object, DriverType]] = {}
        self._failures: dict[str, PluginError] = {}
        self._wrappers_loaded = False

    @classmethod
    def of(cls, environment: Environment) -> PluginManager:
        """Take what is installed, and switched off, in an environment.

        Raises:
            ConfigError: The configuration that switches plugins off cannot be read.
        """
        from dockyard.plugin.discovery import find_offers

        return cls(find_offers(environment.cache), disabled=environment.disabled_plugins)

    # --- what is installed ------------------------------------------------------------------

    def driver_names(self) -> tuple[str, ...]:
        """Name the drivers that are installed and not switched off, without importing any."""
        return tuple(sorted({offer.name for offer in self._enabled(DRIVERS)}))

    def driver_types(self) -> list[DriverType]:
        """Give the declarations of all drivers that load; ``problems`` then has all others."""
        types = []
        for name in self.driver_names():
            try:
                types.append(self.driver_type(name))
            except PluginError:
                continue  # kept in problems
        with self._lock:
            self._load_wrappers()
        return types

    def driver_type(self, name: str) -> DriverType:
        """Give the declaration of one driver.

        Raises:
            DriverNotFoundError: Nothing installed offers it.
            PluginError: What offers it is broken, too old, too new, or not alone.
        """
        return self._driver(name)[1]

    def provider(self, name: str) -> str:
        """Name the distribution and version that offers a driver; empty when none does."""
        return " and ".join(o.provider for o in self._enabled(DRIVERS) if o.name == name)

    @property
    def problems(self) -> list[PluginError]:
        """Every plugin that is broken or clashes, as far as it is known without importing more."""
        with self._lock:
            found = dict(self._failures)
        for name in self.driver_names():
            rivals = [offer for offer in self._enabled(DRIVERS) if offer.name == name]
            if len(rivals) > 1:
                found[name] = DriverConflictError(name, [rival.provider for rival in rivals])
        return [found[name] for name in sorted(found)]

    def missing_hint(self, name: str | None) -> str:
        """Say what to install to get a driver, or any driver when None is given.

        The knowledge is in the core's own metadata: each of its extras names a driver package.
        """
        packages = _known_packages()
        if name is not None and name in self._switched_off():
            return f"driver {name} is installed but switched off"
        if name in packages:
            return f"install it: pip install {packages[name]}"
        if name is not None:
            have = ", ".join(self.driver_names()) or "none"
            return f"installed drivers: {have}; install the package that offers {name}"
        return f"install a driver, for example: pip install {' or '.join(packages.values())}"

    def why_none(self) -> str:
        """Say why no driver is of use: what is broken or switched off, else what to install."""
        problems = self.problems
        if problems:
            hints = (f"{each}; {each.hint}" if each.hint else str(each) for each in problems)
            return "; ".join(hints)
        switched_off = self._switched_off()
        if switched_off:
            off = f"installed but switched off: {', '.join(sorted(switched_off))}"
            return f"{off}; or {self.missing_hint(None)}"
        return self.missing_hint(None)

    def register(self, plugin: object, name: str = DEFAULTS) -> None:
        """Add a plugin that no distribution offers: the core's own defaults, or a test's."""
        with self._lock:
            self._loader.register(plugin, name)

    # --- one method a hook ------------------------------------------------------------------

    def endpoint(
        self,
        driver: str,
        argument: str | None,
        variables: Mapping[str, str],
        *,
        node_name: str,
        builder_name: str,
    ) -> str:
        """Give the endpoint to store for what stands on the command line.

        Raises:
            EndpointError: It is missing or malformed.
        """
        declared = self.driver_type(driver)
        answer = self._ask(
            "dockyard_endpoint",
            driver,
            str,
            driver=driver,
            argument=argument,
            variables=variables,
            node_name=node_name,
            builder_name=builder_name,
        )
        endpoint = answer or argument or variables.get(declared.endpoint_variable, "")
        if not endpoint:
            raise EndpointError(f"no {driver} endpoint provided")
        return endpoint

    def supports(self, node: Node) -> bool:
        """Ask whether the node's driver can serve the docker context that the node stands for."""
        from dockyard.driver import Supported

        answer = self._ask("dockyard_supports", node.driver, Supported, node=node)
        return answer is not None and answer.value

    def status(self, node: Node) -> NodeStatus:
        """Ask how far the node is from answering."""
        from dockyard.driver import NodeStatus

        return self._demand("dockyard_status", node.driver, NodeStatus, node=node)

    def bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        """Have the node's BuildKit started; return once it answers."""
        from dockyard.driver import Booted

        return self._demand(
            "dockyard_bootstrap", node.driver, Booted, node=node, progress=progress, cancel=cancel
        )

    def connect(self, node: Node, cancel: Cancellation) -> Connection:
        """Have a connection to the node's BuildKit opened. The caller closes it."""
        from dockyard.driver import Connection

        return self._demand("dockyard_connect", node.driver, Connection, node=node, cancel=cancel)

    def features(self, node: Node, workers: Sequence[Worker]) -> NodeFeatures:
        """Ask what the node can do now; fall back on the driver's declaration."""
        from dockyard.driver import NodeFeatures

        answer = self._ask(
            "dockyard_features", node.driver, NodeFeatures, node=node, workers=workers
        )
        return answer or declared_features(self.driver_type(node.driver))

    def build(
        self, node: Node, request: BuildRequest, progress: Progress, cancel: Cancellation
    ) -> BuildResult:
        """Have the request built on the node."""
        from dockyard.driver import BuildResult

        return self._demand(
            "dockyard_build",
            node.driver,
            BuildResult,
            node=node,
            request=request,
            progress=progress,
            cancel=cancel,
        )

    def load(
        self,
        node: Node,
        image: Image,
        engine: EngineEndpoint,
        progress: Progress,
        cancel: Cancellation,
    ) -> LoadResult:
        """Have an image brought into an engine."""
        from dockyard.driver import LoadResult

        return self._demand(
            "dockyard_load",
            node.driver,
            LoadResult,
            node=node,
            image=image,
            engine=engine,
            progress=progress,
            cancel=cancel,
        )

    def push(
        self, node: Node, image: Image, progress: Progress, cancel: Cancellation
    ) -> PushResult:
        """Have an image pushed from the node's own store."""
        from dockyard.driver import PushResult

        return self._demand(
            "dockyard_push",
            node.driver,
            PushResult,
            node=node,
            image=image,
            progress=progress,
            cancel=cancel,
        )

    def stop(self, node: Node) -> Stopped:
        """Have the node stopped."""
        from dockyard.driver import Stopped

        return self._demand("dockyard_stop", node.driver, Stopped, node=node)

    def remove(
        self,
        node: Node,
        *,
        force: bool = False,
        keep_state: bool = False,
        keep_daemon: bool = False,
    ) -> Removed:
        """Have everything removed that the driver made for the node."""
        from dockyard.driver import Removed

        return self._demand(
            "dockyard_rm",
            node.driver,
            Removed,
            node=node,
            force=force,
            keep_state=keep_state,
            keep_daemon=keep_daemon,
        )

    # --- calling ----------------------------------------------------------------------------

    def _demand(
        self, hook: str, driver: str, kind: type[_Answer], /, **arguments: object
    ) -> _Answer:
        answer = self._ask(hook, driver, kind, **arguments)
        if answer is None:
            raise HookNotAnsweredError(driver, hook)
        return answer

    def _ask(
        self, hook: str, driver: str, kind: type[_Answer], /, **arguments: object
    ) -> _Answer | None:
        with self._lock:
            plugin, _ = self._driver(driver)
            self._load_wrappers()
            caller = self._loader.caller(hook, plugin)
        answer = caller(**arguments)
        if answer is not None and not isinstance(answer, kind):
            raise PluginError(
                f"hook {hook} of driver {driver!r} answered with {type(answer).__name__}, "
                f"not {kind.__name__}"
            )
        return answer

    # --- loading ----------------------------------------------------------------------------

    def _enabled(self, group: str) -> list[Offer]:
        return [
            offer
            for offer in self._offers
            if offer.group == group
            and offer.name not in self._disabled
            and offer.distribution not in self._disabled
        ]

    def _switched_off(self) -> set[str]:
        return {offer.name for offer in self._offers if offer.group == DRIVERS} - set(
            self.driver_names()
        )

    def _driver(self, name: str) -> tuple[object, DriverType]:
        with self._lock:
            if name in self._drivers:
                return self._drivers[name]
            if name in self._failures:
                raise self._failures[name]
            rivals = [offer for offer in self._enabled(DRIVERS) if offer.name == name]
            if not rivals:
                raise DriverNotFoundError(
                    name, installed=self.driver_names(), hint=self.missing_hint(name)
                )
            if len(rivals) > 1:
                raise DriverConflictError(name, [rival.provider for rival in rivals])
            try:
                self._drivers[name] = self._loader.driver(rivals[0])
            except PluginError as error:
                self._failures[name] = error
                raise
            return self._drivers[name]

    def _load_wrappers(self) -> None:
        if self._wrappers_loaded:
            return
        self._wrappers_loaded = True
        for offer in self._enabled(WRAPPERS):
            try:
                self._loader.wrapper(offer)
            except PluginError as error:
                self._failures[f"{offer.name} ({offer.distribution})"] = error


def declared_features(declared: DriverType) -> NodeFeatures:
    """Give a declaration as features of a node; what is conditional counts as no."""
    from dockyard.driver import Feature, Level, NodeFeatures, Support

    return NodeFeatures(
        support={
            feature: declared.support(feature)
            if declared.support(feature).level is not Level.CONDITIONAL
            else Support.no(declared.support(feature).reason)
            for feature in Feature
        }
    )


def _known_packages() -> dict[str, str]:
    """Give the driver packages that the core's extras name, by the extra's name.

    Our own are called after the core; other extras are no drivers.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        requirements = requires("dockyard") or []
    except PackageNotFoundError:
        return {}
    packages = {}
    for requirement in requirements:
        package, marker, extra = requirement.partition("extra == ")
        if marker and package.startswith("dockyard-"):
            packages[extra.strip("'\" ")] = package.split(";")[0].split("==")[0].strip()
    return packages
