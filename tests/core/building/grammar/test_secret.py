from __future__ import annotations

import pytest

from dockyard.building.grammar.secret import parse_secrets
from dockyard.errors import InputError

VARIABLES = {"TOKEN": "hush", "EMPTY": "", "BYTES": "\udcff"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("id=a,src=file", {"a": "file"}),
        ("id=a,source=file", {"a": "file"}),
        ("ID=a,SRC=file,type=file", {"a": "file"}),
        ('id=a,"src=x,y"', {"a": "x,y"}),
        ("id=a,env=TOKEN", {"a": b"hush"}),
        ("id=a,env=TOKEN,type=env", {"a": b"hush"}),
        ("id=a,type=env,src=TOKEN", {"a": b"hush"}),
        ("id=TOKEN", {"TOKEN": b"hush"}),
        ("id=EMPTY", {"EMPTY": b""}),
        ("id=BYTES", {"BYTES": b"\xff"}),
        ("id=nosuch", {"nosuch": "nosuch"}),
        ("id=a,env=NOSUCH", {"a": b""}),
        ("id=a,src=b=c", {"a": "b=c"}),
        ("src=file", {"": "file"}),
        ("", {}),
    ],
)
def test_a_secret_is_a_value_or_a_path(value: str, expected: dict[str, str | bytes]) -> None:
    assert parse_secrets([value], VARIABLES) == expected


def test_a_later_secret_of_the_same_id_counts() -> None:
    assert parse_secrets(["id=a,src=x", "id=a,src=y"], {}) == {"a": "y"}


def test_a_mapping_stays_as_it_is() -> None:
    assert parse_secrets({"a": b"x", "b": "path"}, VARIABLES) == {"a": b"x", "b": "path"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("id=a,", "invalid field '' must be a key=value pair"),
        ("type=foo,id=a", 'unsupported secret type "foo"'),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("=a", "unexpected key '' in '=a'"),
        ('a"b', "failed to parse csv secret: "),
        ('"id=a', "failed to parse csv secret: "),
    ],
)
def test_what_is_wrong_is_told(value: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_secrets([value], VARIABLES)

    assert str(caught.value).startswith(words)
