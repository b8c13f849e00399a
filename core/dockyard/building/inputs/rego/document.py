"""What a policy is given to decide on: a source in the build, and what is known of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from posixpath import normpath
from typing import NamedTuple

from dockyard.building.inputs.rego.address import Address, is_git, query_of, read_git, read_url
from dockyard.building.inputs.rego.fields import filled, texts_of
from dockyard.building.inputs.rego.git_object import (
    GitObject,
    GitObjectError,
    described,
    read_object,
)
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.value import RObject, Value
from dockyard.building.inputs.rego.provenance import (
    Material,
    find_provenance,
    image_of,
    provenance_object,
)
from dockyard.errors import InputError
from dockyard.platforms import Platform
from dockyard.registry.reference import HUB, Reference
from dockyard.session.policy import SourceCheck

CONFIG, CHAIN, SIGNATURES = "config", "chain", "signatures"
GIT, OBJECTS, CHECKSUM, MATERIAL = "git", "objects", "checksum", "material"
"""What can be asked for, and what cannot."""
_CONFIG_FIELDS = ("labels", "user", "volumes", "workingDir", "env", "createdTime")
_CHAIN_FIELDS = ("hasProvenance", "provenance", "signatures")
_OBJECT_FIELDS = ("tag", "commit")
_AUTH = "http.authheadersecret"
_FULL_URL = "git.fullurl"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Document(NamedTuple):
    """The input of a policy, and what lies behind it."""

    source: RObject
    """Everything but ``env``: ``image``, ``git``, ``http`` or ``local``."""
    part: Value
    """The one thing in it."""
    objects: tuple[tuple[RObject, GitObject], ...] = ()
    """Commit and tag, as policies see them and as they were signed."""


def make_document(check: SourceCheck, default: Platform | None) -> Document:
    """Make the input for a source.

    Args:
        check: What the daemon says of it.
        default: The platform of images for which the daemon names none.

    Raises:
        PolicyFaultError: What the daemon says makes no sense.
    """
    scheme, mark, rest = check.identifier.partition("://")
    match scheme:
        case "docker-image" if mark:
            return _document("image", _image(rest, check.platform or default, check.image))
        case "http" | "https" if mark:
            return _document("http", _http(check))
        case "git" if mark:
            return _git(rest, check)
        case "local" if mark:
            return _document("local", filled([("name", rest)]))
    raise PolicyFaultError(f"a source of this kind cannot be checked: {check.identifier[:200]}")


def with_environment(source: RObject, environment: RObject) -> RObject:
    """Add what is known of the build itself."""
    return source.replaced(("env",), environment)


def _document(name: str, part: RObject) -> Document:
    return Document(RObject([(name, part)]), part)


# --- images ---------------------------------------------------------------------------------


def _image(text: str, platform: Platform | None, found: Mapping[str, object] | None) -> RObject:
    if platform is None:
        raise PolicyFaultError(f"the platform of the image {text[:200]} is not known")
    try:
        reference = Reference.parse(text)
    except InputError as error:
        raise PolicyFaultError(str(error)) from error
    pairs = _named(reference, platform)
    missing: dict[str, str] = {}
    config = _bytes(found, "Config")
    if found is not None:
        pairs.append(("checksum", found.get("Digest") or reference.digest))  # type: ignore[arg-type]
    else:
        pairs.append(("checksum", reference.digest))
        if not reference.digest:
            missing["checksum"] = CONFIG
    if config:
        pairs += _configured(config, text)
    else:
        missing |= dict.fromkeys(_CONFIG_FIELDS, CONFIG)
    chain = found.get("AttestationChain") if found is not None else None
    if isinstance(chain, Mapping):
        pairs += _attested(chain, platform, missing)
    else:
        missing |= dict.fromkeys(_CHAIN_FIELDS, CHAIN)
    return filled(pairs, missing)


def _named(reference: Reference, platform: Platform) -> list[tuple[str, Value]]:
    full = reference.name
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    short = full
    if reference.registry == HUB:
        short = reference.repository
        plain = short.removeprefix("library/")
        short = short if "/" in plain else plain
    return [
        ("ref", f"{full}{tag}{digest}"),
        ("host", reference.registry),
        ("repo", short),
        ("fullRepo", full),
        ("tag", reference.tag),
        ("isCanonical", bool(reference.digest)),
        ("platform", str(platform)),
        ("os", platform.os),
        ("arch", platform.architecture),
        ("variant", platform.variant),
    ]


def _configured(data: bytes, name: str) -> list[tuple[str, Value]]:
    """Read an image's configuration."""
    try:
        whole = _mapping(json.loads(data))
        config = _mapping(whole.get("config"))
        labels = _mapping(config.get("Labels"))
        return [
            ("createdTime", _seconds(_string(whole.get("created")))),
            ("labels", texts_of({str(key): _string(value) for key, value in labels.items()})),
            ("env", _texts(config.get("Env"))),
            ("user", _string(config.get("User"))),
            ("volumes", tuple(sorted(map(str, _mapping(config.get("Volumes")))))),
            ("workingDir", _string(config.get("WorkingDir"))),
        ]
    except (ValueError, TypeError, RecursionError) as error:
        raise PolicyFaultError(f"the configuration of {name[:200]} makes no sense") from error


