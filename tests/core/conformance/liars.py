"""Drivers that borrow an engine's BuildKit, two that are honest and others that each tell one lie.

``Managed`` has a container for each node, as if BuildKit ran in it; the image of the container is
named by ``LIAR_IMAGE``.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import quote

from attrs import evolve

from dockyard.cancellation import Cancellation
from dockyard.driver import (
    Booted,
    Connection,
    DriverType,
    Feature,
    Level,
    LoadResult,
    Node,
    NodeFeatures,
    NodeStatus,
    Option,
    Progress,
    Removed,
    State,
    Stopped,
    Support,
)
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request, upgrade
from dockyard.errors import ConnectError, EngineError
from dockyard.plugin import hookimpl
from support import dockyard_borrowed as borrowed

SECONDS = 4.0
"""Within what an engine that is alive answers when it is called."""
PATIENCE = 60.0
"""Within what it starts or ends a container."""


def ask(node: Node, method: str, path: str, *, timeout: float = SECONDS, **values: object) -> Any:  # noqa: ANN401  # JSON
    """Ask the node's engine."""
    body = json.dumps(values).encode() if values else None
    headers = [("Content-Type", "application/json")] if values else []
    engine = EngineEndpoint(host=node.endpoint)
    answer = request(engine, method, path, headers=headers, body=body, timeout=timeout)
    return answer.json() if answer.body else None


def tolerant(work: Callable[[], object]) -> None:
    """Do something that may have been done already, which the engine says in several ways."""
    try:
        work()
    except EngineError as error:
        if error.status not in (304, 404, 409):
            raise


def container_of(node: Node) -> dict[str, Any]:
    labels = {"dev.dockyard.builder": node.builder, "liar": os.environ["LIAR_IMAGE"]}
    return {"Image": os.environ["LIAR_IMAGE"], "Cmd": ["/wait"], "Labels": labels}


def hang() -> NoReturn:
    threading.Event().wait()
    raise AssertionError("it waited for ever")


def dial(node: Node) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(node.endpoint.removeprefix("unix://"))
    return made


class Honest:
    """Somebody else's daemon."""

    declared = borrowed.dockyard_driver()

    @hookimpl
    def dockyard_driver(self) -> DriverType:
        name = type(self).__name__.lower()
        return evolve(self.declared, name=name, config_refusal=f"no config for the {name} driver")

    @hookimpl
    def dockyard_status(self, node: Node) -> NodeStatus:
        return borrowed.dockyard_status()

    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        cancel.check()
        return borrowed.dockyard_bootstrap()

    @hookimpl
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection:
        engine = EngineEndpoint(host=node.endpoint)
        return Connection(stream=upgrade(engine, "/grpc", cancel=cancel, timeout=SECONDS))

    @hookimpl
    def dockyard_stop(self, node: Node) -> Stopped:
        return borrowed.dockyard_stop(node)

    @hookimpl
    def dockyard_rm(self, node: Node) -> Removed:
        return borrowed.dockyard_rm(node)


class Managed(Honest):
    """Has a container for each node."""

    @hookimpl
    def dockyard_status(self, node: Node) -> NodeStatus:
        try:
            running = ask(node, "GET", f"/containers/{self.container(node)}/json")["State"][
                "Running"
            ]
        except EngineError as error:
            if error.status != 404:
                raise
            return NodeStatus(state=State.INACTIVE)
        return NodeStatus(state=State.RUNNING if running else State.STOPPED)

    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        cancel.check()
        with progress.step("booting"):
            self.make(node)
            cancel.check()
            start = f"/containers/{self.container(node)}/start"
            tolerant(lambda: ask(node, "POST", start, timeout=PATIENCE))
        return Booted()

    @hookimpl
    def dockyard_stop(self, node: Node) -> Stopped:
        stop = f"/containers/{self.container(node)}/stop?t=0"
        tolerant(lambda: ask(node, "POST", stop, timeout=PATIENCE))
        return Stopped()

    @hookimpl
    def dockyard_rm(self, node: Node) -> Removed:
        remove = f"/containers/{self.container(node)}?force=1"
        tolerant(lambda: ask(node, "DELETE", remove, timeout=PATIENCE))
        return Removed()

    def container(self, node: Node) -> str:
        return f"liar_{node.name}"

    def make(self, node: Node) -> None:
        make = f"/containers/create?name={self.container(node)}"
        tolerant(lambda: ask(node, "POST", make, **container_of(node)))


# --- lies about features -----------------------------------------------------------------------


class SaysNoLater(Honest):
    """Declares tarballs; its nodes say that they have none."""

    @hookimpl
    def dockyard_features(self) -> NodeFeatures:
        return NodeFeatures(support={**self.declared.features, Feature.TARBALL: Support.no()})


class LoadsNothing(Honest):
    """Says that images are in the engine, and has brought none there."""

    declared = evolve(
        Honest.declared, features={**Honest.declared.features, Feature.AUTO_LOAD: Support.yes()}
    )

    @hookimpl
    def dockyard_features(self) -> NodeFeatures:
        return NodeFeatures(support=self.declared.features, loads_itself=True)

    @hookimpl
    def dockyard_load(self) -> LoadResult:
        return LoadResult()


class RudeConfig(Honest):
    """Refuses a configuration in words that nobody understands."""

    @hookimpl
    def dockyard_driver(self) -> DriverType:
        return evolve(self.declared, name="rudeconfig", config_refusal="no")


