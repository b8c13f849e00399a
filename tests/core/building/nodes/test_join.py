from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dockyard.building.nodes.join import JoinedArchive
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest
from dockyard.errors import CanceledError, InputError, ProtocolError
from dockyard.registry.annotation import Annotations
from dockyard.registry.descriptor import OCI_INDEX, OCI_MANIFEST

SHARED = b"a layer that both have" * 1000


class Content:
    """What goes into a node's archive."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def blob(self, data: bytes, kind: str = "application/octet-stream") -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def manifest(self, machine: str) -> dict[str, Any]:
        values = {
            "config": self.blob(json.dumps({"os": "linux", "architecture": machine}).encode()),
            "layers": [self.blob(SHARED), self.blob(machine.encode())],
        }
        platform = {"os": "linux", "architecture": machine}
        return {**self.blob(json.dumps(values).encode(), OCI_MANIFEST), "platform": platform}

    def index(self, *entries: dict[str, Any]) -> dict[str, Any]:
        return self.blob(json.dumps({"manifests": entries}).encode(), OCI_INDEX)

    def write(self, path: Path, *roots: dict[str, Any]) -> Path:
        self.files["index.json"] = json.dumps({"manifests": roots}).encode()
        return write(path, self.files)


def write(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def image(path: Path, machine: str) -> Path:
    content = Content()
    return content.write(path, content.index(content.manifest(machine)))


def joined(*pieces: Path, names: tuple[str, ...] = ()) -> JoinedArchive:
    return JoinedArchive(pieces, names, Annotations())


def contents(archive: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            assert member.name not in found
            found[member.name] = file.read()
    return found


def test_two_archives_become_one_with_each_blob_once(tmp_path: Path) -> None:
    pieces = [image(tmp_path / machine, machine) for machine in ("amd64", "arm64")]

    with joined(*pieces, names=("a:1", "b.example/c")) as archive:
        files = contents(archive.stream.read())
        digest = archive.index.descriptor.digest

    assert list(files)[-2:] == ["index.json", "oci-layout"]
    assert list(files.values()).count(SHARED) == 1
    top = json.loads(files["index.json"])["manifests"]
    assert [entry["digest"] for entry in top] == [digest, digest]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in top] == [
        "docker.io/library/a:1",
        "b.example/c:latest",
    ]
    index = json.loads(files[f"blobs/{digest.replace(':', '/')}"])
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == [
        "amd64",
        "arm64",
    ]
    indexes = [data for data in files.values() if b'"manifests"' in data]
    assert len(indexes) == 2  # the nodes' own are not carried along


def test_an_image_without_a_name_is_there_all_the_same(tmp_path: Path) -> None:
    with joined(image(tmp_path / "a", "amd64")) as archive:
        top = json.loads(contents(archive.stream.read())["index.json"])

    assert [entry.get("annotations") for entry in top["manifests"]] == [None]


def test_an_archive_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    piece = image(tmp_path / "a", "amd64")
    request = BuildRequest(working_directory=str(tmp_path))
    canceled = Cancellation()
    canceled.cancel()

    with joined(piece) as archive, pytest.raises(CanceledError):
        archive.write("out.tar", request, canceled)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]

    with joined(piece) as archive:
        archive.write("out.tar", request, Cancellation())
    assert "index.json" in contents((tmp_path / "out.tar").read_bytes())


def test_an_archive_goes_to_the_requests_stdout(tmp_path: Path) -> None:
    stdout = io.BytesIO()

    with joined(image(tmp_path / "a", "amd64")) as archive:
        archive.write("-", BuildRequest(stdout=stdout), Cancellation())
    assert "index.json" in contents(stdout.getvalue())

    with joined(image(tmp_path / "a", "amd64")) as archive, pytest.raises(InputError):
        archive.write("-", BuildRequest(), Cancellation())


def test_what_is_no_archive_of_an_image_is_refused(tmp_path: Path) -> None:
    lacking = Content()
    elsewhere = Content().index()
    false = Content()
    root = false.index(false.manifest("amd64"))
    for name in [name for name in false.files if name.endswith(root["digest"][7:])]:
        false.files[name] = false.files[name].replace(b"amd64", b"arm64")
    pieces = {
        "cannot be read": tmp_path / "nothing",
        "has no index.json": write(tmp_path / "empty", {}),
        "is no JSON": write(tmp_path / "text", {"index.json": b"text"}),
        "lacks sha256:": lacking.write(tmp_path / "lacking", elsewhere),
        "other content": false.write(tmp_path / "false", root),
    }

    for words, piece in pieces.items():
        with pytest.raises(ProtocolError, match=words):
            joined(piece)


def test_an_archive_that_ends_early_is_refused(tmp_path: Path) -> None:
    piece = image(tmp_path / "a", "amd64")
    piece.write_bytes(piece.read_bytes()[:1500])

    with pytest.raises(ProtocolError):
        joined(piece)


def test_a_file_with_more_bytes_than_it_has_is_left_out(tmp_path: Path) -> None:
    piece = tmp_path / "a"
    with tarfile.open(piece, "w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("index.json")
        entry.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 60)}
        tar.addfile(entry)

    with pytest.raises(ProtocolError, match=r"has no index\.json"):
        joined(piece)


@pytest.mark.parametrize("headers", [{"GNU.sparse.map": "x"}, {"size": str(1 << 80)}])
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    piece = tmp_path / "a"
    with tarfile.open(piece, "w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("index.json")
        entry.pax_headers = headers
        tar.addfile(entry)

    with pytest.raises(ProtocolError):
        joined(piece)


def header(name: str, size: int) -> bytes:
    entry = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    entry[124:136] = size.to_bytes(12, "big", signed=True)  # as long sizes are written
    entry[148:156] = b" " * 8
    entry[148:156] = b"%06o\0 " % sum(entry)
    return bytes(entry)


def test_an_archive_that_leads_back_to_its_beginning_is_refused(tmp_path: Path) -> None:
    piece = tmp_path / "a"
    piece.write_bytes(header("index.json", -512) + bytes(1024))

    with pytest.raises(ProtocolError, match="archive"):
        joined(piece)
