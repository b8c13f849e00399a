"""Loading: the image is there already, or comes from the engine that built it."""

from __future__ import annotations

import io
import socket

import pytest
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.driver import Image, Node
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import find_image, load_archive
from dockyard.errors import CanceledError, EngineError, EngineUnreachableError
from dockyard_docker import plugin
from support.archive import archive
from support.peer import Peers, silent

from .conftest import MakeNode, Memory


def put(node: Node, name: str) -> str:
    """Put an image into the node's engine, as a build does, and give its id."""
    assert node.engine is not None
    content = io.BytesIO(archive(name, name.encode() * 1000))
    load_archive(node.engine, content, on_message=lambda _: None)
    return find_image(node.engine, name).id


def test_an_image_that_is_there_is_found_by_its_id(
    engine: Engine, make_node: MakeNode, memory: Memory
) -> None:
    node = make_node(engine.host)
    image_id = put(node, "dockyard-load:there")
    image = Image(names=("dockyard-load:there",), image_id=image_id)
    assert node.engine is not None

    result = plugin.dockyard_load(node, image, node.engine, memory, Cancellation())

    assert result.image_id == image_id
    assert result.names == ("dockyard-load:there",)
    assert not memory.steps


def test_an_image_is_found_by_its_name_when_its_id_is_another_store_s(
    engine: Engine, make_node: MakeNode, memory: Memory
) -> None:
    node = make_node(engine.host)
    image_id = put(node, "dockyard-load:named")
    image = Image(names=("dockyard-load:named",), image_id="sha256:" + "0" * 64)
    assert node.engine is not None

    result = plugin.dockyard_load(node, image, node.engine, memory, Cancellation())

    assert result.image_id == image_id


def test_an_image_that_is_not_there_is_an_error(
    engine: Engine, make_node: MakeNode, memory: Memory
) -> None:
    node = make_node(engine.host)
    assert node.engine is not None

    with pytest.raises(EngineError, match="(?i)no such image"):
        plugin.dockyard_load(
            node, Image(names=("dockyard-none:x",)), node.engine, memory, Cancellation()
        )


def test_a_build_without_any_image_cannot_be_loaded(make_node: MakeNode, memory: Memory) -> None:
    node = make_node("unix:///nowhere")
    assert node.engine is not None

    with pytest.raises(EngineError, match="left no image"):
        plugin.dockyard_load(node, Image(), node.engine, memory, Cancellation())


@pytest.mark.parametrize("direction", ["forth", "back"])
def test_an_image_moves_to_another_engine(
    engine_26_containerd: Engine,
    engine_20: Engine,
    make_node: MakeNode,
    memory: Memory,
    direction: str,
) -> None:
    hosts = (engine_26_containerd.host, engine_20.host)
    built_in, other = hosts if direction == "forth" else reversed(hosts)
    node, name = make_node(built_in), f"dockyard-load:{direction}"
    image = Image(names=(name,), image_id=put(node, name))
    target = EngineEndpoint(host=other)

    result = plugin.dockyard_load(node, image, target, memory, Cancellation())

    assert result.image_id == find_image(target, name).id
    assert [step.name for step in memory.steps] == ["importing to docker"]
    assert all(text.startswith("loading layer ") for text, *_ in memory.steps[0].reports)


def test_another_engine_that_is_not_there_fails_the_step(
    engine_26: Engine, make_node: MakeNode, memory: Memory
) -> None:
    node = make_node(engine_26.host)
    image = Image(names=("dockyard-load:lost",), image_id=put(node, "dockyard-load:lost"))

    with pytest.raises(EngineUnreachableError):
        plugin.dockyard_load(
            node, image, EngineEndpoint(host="unix:///nowhere"), memory, Cancellation()
        )

    assert memory.steps[0].failed


def test_canceling_ends_the_move(
    engine_26: Engine, make_node: MakeNode, memory: Memory, peers: Peers
) -> None:
    node, cancel = make_node(engine_26.host), Cancellation()
    image = Image(names=("dockyard-load:late",), image_id=put(node, "dockyard-load:late"))

    def serve(connection: socket.socket) -> None:
        cancel.cancel()
        silent(connection)

    with pytest.raises(CanceledError):
        plugin.dockyard_load(node, image, peers.unix(serve), memory, cancel)
