from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.attestation import (
    attestation_attributes,
    parse_attestations,
    without_artifacts,
)
from dockyard.building.grammar.csvline import fields
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Support
from dockyard.errors import InputError, UnsupportedFeatureError

ABLE = NodeFeatures(support={Feature.MULTI_PLATFORM: Support.yes()})
CLASSIC = NodeFeatures(support={})
DEFAULT = {"attest:provenance": "mode=min,inline-only=true"}


def attributes(
    attestations: dict[str, str] | None = None,
    features: NodeFeatures = ABLE,
    *,
    attests: bool = True,
    **variables: str,
) -> dict[str, str]:
    request = BuildRequest(attestations=attestations or {})
    return attestation_attributes(
        request, features, attests=attests, driver="shed", variables=variables
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("type=sbom", {"sbom": "type=sbom"}),
        ("TYPE=sbom,generator=x/y:1", {"sbom": "type=sbom,generator=x/y:1"}),
        ("mode=max,type=provenance,A=b", {"provenance": "type=provenance,A=b,mode=max"}),
        ("type=provenance,disabled=true", {"provenance": ""}),
        ("type=provenance,disabled=0,mode=min", {"provenance": "type=provenance,mode=min"}),
        ('type=sbom,"generator=a,b"', {"sbom": 'type=sbom,"generator=a,b"'}),
        ('type=sbom,"generator=a""b"', {"sbom": 'type=sbom,"generator=a""b"'}),
        ("type=other,", None),
    ],
)
def test_a_value_becomes_attributes_by_its_type(
    value: str, expected: dict[str, str] | None
) -> None:
    if expected is None:
        with pytest.raises(InputError, match="^invalid value $"):
            parse_attestations([value])
    else:
        assert parse_attestations([value]) == expected


@pytest.mark.parametrize(
    ("shorthand", "expected"),
    [
        ("", {}),
        ("true", {"provenance": "type=provenance"}),
        (True, {"provenance": "type=provenance"}),
        ("false", {"provenance": ""}),
        (False, {"provenance": ""}),
        ("mode=max", {"provenance": "type=provenance,mode=max"}),
        ("mode=max,disabled=true", {"provenance": ""}),
    ],
)
def test_a_shorthand_switches_or_adds_attributes(
    shorthand: str | bool, expected: dict[str, str]
) -> None:
    assert parse_attestations([], provenance=shorthand) == expected


def test_of_one_type_the_first_value_counts_and_flags_come_before_shorthands() -> None:
    found = parse_attestations(
        ["type=sbom,generator=one", "type=sbom,generator=two", "type=provenance,mode=max"],
        provenance=False,
        sbom=True,
    )

    assert found == {"sbom": "type=sbom,generator=one", "provenance": "type=provenance,mode=max"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", "^invalid value foo$"),
        ("mode=max", "^attestation type not specified$"),
        ("type=", "^attestation type not specified$"),
        ("type=sbom,disabled=maybe", "^invalid value disabled=maybe: .*invalid syntax$"),
        ('type="sbom', "parse error on line 1, column 6: bare"),
    ],
)
def test_a_wrong_value_is_refused(value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_attestations([value])


@given(st.text(max_size=40))
def test_what_is_parsed_can_be_parsed_again(value: str) -> None:
    try:
        found = parse_attestations([f"type=x,{value}"])
    except InputError:
        return
    for kind, text in found.items():
        if text:
            assert fields(text)[0] == f"type={kind}"
            assert parse_attestations([text]) == {kind: text}


def test_a_node_that_can_attests_where_images_come_from() -> None:
    assert attributes() == DEFAULT
    assert attributes({"sbom": "type=sbom"}) == DEFAULT | {"attest:sbom": "type=sbom"}
    assert attributes({"provenance": "type=provenance,mode=max"}) == {
        "attest:provenance": "type=provenance,mode=max"
    }
    assert attributes(BUILDX_NO_DEFAULT_ATTESTATIONS="0") == DEFAULT


def test_the_default_can_be_switched_off() -> None:
    assert attributes({"provenance": ""}) == {}
    assert attributes(BUILDX_NO_DEFAULT_ATTESTATIONS="1") == {}
    assert attributes({"sbom": "type=sbom"}, BUILDX_NO_DEFAULT_ATTESTATIONS="true") == {
        "attest:sbom": "type=sbom"
    }


def test_there_is_no_default_where_it_could_not_be_kept() -> None:
    assert attributes(attests=False) == {}
    assert attributes(features=CLASSIC) == {}
    assert attributes(features=CLASSIC, BUILDX_NO_DEFAULT_ATTESTATIONS="nonsense") == {}


@pytest.mark.parametrize("value", ["nonsense", ""])
def test_a_switch_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="^invalid BUILDX_NO_DEFAULT_ATTESTATIONS: "):
        attributes(BUILDX_NO_DEFAULT_ATTESTATIONS=value)


def test_a_buildkit_that_is_too_old_is_named() -> None:
    with pytest.raises(
        UnsupportedFeatureError,
        match="^Attestations are not supported by the current BuildKit daemon$",
    ):
        attributes({"sbom": "type=sbom"}, attests=False)


def test_another_variable_wants_no_artifacts() -> None:
    wanted = {"BUILDX_NO_DEFAULT_OCI_ARTIFACT": "1"}

    assert without_artifacts(ABLE, attests=True, variables=wanted)
    assert not without_artifacts(ABLE, attests=True, variables={})
    assert not without_artifacts(CLASSIC, attests=True, variables=wanted)
    with pytest.raises(InputError, match="^invalid BUILDX_NO_DEFAULT_OCI_ARTIFACT: "):
        without_artifacts(
            ABLE, attests=True, variables={"BUILDX_NO_DEFAULT_OCI_ARTIFACT": "perhaps"}
        )
