"""How an image came about, for the metadata file: from the daemon's record of the build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Progress, boolean
from dockyard.errors import InputError, ProtocolError

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client
    from dockyard.buildkit.history import Attestation

_KEY = "buildx.build.provenance"
_KIND = "https://slsa.dev/provenance/"
_VERSION_1 = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_METADATA = "https://mobyproject.org/buildkit@v1#metadata"
_HERMETIC = "https://mobyproject.org/buildkit@v1#hermetic"
_MODES = ("", "min", "max")
_LARGEST = 64 << 20
"""Bytes of all provenance of one build."""

Values = Mapping[str, Any]


def provenance_mode(text: str) -> str:
    """Read the value of ``BUILDX_METADATA_PROVENANCE``: ``min``, ``max``, or empty for none."""
    if text in {"min", "max"}:
        return text
    if text == "disabled":
        return ""
    try:
        return "min" if boolean(text) else ""
    except ValueError:
        return "min"


def check_mode(mode: str) -> str:
    """Make sure that somebody's value is a mode.

    Raises:
        InputError: It is none.
    """
    if mode not in _MODES:
        raise InputError(f'invalid provenance for metadata "{mode}", expected "min" or "max"')
    return mode


def metadata_provenance(
    client: Client, ref: str, mode: str, progress: Progress, cancel: Cancellation
) -> dict[str, str]:
    """Give the provenance of a build's results, as it stands among the answers of exporters.

    Args:
        client: The daemon that built.
        ref: The build.
        mode: ``min`` or ``max``.
        progress: Where it is shown.
        cancel: Ends it.

    Raises:
        DaemonError: The daemon does not give it.
        ProtocolError: What it gives makes no sense.
    """
    from dockyard.buildkit.history import attestations

    with progress.step("resolving provenance for metadata file"):
        found: dict[str, str] = {}
        left = _LARGEST
        for each in attestations(client, ref, cancel=cancel):
            key = f"{_KEY}/{each.platform}" if each.platform else _KEY
            if each.predicate.startswith(_KIND) and key not in found:
                data = _read(client, each, left, cancel)
                left -= len(data)
                found[key] = encoded_provenance(data, each.predicate, mode)
    return found


def _read(client: Client, attestation: Attestation, most: int, cancel: Cancellation) -> bytes:
    from dockyard.buildkit.content import open_blob
    from dockyard.session.content_store import is_digest

    digest, size = attestation.digest, attestation.size
    if not is_digest(digest) or not 0 <= size <= most:
        raise ProtocolError("BuildKit's record has a provenance that cannot be read")
    with open_blob(client, digest, size, cancel=cancel) as blob:
        return blob.read()


def encoded_provenance(data: bytes, predicate: str, mode: str) -> str:
    """Give a provenance as an exporter would have answered it.

    Raises:
        ProtocolError: It is none.
    """
    import base64
    import json

    try:
        values = json.loads(data)
        if not isinstance(values, dict):
            raise ProtocolError("BuildKit's provenance is no JSON object")
        if predicate == _VERSION_1:
            values = _older(values)
        if mode == "min":
            left_out = {"buildConfig", "metadata"}
            values = {key: value for key, value in values.items() if key not in left_out}
        text = json.dumps(values, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"BuildKit's provenance is no JSON: {error}") from error
    return base64.b64encode(text.encode()).decode()


def _older(values: Values) -> dict[str, Any]:
    """Say the same in the words of SLSA 0.2, which the metadata file has always had."""
    definition, details = _part(values, "buildDefinition"), _part(values, "runDetails")
    outside = _part(definition, "externalParameters")
    inside = dict(_part(definition, "internalParameters"))
    source = dict(_part(outside, "configSource"))
    if "path" in source:
        source["entryPoint"] = source.pop("path")
    config = inside.pop("buildConfig", None)
    platform = inside.pop("builderPlatform", "")
    materials = definition.get("resolvedDependencies")
    found: dict[str, Any] = {
        "builder": {"id": _part(details, "builder").get("id", "")},
        "buildType": _BUILD_TYPE,
    }
    if isinstance(materials, list) and materials:
        found["materials"] = [
            {key: each[key] for key in ("uri", "digest") if key in each}
            for each in materials
            if isinstance(each, dict)
        ]
    found["invocation"] = {
        "configSource": source,
        "parameters": _part(outside, "request"),
        "environment": {"platform": platform, **inside},
    }
    if config is not None:
        found["buildConfig"] = config
    if "metadata" in details:
        found["metadata"] = _older_metadata(_part(details, "metadata"))
    return found


def _older_metadata(values: Values) -> dict[str, Any]:
    names = {
        "invocationId": "buildInvocationID",
        "startedOn": "buildStartedOn",
        "finishedOn": "buildFinishedOn",
    }
    found = {new: values[old] for old, new in names.items() if old in values}
    complete = _part(values, "buildkit_completeness")
    found["completeness"] = {
        "parameters": bool(complete.get("request")),
        "environment": True,
        "materials": bool(complete.get("resolvedDependencies")),
    }
    found["reproducible"] = bool(values.get("buildkit_reproducible"))
    found[_METADATA] = _part(values, "buildkit_metadata")
    if values.get("buildkit_hermetic"):
        found[_HERMETIC] = True
    return found


def _part(values: Values, key: str) -> Values:
    found = values.get(key)
    return found if isinstance(found, dict) else {}
