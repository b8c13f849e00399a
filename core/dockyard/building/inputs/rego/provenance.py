"""How an image came about, as its attestations say: SLSA 0.2 and 1."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

from dockyard.building.inputs.rego.fields import filled, texts_of
from dockyard.building.inputs.rego.language.value import RObject, Value

OLD = "https://slsa.dev/provenance/v0.2"
NEW = "https://slsa.dev/provenance/v1"
TYPES = (OLD, NEW)
_TYPE_KEY = "in-toto.io/predicate-type"
_KEPT = frozenset({"configSource", "reproducible", "hermetic", "completeness"})
_ARGUMENT = "build-arg:"
_MOST = 2000
"""Materials of one image."""

Json = Mapping[str, object]


class Material(NamedTuple):
    """Something that an image was made of."""

    uri: str
    sha256: str = ""


class Provenance(NamedTuple):
    """What policies may know."""

    pairs: list[tuple[str, Value]]
    materials: list[Material]


def find_provenance(chain: Mapping[str, object]) -> Provenance | None:
    """Find the provenance among an image's attestations."""
    blobs = chain.get("Blobs")
    if not isinstance(blobs, Mapping):
        return None
    for _, blob in sorted(blobs.items()):
        kind = blob.get("descriptor", {}).get("annotations", {}).get(_TYPE_KEY)
        found = _statement(blob.get("data", b""), kind) if kind in TYPES else None
        if found is not None:
            return found
    return None


def _statement(data: bytes, kind: str) -> Provenance | None:
    try:
        statement = json.loads(data)
    except (ValueError, RecursionError):
        return None
    predicate = _object(statement, "predicate")
    stated = _text(statement, "predicateType") or kind
    if not predicate or stated not in TYPES:
        return None
    return _new(predicate) if stated == NEW else _old(predicate)


def _new(predicate: Json) -> Provenance | None:
    definition, details = _object(predicate, "buildDefinition"), _object(predicate, "runDetails")
    builder = _text(_object(details, "builder"), "id")
    if not _text(definition, "buildType") and not builder:
        return None
    external = _object(definition, "externalParameters")
    pairs: list[tuple[str, Value]] = [
        ("predicateType", NEW),
        ("buildType", _text(definition, "buildType")),
        ("builderID", builder),
        ("configSource", _config_source(_object(external, "configSource"), "path")),
        *_request(_object(external, "request")),
    ]
    metadata = _object(details, "metadata")
    if metadata:
        complete = _object(metadata, "buildkit_completeness")
        pairs += [
            ("invocationID", _text(metadata, "invocationId")),
            ("startedOn", _time(metadata, "startedOn")),
            ("finishedOn", _time(metadata, "finishedOn")),
        ]
        said: dict[str, Value] = {
            "reproducible": _flag(metadata, "buildkit_reproducible"),
            "hermetic": _flag(metadata, "buildkit_hermetic"),
            "completeness": RObject(
                [
                    ("parameters", _flag(complete, "request")),
                    ("materials", _flag(complete, "resolvedDependencies")),
                ]
            ),
        }
        return Provenance([*pairs, *said.items()], _materials(definition, "resolvedDependencies"))
    return Provenance(pairs, _materials(definition, "resolvedDependencies"))


def _old(predicate: Json) -> Provenance | None:
    builder = _text(_object(predicate, "builder"), "id")
    if not _text(predicate, "buildType") and not builder:
        return None
    invocation = _object(predicate, "invocation")
    pairs: list[tuple[str, Value]] = [
        ("predicateType", OLD),
        ("buildType", _text(predicate, "buildType")),
        ("builderID", builder),
        ("configSource", _config_source(_object(invocation, "configSource"), "entryPoint")),
        *_request(_object(invocation, "parameters")),
    ]
    metadata = _object(predicate, "metadata")
    if metadata:
        complete = _object(metadata, "completeness")
        pairs += [
            ("invocationID", _text(metadata, "buildInvocationID")),
            ("startedOn", _time(metadata, "buildStartedOn")),
            ("finishedOn", _time(metadata, "buildFinishedOn")),
        ]
        names = ("parameters", "environment", "materials")
        said: dict[str, Value] = {
            "reproducible": _flag(metadata, "reproducible"),
            "hermetic": _flag(metadata, "https://mobyproject.org/buildkit@v1#hermetic"),
            "completeness": RObject((name, _flag(complete, name)) for name in names),
        }
        return Provenance([*pairs, *said.items()], _materials(predicate, "materials"))
    return Provenance(pairs, _materials(predicate, "materials"))


def provenance_object(found: Provenance, materials: tuple[Value, ...]) -> RObject:
    """Make what a policy reads.

    Args:
        found: What the attestation says.
        materials: What stands for each material.
    """
    plain = filled([*found.pairs, ("materials", materials)])
    # What is a pointer in Go is there even if it says false, or nothing.
    kept = [(name, value) for name, value in found.pairs if name in _KEPT]
    return RObject([*plain.items(), *kept])


def _config_source(source: Json, path: str) -> RObject:
    digest = _object(source, "digest")
    texts = {key: value for key, value in digest.items() if isinstance(value, str)}
    return filled(
        [("uri", _text(source, "uri")), ("digest", texts_of(texts)), ("path", _text(source, path))]
    )


def _request(request: Json) -> Iterator[tuple[str, Value]]:
    raw = {key: value for key, value in _object(request, "args").items() if isinstance(value, str)}
    built = {
        key.removeprefix(_ARGUMENT): value
        for key, value in raw.items()
        if key.startswith(_ARGUMENT) and key != _ARGUMENT
    }
    yield "frontend", _text(request, "frontend")
    yield "buildArgs", texts_of(built)
    yield "rawArgs", texts_of(raw)


def _materials(values: Json, key: str) -> list[Material]:
    found = values.get(key)
    if not isinstance(found, list):
        return []
    return [
        Material(_text(each, "uri"), _text(_object(each, "digest"), "sha256"))
        for each in found[:_MOST]
        if isinstance(each, dict)
    ]


def image_of(material: Material) -> tuple[str, str] | None:
    """Give the image that a material is, and its platform; None if it is no image.

    Raises:
        ValueError: It is one, but says so in a way that makes no sense.
    """
    if not material.uri.startswith("pkg:docker/"):
        return None
    rest, _, query = material.uri.removeprefix("pkg:docker/").partition("?")
    name, at, version = rest.partition("@")
    reference, digest = unquote(name), ""
    version = unquote(version)
    if at and ":" in version:
        digest = version
    elif version:
        reference += f":{version}"
    values = dict(part.partition("=")[::2] for part in query.split("&") if part)
    digest = digest or unquote(values.get("digest", ""))
    if not digest and not version:
        reference += ":latest"
    known = material.sha256 and f"sha256:{material.sha256.removeprefix('sha256:')}"
    if known and digest not in ("", known):
        raise ValueError("two digests")
    digest = known or digest
    platform = unquote(values.get("platform", ""))
    return (f"{reference}@{digest}" if digest else reference), platform


# --- JSON -----------------------------------------------------------------------------------


def _object(values: object, key: str) -> Json:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _text(values: object, key: str) -> str:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, str) else ""


def _flag(values: object, key: str) -> bool:
    return isinstance(values, dict) and values.get(key) is True


def _time(values: Json, key: str) -> str:
    try:
        moment = datetime.fromisoformat(_text(values, key))
    except ValueError:
        return ""
    if moment.tzinfo is None:
        return ""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
