from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.building.inputs.rego import check_policy_file, parse_policies
from dockyard.building.inputs.source import Source
from dockyard.errors import InputError


@pytest.mark.parametrize(
    ("values", "disabled"),
    [
        ([], False),
        (["disabled=true"], True),
        (["disabled=1"], True),
        (["disabled=false"], False),
        (["reset=true"], False),
        (["reset=true,log-level=debug", "strict=false"], False),
    ],
)
def test_policies_are_switched_off_or_not(values: list[str], disabled: bool) -> None:
    assert parse_policies(values) is disabled


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["foo"], "invalid value foo"),
        (["foo=bar"], "invalid value foo=bar"),
        (["log-level=foo"], "invalid value log-level=foo"),
        (
            ["strict=x"],
            'invalid value strict=x: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (
            ["disabled=true,strict=true"],
            "disabled policy cannot be combined with other policy flags",
        ),
        (
            ["disabled=true", "reset=true"],
            "disabled policy cannot be combined with other policy flags",
        ),
        (["filename=a.rego"], "the policy a.rego cannot be used: Rego is not supported"),
        (["strict=true"], "a strict policy cannot be used: Rego is not supported"),
    ],
)
def test_what_cannot_be_done_is_told(values: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_policies(values)

    assert str(caught.value) == words


def test_a_policy_beside_the_dockerfile_ends_the_build(tmp_path: Path) -> None:
    source = Source(attributes={"filename": "Some"}, directories={"dockerfile": tmp_path})
    (tmp_path / "Dockerfile.rego").touch()
    check_policy_file(source)
    (tmp_path / "Some.rego").symlink_to("nowhere")

    with pytest.raises(InputError, match=f"the policy {tmp_path}/Some.rego cannot be used"):
        check_policy_file(source)


def test_a_dockerfile_that_is_no_file_here_has_no_policy() -> None:
    check_policy_file(Source(attributes={"filename": "Dockerfile"}))
    check_policy_file(
        Source(
            attributes={"filename": "Dockerfile"}, directories={"dockerfile": {"Dockerfile": b""}}
        )
    )