def _mapping(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(_string, value))


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _seconds(time: str) -> str:
    """Give a time without what is smaller than seconds."""
    return re.sub(r"\.\d+", "", time)


def _attested(
    chain: Mapping[str, object], platform: Platform, missing: dict[str, str]
) -> list[tuple[str, Value]]:
    found = find_provenance(chain)
    pairs: list[tuple[str, Value]] = [
        ("hasProvenance", bool(chain.get("AttestationManifest")) or found is not None)
    ]
    if found is not None:
        made = (_material(material, platform) for material in found.materials)
        materials = tuple(material for material in made if material is not None)
        pairs.append(("provenance", provenance_object(found, materials)))
    if chain.get("AttestationManifest") and chain.get("SignatureManifests"):
        missing["signatures"] = SIGNATURES
    return pairs


def _material(material: Material, platform: Platform) -> RObject | None:
    """Give what is known of a material from its name; the rest cannot be asked for."""
    try:
        image = image_of(material)
        if image is not None:
            own = Platform.parse(image[1]) if image[1] else platform
            return _hiding(RObject([("image", _image(image[0], own, None))]))
        if _is_repository(material.uri):
            check = SourceCheck(
                identifier=_git_identifier(material.uri), attributes={_FULL_URL: material.uri}
            )
            return _hiding(make_document(check, None).source)
        if material.uri.startswith(("http://", "https://")):
            return _hiding(make_document(SourceCheck(identifier=material.uri), None).source)
    except (PolicyFaultError, InputError, ValueError):
        pass
    return None


def _hiding(source: RObject) -> RObject:
    """Give a source of which what is missing stays so."""
    return RObject(
        (key, part.never(MATERIAL) if isinstance(part, RObject) else part)
        for key, part in source.items()
    )


def _is_repository(uri: str) -> bool:
    if not is_git(uri):
        return False
    address = read_git(uri)
    return address.scheme not in ("http", "https") or address.path.lower().endswith(".git")


def _git_identifier(uri: str) -> str:
    address = read_git(uri)
    fragment = f"#{address.fragment}" if address.fragment else ""
    return f"git://{address.host}/{address.path.lstrip('/')}{fragment}"


# --- what is fetched ------------------------------------------------------------------------


def _http(check: SourceCheck) -> RObject:
    address = read_url(check.identifier)
    checksum = (check.http or {}).get("Checksum")
    pairs: list[tuple[str, Value]] = [
        ("url", check.identifier),
        ("schema", address.scheme),
        ("host", address.host),
        ("path", address.path),
        ("query", query_of(address.query)),
        ("hasAuth", _AUTH in check.attributes),
    ]
    if isinstance(checksum, str) and checksum:
        return filled([*pairs, ("checksum", checksum)])
    return filled(pairs, {"checksum": CHECKSUM})


