"""An image in a directory, once the daemon says that it is there."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.building.results.layout import finish_layout
from dockyard.errors import OutputError
from dockyard.session.oci_layout import OciLayout

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def encoded(descriptor: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(descriptor).encode()).decode()


def write_image(path: Path) -> dict[str, Any]:
    data = json.dumps({"mediaType": MANIFEST, "layers": []}).encode()
    name = hashlib.sha256(data).hexdigest()
    (path / "blobs/sha256").mkdir(parents=True)
    (path / "blobs/sha256" / name).write_bytes(data)
    platform = {"architecture": "amd64", "os": "linux"}
    return {
        "mediaType": MANIFEST,
        "digest": f"sha256:{name}",
        "size": len(data),
        "annotations": {"made": "today"},
        "platform": platform,
    }


def manifests(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((path / "index.json").read_text())["manifests"]
    return found


def test_an_image_is_entered_under_its_names(tmp_path: Path) -> None:
    made = write_image(tmp_path)
    names = "docker.io/library/a:1,docker.io/b/c:latest"

    finish_layout(
        OciLayout(tmp_path), {"containerimage.descriptor": encoded(made), "image.name": names}
    )

    assert manifests(tmp_path) == [
        {
            **made,
            "annotations": {
                "made": "today",
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": tag,
            },
        }
        for name, tag in (("docker.io/library/a:1", "1"), ("docker.io/b/c:latest", "latest"))
    ]


def test_an_image_without_a_name_is_the_latest(tmp_path: Path) -> None:
    made = write_image(tmp_path)

    finish_layout(OciLayout(tmp_path), {"containerimage.descriptor": encoded(made)})

    (entry,) = manifests(tmp_path)
    assert entry["annotations"] == {
        "made": "today",
        "org.opencontainers.image.ref.name": "latest",
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "wrote no image to"),
        ("%", "makes no sense"),
        (encoded({}), "makes no sense"),
        (
            encoded({"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}),
            "sent no whole result for",
        ),
    ],
)
def test_a_daemon_that_wrote_nothing_is_not_believed(
    tmp_path: Path, answer: str, words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        finish_layout(OciLayout(tmp_path / "x"), {"containerimage.descriptor": answer})
    assert not (tmp_path / "x").exists()
