"""Descriptors and indexes: what an image for several platforms is made of.

An index is written as the reference writes it, byte by byte, so that the same parts give the
same digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from dockyard.errors import ProtocolError
from dockyard.platforms import Platform
from dockyard.registry.reference import DIGEST

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_DEEPEST = 4
"""Indexes within indexes that are followed."""
_MOST = 1000
"""Manifests that an index may have."""
_KEYS = ("urls", "annotations", "data", "platform", "artifactType")
_PLATFORM_KEYS = ("architecture", "os", "os.version", "os.features", "variant")

_Empty: Mapping[str, Any] = MappingProxyType({})


class Descriptor(NamedTuple):
    """Something with a digest, as manifests and indexes name it."""

    media_type: str
    digest: str
    size: int
    more: Mapping[str, Any] = _Empty
    """What else is said of it: ``platform``, ``annotations`` and the like."""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def platform(self) -> Platform | None:
        """The platform, if one is named."""
        values = self.more.get("platform")
        if not isinstance(values, dict):
            return None
        system, machine, variant = (
            str(values.get(key) or "") for key in ("os", "architecture", "variant")
        )
        return Platform(system, machine, variant)

    @property
    def values(self) -> dict[str, Any]:
        """The descriptor as JSON has it."""
        known = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return known | {key: self.more[key] for key in _KEYS if self.more.get(key)}

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Descriptor:
        """Describe some bytes."""
        return cls(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))

    @classmethod
    def read(cls, values: object) -> Descriptor:
        """Take a descriptor out of JSON.

        Raises:
            ProtocolError: It is none.
        """
        if not isinstance(values, dict):
            raise ProtocolError("a descriptor is no object")
        kind, digest, size = (values.get(key) for key in ("mediaType", "digest", "size"))
        if not isinstance(digest, str) or not re.fullmatch(DIGEST, digest):
            raise ProtocolError("a descriptor has no digest that can be checked")
        if not isinstance(kind, str) or type(size) is not int or size < 0:
            raise ProtocolError(f"the descriptor of {digest} has no type or size")
        more = {key: values[key] for key in _KEYS if values.get(key)}
        for key in ("annotations", "platform"):
            if key in more and not isinstance(more[key], dict):
                raise ProtocolError(f"the descriptor of {digest} has {key} that are no object")
        if "annotations" in more:
            more["annotations"] = dict(sorted(more["annotations"].items()))
        if "platform" in more:
            platform = more["platform"]
            more["platform"] = {key: platform[key] for key in _PLATFORM_KEYS if platform.get(key)}
        return cls(kind, digest, size, more)


Fetch = Callable[[Descriptor], bytes]
"""Gives what a descriptor describes; raises our own errors."""


class Index(NamedTuple):
    """An index that was made."""

    descriptor: Descriptor
    data: bytes


def check(descriptor: Descriptor, data: bytes) -> bytes:
    """Give the bytes back when they are what the descriptor describes.

    Raises:
        ProtocolError: They are not.
    """
    algorithm, _, expected = descriptor.digest.partition(":")
    if len(data) != descriptor.size or hashlib.new(algorithm, data).hexdigest() != expected:
        raise ProtocolError(f"{descriptor.digest} has other content than its digest says")
    return data


def flatten(descriptor: Descriptor, fetch: Fetch) -> list[Descriptor]:
    """Give the manifests that a descriptor stands for, each with its platform.

    Args:
        descriptor: An index, or a manifest.
        fetch: Called for indexes, and for manifests of which no platform is known.

    Raises:
        ProtocolError: What was fetched makes no sense.
    """
    found = list(islice(_flat(descriptor, fetch, _DEEPEST, set()), _MOST + 1))
    if len(found) > _MOST:
        raise ProtocolError(f"{descriptor.digest} names more than {_MOST} manifests")
    return found


def make_index(
    manifests: Iterable[Descriptor], *, annotations: Mapping[str, str] = MappingProxyType({})
) -> Index:
    """Make one index of manifests, in their order, each once.

    It is one of Docker's own kind only when all that it names is; such have no annotations.
    """
    unique: dict[str, Descriptor] = {}
    for manifest in manifests:
        unique.setdefault(manifest.digest, manifest)
    parts = list(unique.values())
    docker = all(each.media_type == DOCKER_MANIFEST for each in parts)
    values: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST if docker else OCI_INDEX,
        "manifests": [each.values for each in parts],
    }
    if annotations and not docker:
        values["annotations"] = dict(sorted(annotations.items()))
    data = _json(values)
    return Index(Descriptor.of(values["mediaType"], data), data)


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ProtocolError: It is none; names it as ``what``.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{what} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ProtocolError(f"{what} is no JSON object")
    return values


def entries(index: Mapping[str, Any], what: str) -> Sequence[Descriptor]:
    """Give what an index names."""
    found = index.get("manifests")
    if not isinstance(found, list) or len(found) > _MOST:
        raise ProtocolError(f"{what} names no manifests, or more than {_MOST}")
    return [Descriptor.read(entry) for entry in found]


def _flat(descriptor: Descriptor, fetch: Fetch, depth: int, seen: set[str]) -> Iterable[Descriptor]:
    """Walk down; ``seen`` are the indexes that were there, each of which is walked once."""
    if not descriptor.is_index:
        yield descriptor if descriptor.platform else _with_platform(descriptor, fetch)
        return
    if not depth:
        raise ProtocolError(f"indexes within indexes, too many of them: {descriptor.digest}")
    if descriptor.digest in seen:
        return
    seen.add(descriptor.digest)
    if len(seen) > _MOST:
        raise ProtocolError(f"more than {_MOST} indexes within indexes")
    for entry in entries(read_object(fetch(descriptor), descriptor.digest), descriptor.digest):
        yield from _flat(entry, fetch, depth - 1, seen)


def _with_platform(descriptor: Descriptor, fetch: Fetch) -> Descriptor:
    """Take the platform of a manifest out of its configuration."""
    if descriptor.media_type not in MANIFESTS:
        raise ProtocolError(f"{descriptor.digest} is no image: {descriptor.media_type}")
    manifest = read_object(fetch(descriptor), descriptor.digest)
    config = Descriptor.read(manifest.get("config"))
    values = read_object(fetch(config), config.digest)
    platform = {key: values[key] for key in _PLATFORM_KEYS if values.get(key)}
    return Descriptor.read({**descriptor.values, "platform": platform}) if platform else descriptor


def _json(values: Mapping[str, Any]) -> bytes:
    """Write JSON as Go does it: HTML's own marks and two line ends escaped."""
    text = json.dumps(values, indent=2, ensure_ascii=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.encode(errors="replace")
