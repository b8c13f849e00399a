from __future__ import annotations

import io
import json
from typing import Any

import pytest

from core.building.load.images import INDEX, MadeImage, attested, digest, make_image
from dockyard.building.load.content import image_content
from dockyard.errors import ProtocolError
from dockyard.session.content_store import ExportStore


def stored(**blobs: bytes) -> ExportStore:
    store = ExportStore()
    for kind, data in blobs.items():
        store.add(f"{kind.rstrip('_')}-{digest(data)}", digest(data), data)
    return store


def changed(image: MadeImage, **values: object) -> ExportStore:
    """Give what an exporter wrote, with another manifest."""
    manifest: dict[str, Any] = json.loads(image.blobs[image.content.manifest.digest])
    config = image.blobs[image.content.config.digest]
    return stored(config=config, manifest=json.dumps({**manifest, **values}).encode())


def nothing(_blob: object) -> io.BytesIO:
    return io.BytesIO()


def test_an_image_is_what_its_manifest_says() -> None:
    image = make_image([b"one", b"two"])

    found = image_content(image.store, nothing)

    assert found is not None
    assert found.manifest == image.content.manifest
    assert found.config == image.content.config
    assert found.layers == image.content.layers


def test_an_image_may_have_no_layers() -> None:
    found = image_content(make_image([]).store, nothing)

    assert found is not None
    assert found.layers == ()


def test_several_images_and_what_is_none_are_left_to_others() -> None:
    one, two = make_image([b"one"]), make_image([b"two"])
    both = one.store
    manifest = two.content.manifest.digest
    both.add(f"manifest-{manifest}", manifest, two.blobs[manifest])
    indexed = make_image([b"x"]).store
    indexed.add("index-x", digest(b"{}"), b"{}")

    assert image_content(both, nothing) is None
    assert image_content(indexed, nothing) is None
    assert image_content(ExportStore(), nothing) is None
    assert image_content(changed(one, mediaType="application/other"), nothing) is None
    assert image_content(changed(one, mediaType=["a list"]), nothing) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"config": None}, "a config has no digest"),
        ({"config": {"digest": "sha256:../../x", "size": 1}}, "a config has no digest"),
        ({"config": {"digest": digest(b"?"), "size": 1}}, "it has no configuration"),
        ({"config": {"digest": digest(b"?"), "size": 10**30}}, "has no size"),
        ({"layers": [{"digest": digest(b"x"), "size": 10**30}]}, "has no size"),
        ({"layers": []}, "different numbers of layers"),
        ({"layers": "many"}, "different numbers of layers"),
        ({"layers": [{"digest": 7, "size": 1}]}, "a layer has no digest"),
        ({"layers": [{"digest": digest(b"x"), "size": -1}]}, "has no size"),
        ({"layers": [{"digest": digest(b"x"), "size": "1"}]}, "has no size"),
    ],
)
def test_an_image_that_makes_no_sense(values: dict[str, object], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        image_content(changed(make_image([b"one"]), **values), nothing)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="makes no sense"):
        image_content(stored(manifest=data), nothing)


@pytest.mark.parametrize(
    "config", [b"", b"[]", b'{"rootfs": {"diff_ids": [1]}}', b'{"rootfs": {"diff_ids": 1}}', b"{}"]
)
def test_a_configuration_that_is_none(config: bytes) -> None:
    image = make_image([b"one"])
    manifest = json.loads(image.blobs[image.content.manifest.digest])
    manifest["config"] = {"digest": digest(config), "size": len(config)}

    with pytest.raises(ProtocolError, match="makes no sense"):
        image_content(stored(config=config, manifest=json.dumps(manifest).encode()), nothing)


def test_what_is_attested_of_an_image_belongs_to_it() -> None:
    image = make_image([b"one"])
    store = attested(image)

    found = image_content(store, nothing)

    assert found is not None
    assert found.manifest == image.content.manifest
    assert found.layers == image.content.layers
    assert found.index is not None
    assert found.root is found.index
    assert found.index.media_type == INDEX
    (index,) = [each for each, ref in store.refs.items() if ref.startswith("index-")]
    assert found.index.digest == index
    others = {blob.digest for blob in (found.manifest, found.config, found.index)}
    assert {blob.digest for blob in found.attested} == set(store.blobs) - others


def test_an_image_alone_is_its_own_root() -> None:
    found = image_content(make_image([b"one"]).store, nothing)

    assert found is not None
    assert found.index is None
    assert found.root is found.manifest


def test_an_index_of_several_images_is_left_to_others() -> None:
    assert image_content(attested(make_image([b"one"]), annotations={}), nothing) is None
    assert image_content(attested(make_image([b"one"]), annotations=["x"]), nothing) is None


def test_an_index_of_which_some_did_not_come_is_left_to_others() -> None:
    elsewhere = attested(make_image([b"one"]), digest=digest(b"elsewhere"))
    incomplete = attested(make_image([b"one"]))
    (statement,) = [each for each, ref in incomplete.refs.items() if ref.startswith("intoto-")]
    del incomplete.blobs[statement]

    assert image_content(elsewhere, nothing) is None
    assert image_content(incomplete, nothing) is None


def test_an_index_that_makes_no_sense() -> None:
    with pytest.raises(ProtocolError, match="a manifest has no digest"):
        image_content(attested(make_image([b"one"]), digest=7), nothing)
