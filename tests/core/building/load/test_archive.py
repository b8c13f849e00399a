from __future__ import annotations

import io
import json
import os
import tarfile
from typing import Any, BinaryIO

import pytest
from attrs import evolve

from core.building.load.images import attested, digest, make_image
from dockyard.building.load.archive import archive, probe
from dockyard.building.load.content import image_content
from dockyard.errors import ProtocolError


def unpacked(packed: BinaryIO) -> dict[str, bytes]:
    found = {}
    with packed, tarfile.open(fileobj=io.BytesIO(packed.read())) as opened:
        for member in opened:
            file = opened.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def listing(files: dict[str, bytes], name: str) -> Any:  # noqa: ANN401  # it is any JSON
    return json.loads(files[name])


def test_an_archive_has_all_that_either_store_looks_for() -> None:
    image = make_image([b"one", os.urandom(300_000)])

    files = unpacked(archive(image.content))

    for each, data in image.blobs.items():
        assert files.pop(f"blobs/{each.replace(':', '/')}") == data
    (manifest,) = listing(files, "manifest.json")
    assert manifest["RepoTags"] is None
    assert [f"sha256:{name.rpartition('/')[2]}" for name in manifest["Layers"]] == [
        layer.digest for layer in image.content.layers
    ]
    (entry,) = listing(files, "index.json")["manifests"]
    assert entry["digest"] == image.content.manifest.digest
    assert "annotations" not in entry
    assert listing(files, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    assert set(files) == {"manifest.json", "index.json", "oci-layout"}


def test_only_the_layers_that_are_wanted_are_opened() -> None:
    image = make_image([b"one", b"two", b"three"])
    wanted = image.content.layers[2].digest

    files = unpacked(archive(image.content, layers={wanted}))

    assert image.opened[0] == wanted
    assert len(image.opened) == 3
    (manifest,) = listing(files, "manifest.json")
    assert len(manifest["Layers"]) == 3


def test_layers_come_before_what_describes_them_and_each_once() -> None:
    image = make_image([b"same", b"same", b"other"])
    content = image.content
    assert content.layers[0].digest != content.layers[1].digest  # their names differ
    repeated = make_image([b"one"])
    repeated.content.layers = repeated.content.layers * 2

    unpacked(archive(content))
    unpacked(archive(repeated.content))

    expected = [layer.digest for layer in content.layers]
    assert image.opened == [*expected, content.config.digest, content.manifest.digest]
    assert len(repeated.opened) == 3


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("me/app:1", "docker.io/me/app:1"),
        ("docker.io/library/app:1", "docker.io/library/app:1"),
        ("localhost/app", "localhost/app:latest"),
        ("host:5000/app", "host:5000/app:latest"),
        ("example.com/me/app:1", "example.com/me/app:1"),
    ],
)
def test_names_are_written_as_each_store_wants_them(name: str, full: str) -> None:
    files = unpacked(archive(make_image([b"x"]).content, names=[name]))

    (entry,) = listing(files, "index.json")["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": full}
    (manifest,) = listing(files, "manifest.json")
    assert full.endswith(manifest["RepoTags"][0])
    assert ":" in manifest["RepoTags"][0].rpartition("/")[2]


def test_several_names_are_several_entries_of_one_image() -> None:
    files = unpacked(archive(make_image([b"x"]).content, names=["a:1", "b:2"]))

    entries = listing(files, "index.json")["manifests"]
    assert len({entry["digest"] for entry in entries}) == 1
    assert len(entries) == 2
    assert listing(files, "manifest.json")[0]["RepoTags"] == ["a:1", "b:2"]


def test_a_probe_has_no_layer() -> None:
    image = make_image([b"one", b"two"])

    files = unpacked(probe(image.content))

    assert image.opened == [image.content.config.digest]
    (manifest,) = listing(files, "manifest.json")
    assert manifest == {"Config": "config.json", "RepoTags": None, "Layers": ["L0L", "L1L"]}
    assert digest(files["config.json"]) == image.content.config.digest


def test_an_archive_that_is_given_up_closes_what_it_reads() -> None:
    image = make_image([os.urandom(2_000_000)])
    files: list[BinaryIO] = []
    opener = image.content.open

    class Content:
        manifest, config, layers = (
            image.content.manifest,
            image.content.config,
            image.content.layers,
        )

        def open(self, blob: Any) -> BinaryIO:  # noqa: ANN401
            files.append(opener(blob))
            return files[-1]

    with archive(Content()) as packed:  # type: ignore[arg-type]
        packed.read(1000)

    assert [file.closed for file in files] == [True]


@pytest.mark.parametrize("wrong", [-1, 1, -1000, 1000, 1_000_000])
@pytest.mark.parametrize("which", ["config", "manifest", "layer"])
def test_a_blob_of_another_size_makes_no_archive(which: str, wrong: int) -> None:
    image = make_image([os.urandom(300_000)])
    content = image.content
    blob = content.layers[0] if which == "layer" else getattr(content, which)
    changed = evolve(blob, size=max(0, blob.size + wrong))
    fields = {"layers": (changed,)} if which == "layer" else {which: changed}

    with (
        pytest.raises(ProtocolError, match=f"{blob.digest} has not its {changed.size} bytes"),
        archive(evolve(content, **fields)) as packed,
    ):
        packed.read()


def test_an_archive_has_what_is_attested_of_the_image() -> None:
    image = make_image([b"one"])
    content = image_content(attested(image), lambda blob: io.BytesIO(image.blobs[blob.digest]))
    assert content is not None

    files = unpacked(archive(content, layers=(), names=["a:1"]))

    wanted = {f"blobs/{each.replace(':', '/')}" for each in image.blobs}
    left_out = {f"blobs/{layer.digest.replace(':', '/')}" for layer in content.layers}
    assert {name for name in files if name.startswith("blobs/")} == wanted - left_out
    (entry,) = listing(files, "index.json")["manifests"]
    assert content.index is not None
    assert entry["digest"] == content.index.digest
    assert entry["mediaType"] == content.index.media_type
