from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

from core.registry.server import FakeRegistry, digest_of, serve
from dockyard.building.nodes.merge import Push, push_index
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildResult
from dockyard.errors import OutputError, ProtocolError
from dockyard.events import StatusUpdate
from dockyard.plugin.manager import PluginManager
from dockyard.progress import ProgressWriter
from dockyard.registry.annotation import Annotations
from dockyard.registry.descriptor import OCI_INDEX, OCI_MANIFEST

CONFIG = "application/vnd.oci.image.config.v1+json"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serve() as running:
        yield running


def give(registry: FakeRegistry, values: object, kind: str) -> dict[str, Any]:
    """Put something into the repository ``a``, and give its descriptor."""
    data = json.dumps(values).encode()
    place = "blobs" if kind == CONFIG else "manifests"
    registry.give(f"/v2/a/{place}/{digest_of(data)}", data, kind)
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def image(registry: FakeRegistry, machine: str) -> dict[str, Any]:
    config = give(registry, {"os": "linux", "architecture": machine}, CONFIG)
    return give(registry, {"config": config}, OCI_MANIFEST)


def merge(
    home: Path,
    names: Sequence[str],
    results: Sequence[BuildResult],
    *,
    files: Sequence[dict[str, bytes]] = (),
    insecure: bool = False,
    steps: list[StatusUpdate] | None = None,
) -> str:
    environment = attrs.evolve(Environment.from_process(), variables={"HOME": str(home)})
    index = push_index(
        Push(tuple(names), Annotations(), insecure=insecure),
        results,
        workbench=Workbench.of(environment, PluginManager([])),
        files=files,
        progress=ProgressWriter((steps if steps is not None else []).append),
        cancel=Cancellation(),
    )
    return index.descriptor.digest


def by_digest(descriptor: dict[str, Any]) -> BuildResult:
    """Give what a daemon answers that knows no descriptors."""
    return BuildResult(ref="b/n/1", response={"containerimage.digest": descriptor["digest"]})


def test_images_known_by_digest_only_are_looked_into(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    images = [image(registry, machine) for machine in ("amd64", "arm64")]
    names = [f"{registry.host}/{rest}" for rest in ("a:1", "b:2")]
    steps: list[StatusUpdate] = []

    digest = merge(tmp_path, names, [by_digest(each) for each in images], steps=steps)

    (first, second) = (
        registry.stored[f"/v2/{path}"] for path in ("a/manifests/1", "b/manifests/2")
    )
    assert first == second
    kind, data = first
    assert (kind, digest_of(data)) == (OCI_INDEX, digest)
    assert [entry["platform"]["architecture"] for entry in json.loads(data)["manifests"]] == [
        "amd64",
        "arm64",
    ]
    shown = {vertex.name for step in steps for vertex in step.vertexes}
    assert shown == {f"merging manifest list {','.join(names)}"}


def test_a_descriptor_saves_asking(registry: FakeRegistry, tmp_path: Path) -> None:
    descriptor = image(registry, "amd64")
    platform = {"os": "linux", "architecture": "amd64"}
    answer = json.dumps({**descriptor, "platform": platform}).encode()
    response = {"containerimage.descriptor": base64.b64encode(answer).decode()}

    merge(tmp_path, [f"{registry.host}/a:1"], [BuildResult(ref="b/n/1", response=response)])

    assert [method for method, path, _ in registry.asked if path != "/v2/"] == ["PUT"]


def test_an_image_that_is_not_in_the_registry_is_an_error(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    missing = {"digest": digest_of(b"")}

    with pytest.raises(OutputError, match=rf"registry {registry.host}, repository a: 404"):
        merge(tmp_path, [f"{registry.host}/a:1"], [by_digest(missing)])

    assert not registry.stored


def test_the_first_node_that_knows_the_registry_says_how_it_is_reached(tmp_path: Path) -> None:
    authority = trustme.CA()
    with serve(authority.issue_cert("127.0.0.1")) as registry:
        descriptor = image(registry, "amd64")
        config = f'[registry."{registry.host}"]\nca = ["/etc/buildkit/certs/x/ca.pem"]\n'
        files = {
            "buildkitd.toml": config.encode(),
            "certs/x/ca.pem": authority.cert_pem.bytes(),
        }
        name = f"{registry.host}/a:1"

        with pytest.raises(OutputError, match="its certificate is not trusted"):
            merge(tmp_path, [name], [by_digest(descriptor)], files=[{}])
        merge(tmp_path, [name], [by_digest(descriptor)], files=[{}, files])
        assert "/v2/a/manifests/1" in registry.stored


def test_an_insecure_registry_needs_no_trusted_certificate(tmp_path: Path) -> None:
    with serve(trustme.CA().issue_cert("127.0.0.1")) as registry:
        descriptor = image(registry, "amd64")

        merge(tmp_path, [f"{registry.host}/a:1"], [by_digest(descriptor)], insecure=True)

        assert registry.stored


@pytest.mark.parametrize("digest", ["1", "../b/manifests/1", "shake_128:00", "md5:00"])
def test_a_daemon_cannot_have_something_else_asked_for(
    tmp_path: Path, registry: FakeRegistry, digest: str
) -> None:
    registry.give(f"/v2/a/manifests/{digest}", b"{}")

    with pytest.raises(ProtocolError, match="a digest that cannot be checked"):
        merge(tmp_path, [f"{registry.host}/a:1"], [by_digest({"digest": digest})])

    assert not registry.asked
