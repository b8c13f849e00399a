"""Images in an engine's store."""

from __future__ import annotations

import io
import tarfile
from typing import Any
from uuid import uuid4

import pytest
from tools.engine import Engine

from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import (
    ImageStore,
    MessageReader,
    StoredImage,
    find_image,
    find_store,
    load_archive,
    name_image,
    remove_image,
    save_images,
    tagged,
)
from dockyard.errors import EngineError
from support.archive import archive
from support.peer import Peers, answering


def test_messages_are_taken_apart_however_they_are_cut() -> None:
    whole = b'{"status": "a"}\r\n{"status": "b"}\n\n{"status": "c"}'
    for cut in range(len(whole)):
        messages: list[dict[str, Any]] = []
        reader = MessageReader(messages.append)

        reader.feed(whole[:cut])
        reader.feed(whole[cut:])
        reader.end()

        assert [message["status"] for message in messages] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"error": "no\\nspace", "errorDetail": {}}\n', "^no space$"),
        (b"{\n", "malformed JSON"),
        (b"[]\n", "something else than JSON objects"),
        (b"x" * 2_000_000, "longer than 1 MiB"),
    ],
)
def test_a_message_of_failure_and_no_message_at_all_are_errors(line: bytes, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        MessageReader(lambda _: None).feed(line)


def test_an_image_without_an_id_is_an_error(peers: Peers) -> None:
    endpoint = peers.unix(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))

    with pytest.raises(EngineError, match="does not tell the id of image x"):
        find_image(endpoint, "x")


def test_a_real_engine_takes_an_archive_and_gives_it_back(engine: Engine) -> None:
    endpoint = EngineEndpoint(host=engine.host)
    name = f"dockyard-image:{uuid4().hex}"
    messages: list[dict[str, Any]] = []

    load_archive(
        endpoint,
        io.BytesIO(archive(name, name.encode())),
        on_message=messages.append,
    )
    found = find_image(endpoint, name)

    assert found.id.startswith("sha256:")
    assert found.names == (name,)
    assert any("Loaded image" in message.get("stream", "") for message in messages)
    assert find_image(endpoint, found.id).id == found.id
    with (
        save_images(endpoint, [name]) as saved,
        tarfile.open(fileobj=io.BytesIO(saved.read())) as opened,
    ):
        assert "manifest.json" in opened.getnames()
    remove_image(endpoint, name)


def test_a_real_engine_refuses_what_is_no_archive(engine: Engine) -> None:
    with pytest.raises(EngineError):
        load_archive(
            EngineEndpoint(host=engine.host), io.BytesIO(b"garbage" * 999), on_message=print
        )


def test_a_real_engine_has_not_every_image(engine: Engine) -> None:
    with pytest.raises(EngineError, match="(?i)dockyard-none") as caught:
        find_image(EngineEndpoint(host=engine.host), "dockyard-none:x")

    assert caught.value.status == 404


def json_answer(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"Id": "i"}', StoredImage("i")),
        ('{"Id": "i", "RootFS": {"Layers": ["a", "b"]}}', StoredImage("i", layers=("a", "b"))),
        ('{"Id": "i", "RootFS": 1, "RepoTags": 2, "Manifests": 3}', StoredImage("i")),
        ('{"Id": "i", "Manifests": [{"Available": true}, {}, 1]}', StoredImage("i")),
        (
            '{"Id": "i", "Manifests": [{"Available": true}, {"Available": false}]}',
            StoredImage("i", whole=False),
        ),
    ],
)
def test_an_image_is_what_the_engine_says(peers: Peers, body: str, found: StoredImage) -> None:
    assert find_image(peers.unix(answering(json_answer(body))), "x", ask_whole=True) == found


@pytest.mark.parametrize(
    ("body", "store"),
    [
        (
            '{"ID": "e", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}',
            ImageStore("e", containerd=True),
        ),
        ('{"ID": "e", "DriverStatus": [["a", "b"]]}', ImageStore("e", containerd=False)),
        ('{"DriverStatus": null}', ImageStore("", containerd=False)),
        ("[]", ImageStore("", containerd=False)),
    ],
)
def test_the_kind_of_an_image_store(peers: Peers, body: str, store: ImageStore) -> None:
    assert find_store(peers.unix(answering(json_answer(body)))) == store


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("app", "app:latest"),
        ("app:1", "app:1"),
        ("host:5000/app", "host:5000/app:latest"),
        ("host:5000/app:1", "host:5000/app:1"),
    ],
)
def test_a_tag_may_be_left_out(name: str, whole: str) -> None:
    assert tagged(name) == whole


def test_a_real_engine_names_and_removes_an_image(engine: Engine) -> None:
    endpoint = EngineEndpoint(host=engine.host)
    own = uuid4().hex
    name, other = f"dockyard-image:{own}", f"example.com:5000/dockyard/image-{own}"
    content = archive(name, name.encode())
    load_archive(endpoint, io.BytesIO(content), on_message=lambda _: None)
    found = find_image(endpoint, name)

    name_image(endpoint, found.id, other)

    named = find_image(endpoint, found.id)
    assert set(named.names) == {name, f"{other}:latest"}
    assert len(named.layers) == 1
    assert find_store(endpoint).containerd == ("containerd" in engine_kind(engine))
    remove_image(endpoint, name)
    remove_image(endpoint, other)
    with pytest.raises(EngineError) as caught:
        remove_image(endpoint, found.id)
    assert caught.value.status == 404


def engine_kind(engine: Engine) -> str:
    return engine.docker("info", "--format", "{{.DriverStatus}}").stdout