def _git(text: str, check: SourceCheck) -> Document:
    address = read_git(text if is_git(text) else f"https://{text}")
    ref, _, folder = address.fragment.partition(":")
    folder = normpath(f"/{folder}").lstrip("/")
    shown, full = _shown(address, check)
    pairs: list[tuple[str, Value]] = [
        ("schema", shown.scheme),
        ("host", shown.host),
        ("remote", shown.plain),
        ("fullURL", full),
        ("subDir", folder),
    ]
    exact = _COMMIT.fullmatch(ref) is not None
    pairs.append(("isCommitRef", exact))
    if check.git is None:
        part = filled([*pairs, *_as_asked(ref, exact=exact)], _unknown(ref, exact=exact))
        return _document("git", part)
    known, objects, missing = _as_resolved(check.git)
    part = filled([*pairs, *known], missing)
    return _document("git", part)._replace(objects=objects)


def _shown(address: Address, check: SourceCheck) -> tuple[Address, str]:
    """Give the address to show: that which somebody wrote, if it is known."""
    full = check.attributes.get(_FULL_URL, "")
    if not full:
        return address, ""
    full = full if is_git(full) else f"https://{full}"
    return read_git(full), full


def _as_asked(ref: str, *, exact: bool) -> list[tuple[str, Value]]:
    pairs = _names(ref)
    if pairs or exact:
        pairs.append(("ref", ref))
    if exact:
        pairs += [("checksum", ref), ("commitChecksum", ref), ("isSHA256", len(ref) == 64)]
    return pairs


def _unknown(ref: str, *, exact: bool) -> dict[str, str]:
    missing = dict.fromkeys(_OBJECT_FIELDS, OBJECTS)
    if not exact:
        names = ("checksum", "isAnnotatedTag", "commitChecksum", "isSHA256")
        missing |= dict.fromkeys(names, GIT)
        if not _names(ref):
            missing |= dict.fromkeys(("tagName", "branch", "ref"), GIT)
    return missing


def _names(ref: str) -> list[tuple[str, Value]]:
    if ref.startswith("refs/tags/"):
        return [("tagName", ref.removeprefix("refs/tags/"))]
    if ref.startswith("refs/heads/"):
        return [("branch", ref.removeprefix("refs/heads/"))]
    return []


def _as_resolved(
    found: Mapping[str, object],
) -> tuple[list[tuple[str, Value]], tuple[tuple[RObject, GitObject], ...], dict[str, str]]:
    ref, checksum = _field(found, "Ref"), _field(found, "Checksum")
    commit = _field(found, "CommitChecksum") or checksum
    pairs = _names(ref)
    pairs += [
        ("ref", ref),
        ("checksum", checksum),
        ("commitChecksum", commit),
        ("isAnnotatedTag", checksum != commit),
        ("isSHA256", len(checksum) == 64),
    ]
    data = _bytes(found, "CommitObject")
    if not data:
        return pairs, (), dict.fromkeys(_OBJECT_FIELDS, OBJECTS)
    objects = [("commit", data, commit)]
    tag = _bytes(found, "TagObject")
    if tag:
        objects.append(("tag", tag, checksum))
    made = []
    for name, content, digest in objects:
        try:
            read = read_object(content, digest)
        except GitObjectError as error:
            raise PolicyFaultError(str(error)) from error
        if read.kind != name:
            raise PolicyFaultError(f"the daemon sent a {read.kind} instead of a {name}")
        made.append((described(read), read))
        pairs.append((name, made[-1][0]))
    return pairs, tuple(made), {}


def _field(values: Mapping[str, object], key: str) -> str:
    found = values.get(key, "")
    return found if isinstance(found, str) else ""


def _bytes(values: Mapping[str, object] | None, key: str) -> bytes:
    found = values.get(key) if values is not None else None
    return found if isinstance(found, bytes) else b""
