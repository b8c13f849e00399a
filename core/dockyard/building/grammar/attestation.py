"""Attestations: the grammar of ``--attest``, ``--provenance`` and ``--sbom``, and what is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockyard.building.grammar.csvline import fields, line
from dockyard.driver import BuildRequest, Feature, NodeFeatures, boolean
from dockyard.errors import InputError, UnsupportedFeatureError
from dockyard.quote import in_line

NO_DEFAULT = "BUILDX_NO_DEFAULT_ATTESTATIONS"
NO_ARTIFACT = "BUILDX_NO_DEFAULT_OCI_ARTIFACT"
_DEFAULT = "mode=min,inline-only=true"


def parse_attestations(
    values: Iterable[str], *, provenance: str | bool = "", sbom: str | bool = ""
) -> dict[str, str]:
    """Turn everything that was said of attestations into their attributes.

    Args:
        values: As with ``--attest``: ``type=sbom,generator=IMAGE``.
        provenance: ``true``, ``false`` or attributes; empty says nothing.
        sbom: The same.

    Returns:
        The attributes by type; empty text where the type is switched off. Of one type the first
        value counts.

    Raises:
        InputError: A value does not follow the grammar.
    """
    found: dict[str, str] = {}
    shorthands = (_shorthand("provenance", provenance), _shorthand("sbom", sbom))
    for value in (*values, *filter(None, shorthands)):
        kind, text = _parse(value)
        found.setdefault(kind, text)
    return found


def attestation_attributes(
    request: BuildRequest,
    features: NodeFeatures,
    *,
    attests: bool,
    driver: str,
    variables: Mapping[str, str],
) -> dict[str, str]:
    """Give the attributes by which the daemon is told what to attest.

    Args:
        request: What to build.
        features: What the node can do.
        attests: Whether the node's BuildKit knows attestations at all.
        driver: The node's driver.
        variables: The environment, which may switch the default off.

    Raises:
        UnsupportedFeatureError: Attestations are asked for, and BuildKit is too old for them.
        InputError: The variable makes no sense.
    """
    wanted = {f"attest:{kind}": text for kind, text in request.attestations.items() if text}
    if wanted and not attests:
        raise UnsupportedFeatureError(
            "Attestations are not supported by the current BuildKit daemon",
            feature="attestations",
            driver=driver,
            hint="they need BuildKit 0.11 (Docker Engine 24) or newer; without --attest, "
            "--provenance and --sbom the image is built without them",
        )
    able = attests and features.has(Feature.MULTI_PLATFORM)
    open_choice = able and "provenance" not in request.attestations
    if open_choice and not _switched_on(variables, NO_DEFAULT):
        wanted["attest:provenance"] = _DEFAULT
    return wanted


def without_artifacts(
    features: NodeFeatures, *, attests: bool, variables: Mapping[str, str]
) -> bool:
    """Say whether images get ``oci-artifact=false``, as a variable may want it.

    Raises:
        InputError: The variable makes no sense.
    """
    return _switched_on(variables, NO_ARTIFACT) and attests and features.has(Feature.MULTI_PLATFORM)


def _shorthand(kind: str, value: str | bool) -> str:
    if value == "":
        return ""
    try:
        wanted = value if isinstance(value, bool) else boolean(value)
    except ValueError:
        return f"type={kind},{value}"
    return f"type={kind},disabled={'false' if wanted else 'true'}"


def _parse(value: str) -> tuple[str, str]:
    kind, disabled = "", False
    attributes = {}
    for field in fields(value):
        key, equals, text = field.partition("=")
        if not equals:
            raise InputError(f"invalid value {in_line(field)}")
        match key.lower().strip():
            case "type":
                kind = text
            case "disabled":
                disabled = _disabled(text, field)
            case _:
                attributes[key] = text
    if not kind:
        raise InputError("attestation type not specified")
    if disabled:
        return kind, ""
    return kind, line([f"type={kind}", *(f"{key}={attributes[key]}" for key in sorted(attributes))])


def _disabled(text: str, field: str) -> bool:
    try:
        return boolean(text)
    except ValueError as error:
        raise InputError(f"invalid value {in_line(field)}: {error}") from error


def _switched_on(variables: Mapping[str, str], name: str) -> bool:
    value = variables.get(name)
    if value is None:
        return False
    try:
        return boolean(value)
    except ValueError as error:
        raise InputError(f"invalid {name}: {error}") from error
