"""Read images as others would: from archives, and from a registry."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes]
_Blob = Callable[[str], bytes]

_KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SECONDS = 30.0


class ImageError(Exception):
    """What was read is no image; says why."""


def read_oci_archive(path: Path) -> dict[str, Files]:
    """Give the files of an image in an OCI archive, by platform.

    Raises:
        ImageError: It is none.
    """
    try:
        with tarfile.open(path) as archive:

            def blob(digest: str) -> bytes:
                return _member(archive, f"blobs/{digest.replace(':', '/')}")

            json.loads(_member(archive, "oci-layout"))
            return _by_platform(blob, json.loads(_member(archive, "index.json")))
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise ImageError(f"no OCI archive: {type(error).__name__}: {error}") from error


def read_docker_archive(path: Path) -> tuple[list[str], Files]:
    """Give the names and the files of the image in an archive such as ``docker save`` writes.

    Raises:
        ImageError: It is none.
    """
    try:
        with tarfile.open(path) as archive:
            (entry,) = json.loads(_member(archive, "manifest.json"))
            json.loads(_member(archive, entry["Config"]))
            layers = [_member(archive, name) for name in entry["Layers"]]
            return list(entry["RepoTags"] or ()), _files(layers)
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise ImageError(f"no Docker archive: {type(error).__name__}: {error}") from error


def read_registry(address: str, repository: str, tag: str) -> dict[str, Files]:
    """Give the files of an image in a registry, by platform.

    Raises:
        ImageError: There is none, or it is none.
    """
    try:
        top = json.loads(get(address, f"/v2/{repository}/manifests/{tag}"))
        return _by_platform(lambda digest: _from_registry(address, repository, digest), top)
    except (OSError, HTTPException, tarfile.TarError, ValueError, KeyError) as error:
        raise ImageError(f"{type(error).__name__}: {error}") from error


def get(address: str, target: str) -> bytes:
    """Get something from a registry.

    Raises:
        ImageError: The registry does not have it.
    """
    connection = HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.request("GET", target, headers={"Accept": ", ".join(_KINDS)})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ImageError(f"the registry answers {answer.status} to {target}")
    return content


def _from_registry(address: str, repository: str, digest: str) -> bytes:
    try:
        return get(address, f"/v2/{repository}/blobs/{digest}")
    except ImageError:
        return get(address, f"/v2/{repository}/manifests/{digest}")


def _by_platform(blob: _Blob, top: Mapping[str, Any]) -> dict[str, Files]:
    if "manifests" not in top:
        config = json.loads(blob(top["config"]["digest"]))
        layers = [blob(layer["digest"]) for layer in top["layers"]]
        return {f"{config['os']}/{config['architecture']}": _files(layers)}
    found: dict[str, Files] = {}
    for descriptor in top["manifests"]:
        if "vnd.docker.reference.type" not in (descriptor.get("annotations") or {}):
            found |= _by_platform(blob, json.loads(blob(descriptor["digest"])))
    return found


def _files(layers: list[bytes]) -> Files:
    files = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for info in tar:
                if info.isfile():
                    files[info.name.lstrip("./")] = _member(tar, info)
    return files


def _member(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ImageError(f"{member} is no file")
    return file.read()
