"""Tests for the connections that a build keeps open to its nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

import pytest

import dockyard.buildkit.client
from dockyard.building.link import Link, Links
from dockyard.cancellation import Cancellation
from dockyard.driver import Node, NodeFeatures
from dockyard.plugin.manager import PluginManager

NODE = Node(builder="b", name="n", endpoint="x", driver="d")


class FakeLoop:
    """A loop that has nothing else to do."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()


class FakeClient:
    """A client that can be closed once."""

    made: list[FakeClient]

    def __init__(self, connection: object) -> None:
        self.loop = FakeLoop()
        self.open = True
        FakeClient.made.append(self)

    def workers(self) -> tuple[()]:
        return ()

    def close(self) -> None:
        assert self.open
        self.open = False


class FakeManager:
    """A manager whose connections come only when all who wait have asked."""

    def __init__(self, askers: int) -> None:
        self._gate = threading.Barrier(askers, timeout=45)

    def connect(self, node: Node, cancel: Cancellation) -> object:
        self._gate.wait()
        return object()

    def features(self, node: Node, workers: object) -> NodeFeatures:
        return NodeFeatures(support={})


@pytest.fixture(autouse=True)
def _fake_client(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeClient.made = []
    monkeypatch.setattr(dockyard.buildkit.client, "Client", FakeClient)


def links(askers: int) -> Links:
    return Links(cast("PluginManager", FakeManager(askers)))


def test_who_asks_again_gets_the_same_link() -> None:
    wanted = links(1)

    assert wanted.get(NODE, Cancellation()) is wanted.get(NODE, Cancellation())
    assert len(FakeClient.made) == 1


def test_of_two_who_ask_at_once_both_get_one_link_and_the_other_is_closed() -> None:
    wanted = links(2)
    found: list[Link] = []

    threads = [
        threading.Thread(target=lambda: found.append(wanted.get(NODE, Cancellation())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(45)

    assert found[0] is found[1]
    assert [client.open for client in FakeClient.made].count(True) == 1
    assert cast("FakeClient", found[0].client).open
    wanted.close(NODE)
    assert not any(client.open for client in FakeClient.made)
