from __future__ import annotations

import sys
from types import ModuleType

import pytest

from dockyard.driver import DriverType, Node, NodeStatus, State
from dockyard.errors import PluginLoadError
from dockyard.plugin import hookimpl
from dockyard.plugin.discovery import DRIVERS, WRAPPERS, Offer
from dockyard.plugin.loader import DEFAULTS, Loader

NODE = Node(name="n0", driver="shed", endpoint="")


class Answering:
    """A plugin that tells its name for a node's status, and declares a driver of that name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def dockyard_driver(self) -> DriverType:
        return DriverType(name=self.name, summary="a driver", features={})

    @hookimpl
    def dockyard_status(self, node: Node) -> NodeStatus:
        return NodeStatus(state=State.RUNNING, reason=self.name)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("loader_test_plugins")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def offer(name: str, attribute: str, group: str = DRIVERS) -> Offer:
    return Offer(
        group=group,
        name=name,
        value=f"loader_test_plugins:{attribute}",
        distribution=f"dist-{name}",
        version="1.0",
    )


def test_a_hook_reaches_one_driver_or_else_the_defaults(module: ModuleType) -> None:
    vars(module).update(first=Answering("first"), second=Answering("second"))
    loader = Loader()
    loader.register(Answering("the core"), DEFAULTS)
    first, declared = loader.driver(offer("first", "first"))
    second, _ = loader.driver(offer("second", "second"))

    reached = [loader.caller("dockyard_status", plugin)(node=NODE) for plugin in (first, second)]

    assert declared.name == "first"
    assert [status.reason for status in reached] == ["first", "second"]
    assert loader.caller("dockyard_status", object())(node=NODE).reason == "the core"


def test_a_driver_of_another_name_is_refused_and_can_be_registered_again(
    module: ModuleType,
) -> None:
    plugin = Answering("garage")
    vars(module).update(plugin=plugin)
    loader = Loader()

    with pytest.raises(PluginLoadError, match="offers a driver named 'garage'"):
        loader.driver(offer("shed", "plugin"))

    assert loader.driver(offer("garage", "plugin"))[0] is plugin


@pytest.mark.parametrize("error", [SystemExit(3), OSError("no such luck")])
def test_a_wrapper_that_cannot_be_imported_is_named(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise error

    monkeypatch.setitem(sys.modules, "loader_test_plugins", Broken("loader_test_plugins"))

    with pytest.raises(PluginLoadError, match=rf"{type(error).__name__}: {error}") as raised:
        Loader().wrapper(offer("tape", "plugin", WRAPPERS))

    assert "dist-tape 1.0" in str(raised.value)
