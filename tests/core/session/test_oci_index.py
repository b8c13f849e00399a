"""The index of a directory in OCI layout, and what can be reached from it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import OutputError
from dockyard.session import oci_index
from dockyard.session.oci_graph import UnreadableError, check_whole, parse_descriptor, root_of
from dockyard.session.oci_index import Name, find, put, reset
from dockyard.session.oci_layout import OciLayout

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Directory:
    """A directory with blobs that are made as they are needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = OciLayout(path)

    def add(self, data: bytes, media_type: str = LAYER) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = self.path / "blobs/sha256" / digest[7:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(self, *layers: bytes) -> dict[str, Any]:
        values = {
            "mediaType": MANIFEST,
            "config": self.add(b'{"rootfs":{}}', "application/vnd.oci.image.config.v1+json"),
            "layers": [self.add(layer) for layer in layers],
        }
        return self.add(json.dumps(values).encode(), MANIFEST)

    def blob(self, descriptor: dict[str, Any]) -> Path:
        return self.path / "blobs/sha256" / str(descriptor["digest"])[7:]

    @property
    def index(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "index.json").read_text())
        return found

    @property
    def names(self) -> list[tuple[str, str]]:
        return [
            (entry["annotations"]["org.opencontainers.image.ref.name"], entry["digest"])
            for entry in self.index["manifests"]
        ]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "layout")


def test_an_entry_is_made_with_the_files_of_a_layout(directory: Directory) -> None:
    made = directory.manifest(b"one")

    put(directory.layout, made, [Name(ref="latest")])

    assert directory.index == {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**made, "annotations": {"org.opencontainers.image.ref.name": "latest"}}],
    }
    layout_file = directory.path / "oci-layout"
    assert json.loads(layout_file.read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert sorted(os.listdir(directory.path)) == ["blobs", "index.json", "oci-layout"]  # noqa: PTH208
    assert (directory.path / "index.json").stat().st_mode & 0o777 == 0o644


def test_other_entries_stay_and_the_same_name_is_replaced(directory: Directory) -> None:
    first, second = directory.manifest(b"one"), directory.manifest(b"two")
    image = Name.of_image("docker.io/library/a:latest")

    put(directory.layout, first, [Name(ref="latest"), Name(ref="other"), image])
    put(directory.layout, second, [Name(ref="latest")])

    assert directory.names == [
        ("other", first["digest"]),
        ("latest", first["digest"]),  # the image's, which has a full name too
        ("latest", second["digest"]),
    ]


def test_what_others_wrote_into_the_index_stays(directory: Directory) -> None:
    directory.path.mkdir()
    theirs = {"mediaType": "x/y", "digest": "sha512:00", "size": 1}
    index = {"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [theirs]}
    (directory.path / "index.json").write_text(json.dumps(index))

    put(directory.layout, directory.manifest(), [Name(ref="latest")])

    assert directory.index["annotations"] == {"a": "b"}
    assert directory.index["manifests"][0] == theirs


@pytest.mark.parametrize(
    ("image", "ref"),
    [
        ("docker.io/library/a:b", "b"),
        ("localhost:5000/a", "localhost:5000/a"),
        ("localhost:5000/a/b:c", "c"),
        ("a/b@sha256:00", "sha256:00"),
    ],
)
def test_an_image_is_called_by_its_tag_and_its_full_name(image: str, ref: str) -> None:
    assert Name.of_image(image) == Name(ref=ref, image=image)


def test_entries_are_found_by_full_name_and_then_by_tag(directory: Directory) -> None:
    first, second = directory.manifest(b"one"), directory.manifest(b"two")
    put(directory.layout, first, [Name(ref="a:1")])
    put(directory.layout, second, [Name(ref="1", image="a:1")])

    for tag, wanted in (("a:1", second), ("1", second)):
        found = find(directory.layout, tag)
        assert found is not None
        assert found["digest"] == wanted["digest"]
    assert find(directory.layout, "nothing") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is no JSON"),
        (b"\xff{", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b'{"manifests": {"a": 1}}', "its manifests are no list"),
        (b'{"manifests": [1]}', "its manifests are no list"),
    ],
    ids=["empty", "bytes", "deep", "list", "no-list", "number"],
)
def test_an_index_that_makes_no_sense(directory: Directory, content: bytes, words: str) -> None:
    made = directory.manifest()
    (directory.path / "index.json").write_bytes(content)

    with pytest.raises(UnreadableError, match=f"^could not read {directory.path}/index.json: "):
        find(directory.layout, "latest")
    if content:
        with pytest.raises(OutputError, match=words):
            put(directory.layout, made, [Name(ref="latest")])
        assert (directory.path / "index.json").read_bytes() == content


def test_there_is_no_index(directory: Directory, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"index\.json: no such file or directory$"):
        find(directory.layout, "latest")
    assert not directory.path.exists()

    outside = tmp_path / "outside.json"
    outside.write_text('{"manifests": []}')
    directory.path.mkdir()
    (directory.path / "index.json").symlink_to(outside)
    with pytest.raises(UnreadableError, match=r"index\.json: too many levels of symbolic links$"):
        find(directory.layout, "latest")


