"""What things may be called, as the API server sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dockyard_kubernetes import naming

Check = Callable[[str], str]

LABEL: Check = partial(naming.dns_label, what="thing")
NAME: Check = partial(naming.dns_name, what="thing")
KEY: Check = partial(naming.key, what="thing")
VALUE: Check = partial(naming.label_value, what="thing")
VARIABLE: Check = naming.variable
FILE: Check = naming.config_key


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (LABEL, ["a", "0", "a-b", "a--b", "x" * 63]),
        (NAME, ["a", "a.b", "a-b.c0", "x" * 253]),
        (KEY, ["a", "A_b.c-D", "x" * 63, "a.b/c", "example.com/x", "0/0"]),
        (VALUE, ["", "a", "A_b.c-D", "x" * 63]),
        (VARIABLE, ["A", "my.env-name", "1", "a b", "~", "$(X)"]),
        (FILE, ["buildkitd.toml", "-", "_", ".hidden", "a..b", "x" * 253]),
    ],
)
def test_what_the_server_takes_is_taken(check: Check, good: list[str]) -> None:
    assert [check(each) for each in good] == good


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (LABEL, ["", "A", "a_b", "-a", "a-", "a.b", "x" * 64, "a\n", "\u00e4"]),
        (NAME, ["", "A", "a..b", ".a", "a.", "a-.b", "a.-b", "a_b", "x" * 254]),
        (KEY, ["", "-a", "a-", "a b", "x" * 64, "/a", "a/", "A/b", "a/b/c", f"{'x' * 254}/a"]),
        (VALUE, ["-a", "a-", "a b", "a/b", "x" * 64, "\u0663"]),
        (VARIABLE, ["", "a=b", "a\n", "\u00e4", "a\x7f"]),
        (FILE, ["", ".", "..", "..a", "a b", "a/b", "x" * 254]),
    ],
)
def test_what_the_server_refuses_is_refused(check: Check, bad: list[str]) -> None:
    for each in bad:
        with pytest.raises(ValueError, match="invalid "):
            check(each)


@pytest.mark.parametrize(
    ("node", "stateful", "name"),
    [
        ("k_b0", False, "k-b0"),
        ("k_b0", True, "k-b0"),
        ("a.b0", False, "a.b0"),
        ("x" * 63, False, "x" * 63),
        ("x" * 52, True, "x" * 52),
    ],
)
def test_a_workload_is_called_as_its_node(node: str, stateful: bool, name: str) -> None:
    assert naming.workload(node, stateful=stateful) == name


@pytest.mark.parametrize(
    ("node", "stateful", "words"),
    [
        ("x" * 64, False, "is too long for a deployment: 64 characters, at most 63"),
        ("x" * 53, True, "is too long for a stateful set: 53 characters, at most 52"),
        ("a.b0", True, 'invalid node name "a.b0"'),
        ("Ab0", False, 'invalid node name "Ab0"'),
        ("a_", False, 'invalid node name "a-"'),
        ("a._b", False, 'invalid node name "a.-b"'),
    ],
)
def test_a_node_that_no_workload_can_be_called_as_is_refused(
    node: str, stateful: bool, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        naming.workload(node, stateful=stateful)