class WithoutReason(Honest):
    """Has a feature sometimes, nobody knows when."""

    declared = evolve(
        Honest.declared,
        features={**Honest.declared.features, Feature.TARBALL: Support(Level.CONDITIONAL)},
    )


# --- lies about answers ------------------------------------------------------------------------


class StatusHangs(Honest):
    @hookimpl
    def dockyard_status(self, node: Node) -> NodeStatus:
        return hang()


class ConnectHangs(Honest):
    @hookimpl
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection:
        return hang()


class StopSaysNothing(Honest):
    @hookimpl
    def dockyard_stop(self, node: Node) -> Stopped:
        return None  # type: ignore[return-value]  # the lie


class StatusIsText(Honest):
    @hookimpl
    def dockyard_status(self, node: Node) -> NodeStatus:
        return "running"  # type: ignore[return-value]  # the lie


class BootCrashes(Honest):
    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        raise KeyError("image")


class WrongOptions(Honest):
    """Has an option that does not take its default, and one that takes everything."""

    declared = evolve(
        Honest.declared,
        options=(
            Option(name="size", type="size", help="How large", default="big", parse=int),
            Option(name="count", type="number", help="How many"),
        ),
    )


# --- lies about what it makes ------------------------------------------------------------------


class LeavesContainer(Managed):
    @hookimpl
    def dockyard_rm(self, node: Node) -> Removed:
        return Removed(what=("everything, I swear",))


class NeverStops(Managed):
    @hookimpl
    def dockyard_stop(self, node: Node) -> Stopped:
        return Stopped()


class BootsTwice(Managed):
    """Makes a nameless container beside the real one, and one more when two boot at once."""

    def __init__(self) -> None:
        self.turn = threading.Condition()
        self.looked: dict[tuple[str, int], bool] = {}
        """Who boots which node, and whether he has looked for its container."""

    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        me = (node.name, threading.get_ident())
        self.note(me, looked=False)
        try:
            return super().dockyard_bootstrap(node, progress, cancel)
        finally:
            with self.turn:
                del self.looked[me]
                self.turn.notify_all()

    def make(self, node: Node) -> None:
        if self.dockyard_status(node).state is State.INACTIVE:
            self.note((node.name, threading.get_ident()), looked=True)
            self.let_the_other_look(node.name)
            ask(node, "POST", "/containers/create", **container_of(node))
            super().make(node)

    def note(self, who: tuple[str, int], *, looked: bool) -> None:
        with self.turn:
            self.looked[who] = looked
            self.turn.notify_all()

    def let_the_other_look(self, name: str) -> None:
        """Wait for whoever boots the node, too, or begins to within half a second."""

        def looked() -> list[bool]:
            return [value for (node, _), value in self.looked.items() if node == name]

        with self.turn:
            if self.turn.wait_for(lambda: len(looked()) > 1, 0.5):
                self.turn.wait_for(lambda: all(looked()), PATIENCE)

    @hookimpl
    def dockyard_rm(self, node: Node) -> Removed:
        wanted = quote(json.dumps({"label": [f"dev.dockyard.builder={node.builder}"]}))
        for each in ask(node, "GET", f"/containers/json?all=1&filters={wanted}"):
            ask(node, "DELETE", f"/containers/{each['Id']}?force=1", timeout=PATIENCE)
        return Removed()


class DeafToCancel(Managed):
    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        if cancel.canceled:
            hang()
        return super().dockyard_bootstrap(node, progress, cancel)


class LeavesHelper(Managed):
    """Uses a volume while it boots, and forgets about it when that is canceled."""

    @hookimpl
    def dockyard_bootstrap(self, node: Node, progress: Progress, cancel: Cancellation) -> Booted:
        helper = f"liar_helper_{node.name}_{os.environ['LIAR_IMAGE']}"
        ask(node, "POST", "/volumes/create", Name=helper)
        booted = super().dockyard_bootstrap(node, progress, cancel)
        tolerant(lambda: ask(node, "DELETE", f"/volumes/{helper}"))
        return booted


class KeepsSocket(Honest):
    """Opens one connection too many each time."""

    kept: list[socket.socket] = []  # noqa: RUF012  # it shall never be closed

    @hookimpl
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection:
        self.kept.append(socket.socket())
        return super().dockyard_connect(node, cancel)


# --- lies about dead endpoints -----------------------------------------------------------------


class WaitsForever(Honest):
    """Knows no deadline once it is connected."""

    @hookimpl
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection:
        try:
            with dial(node) as made:
                made.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                made.recv(1)
        except OSError as error:
            raise ConnectError(f"{node.endpoint}: {error}") from error
        return super().dockyard_connect(node, cancel)


class RaisesItsOwn(Honest):
    """Lets the system's errors through."""

    @hookimpl
    def dockyard_connect(self, node: Node, cancel: Cancellation) -> Connection:
        dial(node).close()
        return super().dockyard_connect(node, cancel)


def _all(kind: type[Honest]) -> dict[str, Honest]:
    found = {kind.__name__.lower(): kind()}
    for each in kind.__subclasses__():
        found |= _all(each)
    return found


DRIVERS = SimpleNamespace(**_all(Honest))
"""Every driver by its name, as entry points refer to them."""
