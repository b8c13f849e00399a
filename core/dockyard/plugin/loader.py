"""Importing plugins, registering them with pluggy, and reaching their hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dockyard.errors import HookVersionError, PluginError, PluginLoadError

if TYPE_CHECKING:
    import pluggy

    from dockyard.driver import DriverType
    from dockyard.plugin.discovery import Offer

DEFAULTS = "dockyard"
"""The name under which the core's own answers are registered."""


class Loader:
    """The plugins that were imported so far. Pluggy itself is imported with the first of them.

    It has no lock: who shares one between threads holds a lock of its own.
    """

    def __init__(self) -> None:
        self._pm: pluggy.PluginManager | None = None

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that is imported already."""
        self._manager().register(plugin, name)

    def driver(self, offer: Offer) -> tuple[object, DriverType]:
        """Import and register a driver's plugin; give it and its declaration.

        Raises:
            PluginError: It is broken, too old or too new; it is not registered then.
        """
        plugin = self._load(offer)
        manager = self._manager()
        try:
            answers = manager.subset_hook_caller(
                "dockyard_driver", set(manager.get_plugins()) - {plugin}
            )()
            return plugin, _checked(offer, answers)
        except Exception as error:
            manager.unregister(plugin)
            if isinstance(error, PluginError):
                raise
            raise PluginLoadError(offer.name, offer.provider, _words(error)) from error

    def wrapper(self, offer: Offer) -> None:
        """Import and register a plugin that wraps hooks.

        Raises:
            PluginLoadError: It cannot be imported, or its hooks are not ours.
        """
        self._load(offer)

    def caller(self, hook: str, plugin: object) -> pluggy.HookCaller:
        """Give a caller that reaches the one driver, the core's defaults, and all wrappers."""
        manager = self._manager()
        defaults = manager.get_plugin(DEFAULTS)
        strangers = {
            implementation.plugin
            for implementation in getattr(manager.hook, hook).get_hookimpls()
            if implementation.plugin is not plugin
            and implementation.plugin is not defaults
            and not (implementation.wrapper or implementation.hookwrapper)
        }
        return manager.subset_hook_caller(hook, strangers)

    def _manager(self) -> pluggy.PluginManager:
        if self._pm is None:
            import pluggy

            from dockyard.plugin.hookspecs import DriverHooks
            from dockyard.plugin.marker import PROJECT

            self._pm = pluggy.PluginManager(PROJECT)
            self._pm.add_hookspecs(DriverHooks)
        return self._pm

    def _load(self, offer: Offer) -> object:
        """Import a plugin and register it.

        Raises:
            PluginLoadError: It cannot be imported, or its hooks are not ours.
        """
        from pluggy import PluginValidationError

        manager = self._manager()
        plugin: object = None
        try:
            plugin = _import(offer.value)
            manager.register(plugin, f"{offer.group}:{offer.name}:{offer.distribution}")
            manager.check_pending()
        except (Exception, SystemExit) as error:  # a stranger's module may raise anything
            if plugin is not None and manager.is_registered(plugin):
                manager.unregister(plugin)
            words = str(error) if isinstance(error, PluginValidationError) else _words(error)
            raise PluginLoadError(offer.name, offer.provider, " ".join(words.split())) from error
        return plugin


def _checked(offer: Offer, answers: Sequence[Any]) -> DriverType:
    from dockyard.driver import HOOK_SPEC_VERSION, DriverType

    if len(answers) != 1 or not isinstance(answers[0], DriverType):
        raise PluginLoadError(
            offer.name, offer.provider, "it has no dockyard_driver hook that gives a DriverType"
        )
    declared = answers[0]
    if declared.name != offer.name:
        raise PluginLoadError(
            offer.name, offer.provider, f"its entry point offers a driver named {declared.name!r}"
        )
    theirs = declared.hook_spec.split(".")
    ours = HOOK_SPEC_VERSION.split(".")
    if theirs[0] != ours[0] or int(theirs[1]) > int(ours[1]):
        raise HookVersionError(offer.provider, declared.hook_spec, HOOK_SPEC_VERSION)
    return declared


def _import(value: str) -> object:
    import importlib

    module, _, attribute = value.partition(":")
    found: object = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return found


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
