from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from dockyard.building.nodes.multi import Share, Site, build_on_several
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, BuildResult, Feature, Node, NodeFeatures, Output, Support
from dockyard.errors import CanceledError, InputError, OutputError
from dockyard.events import VertexWarning
from dockyard.platforms import Platform
from dockyard.plugin.manager import PluginManager
from dockyard.progress import ProgressWriter

AMD64, ARM64 = (Platform("linux", machine) for machine in ("amd64", "arm64"))


def request(*outputs: Output, **values: Any) -> BuildRequest:  # noqa: ANN401  # its own fields
    return BuildRequest(outputs=outputs, platforms=(AMD64, ARM64), **values)


def pushed(**attributes: str) -> Output:
    return Output(type="image", attributes={"push": "true", **attributes})


@attrs.define(eq=False)
class Nodes:
    """Two nodes that give what they are told to."""

    results: Callable[[Share], BuildResult] = lambda share: BuildResult(ref=share.node.name)
    features: NodeFeatures = attrs.field(
        factory=lambda: NodeFeatures(support={Feature.DIRECT_PUSH: Support.yes()})
    )
    asked: dict[str, BuildRequest] = attrs.field(factory=dict)
    read: dict[str, bytes] = attrs.field(factory=dict)
    cancel: Cancellation = attrs.field(factory=Cancellation)

    def build(self, home: Path, wanted: BuildRequest) -> BuildResult:
        environment = Environment.from_process()
        environment = attrs.evolve(
            environment, variables={"HOME": str(home), "DOCKER_HOST": "unix:///nowhere.sock"}
        )
        workbench = Workbench.of(environment, PluginManager([]))
        nodes = [Node(name=name, driver="stand", endpoint="") for name in ("first", "second")]
        return build_on_several(
            Site(workbench, nodes, ProgressWriter(lambda _: None), self.cancel),
            wanted,
            [
                Share(node, attrs.evolve(wanted, platforms=(platform,)))
                for node, platform in zip(nodes, wanted.platforms, strict=True)
            ],
            check=lambda _: self.features,
            build=self._build,
        )

    def _build(self, share: Share, _: Cancellation) -> BuildResult:
        self.asked[share.node.name] = share.request
        if share.request.stdin is not None:
            self.read[share.node.name] = share.request.stdin.read()
        return self.results(share)


def test_each_node_gets_its_platforms_and_names_them_in_its_result(tmp_path: Path) -> None:
    nodes = Nodes()

    nodes.build(tmp_path, request(tags=("a",), build_args={"b": "c"}))

    assert {name: asked.platforms for name, asked in nodes.asked.items()} == {
        "first": (AMD64,),
        "second": (ARM64,),
    }
    for asked in nodes.asked.values():
        assert asked.tags == ()  # names stand in the outputs
        assert asked.multi_platform
        assert asked.build_args == {"b": "c"}
    (ref,) = {asked.ref for asked in nodes.asked.values()}
    assert ref


def test_both_nodes_read_all_of_stdin(tmp_path: Path) -> None:
    nodes = Nodes()

    nodes.build(tmp_path, request(dockerfile="-", stdin=io.BytesIO(b"FROM scratch")))

    assert nodes.read == {"first": b"FROM scratch", "second": b"FROM scratch"}


def test_stdin_is_left_alone_where_nothing_comes_from_there(tmp_path: Path) -> None:
    stdin = io.BytesIO(b"somebody else's")
    nodes = Nodes()

    nodes.build(tmp_path, request(stdin=stdin))

    assert [asked.stdin for asked in nodes.asked.values()] == [stdin, stdin]


def test_the_first_nodes_answer_stands_for_all(tmp_path: Path) -> None:
    same = VertexWarning(vertex="sha256:1", short=b"beware")

    def results(share: Share) -> BuildResult:
        response = {"containerimage.digest": share.node.name}
        return BuildResult(ref=f"b/{share.node.name}/1", response=response, warnings=(same,))

    result = Nodes(results=results).build(tmp_path, request(Output(type="image")))

    assert result.ref == "b/first/1"
    assert result.digest == "first"
    assert result.warnings == (same,)


@pytest.mark.parametrize(
    "features",
    [
        NodeFeatures(support={}),
        NodeFeatures(support={Feature.DIRECT_PUSH: Support.yes()}, loads_itself=True),
    ],
)
def test_a_node_that_cannot_push_by_digest_is_refused(
    tmp_path: Path, features: NodeFeatures
) -> None:
    nodes = Nodes(features=features)

    with pytest.raises(InputError, match="multi-node push can't currently be performed with the"):
        nodes.build(tmp_path, request(pushed(name="a")))

    assert not nodes.asked


def test_a_push_without_a_digest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="build first was to push an image"):
        Nodes().build(tmp_path, request(pushed(name="127.0.0.1:1/a")))


def test_each_node_writes_an_archive_of_its_own_without_a_name(tmp_path: Path) -> None:
    attributes = {"name": "a", "compression": "zstd", "annotation-index.b": "c"}
    output = Output(type="oci", dest="-", attributes=attributes)

    nodes = Nodes(results=_fail)
    with pytest.raises(OutputError, match="enough"):
        nodes.build(tmp_path, request(output))

    asked = [each.outputs[0] for each in nodes.asked.values()]
    assert {each.type for each in asked} == {"oci"}
    assert all(each.attributes == {"compression": "zstd"} for each in asked)
    assert len({each.dest for each in asked} - {"-", None}) == len(asked)


def _fail(share: Share) -> BuildResult:
    raise OutputError(f"{share.node.name} did enough")


def test_a_stdin_that_is_silent_can_be_canceled(tmp_path: Path) -> None:
    cancel = Cancellation()
    source, sink = os.pipe()
    os.write(sink, b"FROM")
    threading.Timer(0.2, cancel.cancel).start()

    with os.fdopen(source, "rb") as stdin, pytest.raises(CanceledError):
        Nodes(cancel=cancel).build(tmp_path, request(dockerfile="-", stdin=stdin))
    os.close(sink)


def test_all_of_a_pipe_is_read(tmp_path: Path) -> None:
    nodes = Nodes()
    source, sink = os.pipe()
    os.write(sink, b"FROM scratch")
    os.close(sink)

    with os.fdopen(source, "rb") as stdin:
        stdin.peek(1)
        nodes.build(tmp_path, request(dockerfile="-", stdin=stdin))

    assert nodes.read["second"] == b"FROM scratch"
