from __future__ import annotations

from pathlib import Path

import pytest

import dockyard
from dockyard.driver import Output
from dockyard.errors import InputError


def test_what_is_attested_allowed_and_limited_is_checked_as_on_the_command_line() -> None:
    found = dockyard.request(
        attest=["type=sbom,generator=x"],
        provenance=False,
        sbom=True,
        annotations=["index:a=b"],
        allow=["network.host"],
        resources=["memory=1k"],
        metadata_provenance="max",
    )

    assert found.attestations == {"sbom": "type=sbom,generator=x", "provenance": ""}
    assert found.annotations == {"annotation-index.a": "b"}
    assert found.allow == ("network.host",)
    assert found.resources == {"memory": "1024"}
    assert found.metadata_provenance == "max"


def test_nothing_said_leaves_everything_to_the_defaults() -> None:
    found = dockyard.request()

    assert found.attestations == found.annotations == found.resources == {}
    assert found.allow == ()
    assert found.metadata_provenance == ""


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("attest", ["foo"]),
        ("provenance", "foo"),
        ("annotations", ["foo"]),
        ("allow", ["foo"]),
        ("resources", ["foo"]),
        ("metadata_provenance", "foo"),
    ],
)
def test_a_wrong_value_is_refused(option: str, value: object) -> None:
    with pytest.raises(InputError, match="foo"):
        dockyard.request(**{option: value})  # type: ignore[arg-type]  # wrong on purpose


def test_empty_values_of_scripts_are_as_if_not_said() -> None:
    found = dockyard.request(outputs=[""], cache_from=[""], cache_to=[""], secrets=[""])

    assert not any((found.outputs, found.cache_from, found.cache_to, found.secrets))


def test_deleting_outside_needs_consent(tmp_path: Path) -> None:
    outputs = ["type=local,dest=..,mode=delete"]

    with pytest.raises(InputError, match='for destination "\\.\\." requires --allow'):
        dockyard.request(outputs=outputs, working_directory=tmp_path)
    (output,) = dockyard.request(
        outputs=outputs, working_directory=tmp_path, allow=["buildx.local.delete"]
    ).outputs
    assert output.attributes == {"mode": "delete"}
    assert output.dest == str(tmp_path.parent)


def test_a_path_that_cannot_be_one_is_refused_before_it_is_followed() -> None:
    output = Output(type="local", dest="a\0b", attributes={"mode": "delete"})

    with pytest.raises(InputError, match=r"^invalid destination directory: a\\x00b: "):
        dockyard.request(outputs=[output])