def test_many_writers_lose_no_entry(directory: Directory) -> None:
    made = directory.manifest()
    threads = [
        threading.Thread(target=put, args=(OciLayout(directory.path), made, [Name(ref=str(one))]))
        for one in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(name for name, _ in directory.names) == [str(one) for one in range(8)]
    assert not (directory.path / "index.json.lock").exists()


def test_a_lock_that_is_never_given_back(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci_index, "_PATIENCE", 0.1)
    made = directory.manifest()
    with (directory.path / "index.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(OutputError, match=r"another process holds index\.json\.lock$"):
            put(directory.layout, made, [Name(ref="latest")])


def test_a_whole_image_is_whole(directory: Directory) -> None:
    manifests = [directory.manifest(b"one"), directory.manifest(b"two")]
    index = {"mediaType": INDEX, "manifests": manifests}

    check_whole(directory.layout, directory.add(json.dumps(index).encode(), INDEX))


def _lose_layer(directory: Directory, made: dict[str, Any]) -> dict[str, Any]:
    directory.blob(json.loads(directory.blob(made).read_text())["layers"][0]).unlink()
    return made


def _shorten_layer(directory: Directory, made: dict[str, Any]) -> dict[str, Any]:
    directory.blob(json.loads(directory.blob(made).read_text())["layers"][0]).write_bytes(b"o")
    return made


def _elsewhere(_directory: Directory, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "digest": "sha256:" + "0" * 64}


def _nonsense(directory: Directory, _made: dict[str, Any]) -> dict[str, Any]:
    return directory.add(b'{"layers": 7}', MANIFEST)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_lose_layer, "is missing"),
        (_shorten_layer, "has 1 bytes instead of 3"),
        (_elsewhere, "is missing"),
        (_nonsense, "are no list"),
    ],
)
def test_an_image_that_is_not_whole(
    directory: Directory,
    spoil: Callable[[Directory, dict[str, Any]], dict[str, Any]],
    words: str,
) -> None:
    made = spoil(directory, directory.manifest(b"one"))

    with pytest.raises(OutputError, match=f"no whole result for {directory.path}: .*{words}"):
        check_whole(directory.layout, made)


def test_what_lies_elsewhere_need_not_be_there(directory: Directory) -> None:
    foreign = {"mediaType": LAYER, "digest": "sha256:" + "0" * 64, "size": 9, "urls": ["u"]}
    values = {"mediaType": MANIFEST, "config": directory.add(b"{}"), "layers": [foreign]}

    check_whole(directory.layout, directory.add(json.dumps(values).encode(), MANIFEST))


def test_the_root_is_what_was_written_and_is_part_of_nothing(directory: Directory) -> None:
    manifest = directory.manifest(b"one")
    index = directory.add(json.dumps({"manifests": [manifest]}).encode(), INDEX)
    elsewhere = {**manifest, "digest": "sha256:" + "0" * 64}
    parts = json.loads(directory.blob(manifest).read_text())
    for each in (index, parts["layers"][0], manifest, parts["config"]):
        directory.layout.note(each["digest"])

    assert root_of(directory.layout, elsewhere) == index
    assert root_of(directory.layout, manifest) == manifest
    assert root_of(OciLayout(directory.path), elsewhere) == elsewhere


def test_reset_keeps_what_can_be_reached_and_what_is_new(directory: Directory) -> None:
    kept, gone, new = (
        directory.manifest(b"kept"),
        directory.manifest(b"gone"),
        directory.add(b"new"),
    )
    put(directory.layout, kept, [Name(ref="latest")])
    now = time.time()
    for path in (directory.path / "blobs/sha256").iterdir():
        os.utime(path, (now - 100, now - 100))
    os.utime(directory.blob(new), (now, now))
    other = directory.path / "blobs/sha256/README"
    other.write_text("no blob")
    os.utime(other, (now - 100, now - 100))

    reset(directory.layout, before=now - 50)

    check_whole(directory.layout, kept)
    assert not directory.blob(gone).exists()
    assert directory.blob(new).exists()
    assert other.exists()


def test_reset_removes_nothing_when_it_is_not_known_what_is_reached(directory: Directory) -> None:
    made = _nonsense(directory, {})
    other = directory.add(b"other")
    put(directory.layout, made, [Name(ref="latest")])

    with pytest.raises(OutputError, match=f"^cannot reset {directory.path}: "):
        reset(directory.layout, before=time.time() + 100)
    assert directory.blob(other).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"digest": "sha256:00", "size": 1, "mediaType": "x"}',
        f'{{"digest": "sha256:{"0" * 64}", "size": -1, "mediaType": "x"}}',
        f'{{"digest": "sha256:{"0" * 64}", "size": true, "mediaType": "x"}}',
        f'{{"digest": "sha256:{"0" * 64}", "size": 1}}',
        f'{{"digest": "sha256:{"0" * 64}", "size": 1, "mediaType": "x", "annotations": [1]}}',
    ],
)
def test_what_is_no_descriptor(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"\w"):
        parse_descriptor(text)
