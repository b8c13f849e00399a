"""How option values are read, and the words in which wrong ones are refused."""

from __future__ import annotations

import re

import pytest

from dockyard.driver import parse_options
from dockyard.errors import OptionError
from dockyard_kubernetes.declaration import DRIVER


def parsed(name: str, typed: str) -> object:
    typed_options = {name: typed}
    return parse_options(DRIVER.name, DRIVER.options, typed_options, refusal=DRIVER.option_refusal)[
        name
    ]


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("image", "r.example:5000/a/b:c@sha256:00", "r.example:5000/a/b:c@sha256:00"),
        ("replicas", "3", 3),
        ("replicas", "+2147483647", 2147483647),
        ("namespace", "", ""),
        ("namespace", "build-1", "build-1"),
        ("serviceaccount", "a.b", "a.b"),
        ("nodeselector", "a.b/c=d,e=", {"a.b/c": "d", "e": ""}),
        ("nodeselector", '"a=b,c=d"', {"a": "b", "c": "d"}),
        ("labels", "a=b,a=c", {"a": "c"}),
        (
            "annotations",
            "Example.com/x=any text: {1},y=",
            {"Example.com/x": "any text: {1}", "y": ""},
        ),
        ("loadbalance", "random", "random"),
        ("timeout", "90s", 90.0),
        ("timeout", "1h30m", 5400.0),
        ("timeout", "1.5m", 90.0),
        ("timeout", "+.5s", 0.5),
        ("timeout", "5m0.25s", 300.25),
        ("timeout", "1000000us", 1.0),
        ("template", "/etc/pod.yaml", "/etc/pod.yaml"),
        ("rootless", "T", True),
        ("requests.cpu", "", None),
        ("env.FOO", "", ""),
    ],
)
def test_a_value_is_read(name: str, typed: str, value: object) -> None:
    assert parsed(name, typed) == value


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("key=a", [{"key": "a"}]),
        ('"key=a,operator=Exists"', [{"key": "a", "operator": "Exists"}]),
        (
            "key=a.b/c,operator=equal,value=x,effect=noschedule;operator=EXISTS",
            [
                {"key": "a.b/c", "operator": "Equal", "value": "x", "effect": "NoSchedule"},
                {"operator": "Exists"},
            ],
        ),
        (
            "key=a,operator=Exists,effect=NoExecute,tolerationSeconds=-1",
            [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -1}],
        ),
        ("key=a,operator=Gt,value=5", [{"key": "a", "operator": "Gt", "value": "5"}]),
        ("key=a,value=,effect=", [{"key": "a"}]),
    ],
)
def test_tolerations_are_read(typed: str, value: list[dict[str, object]]) -> None:
    assert parsed("tolerations", typed) == value


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("replicas", "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("replicas", "", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("replicas", "1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("replicas", "2147483648", 'strconv.ParseInt: parsing "2147483648": value out of range'),
        ("replicas", "0", "invalid replicas (0): must be 1 or more"),
        ("replicas", "-1", "invalid replicas (-1): must be 1 or more"),
        (
            "requests.cpu",
            "x",
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("limits.memory", "-1Gi", 'invalid quantity "-1Gi": must be greater than or equal to 0'),
        (
            "persistent-volume-claim.requests.storage",
            "0",
            'invalid quantity "0": must be greater than zero',
        ),
        ("nodeselector", "a", "cannot parse node selector: invalid key-value pair: a"),
        ("nodeselector", "", "cannot parse node selector: invalid key-value pair: "),
        ("nodeselector", "a=b=c", "cannot parse node selector: invalid key-value pair: a=b=c"),
        ("labels", "a=b,c", "cannot parse labels: invalid key-value pair: c"),
        ("annotations", "a", "cannot parse annotations: invalid key-value pair: a"),
        ("labels", "app=x", 'the label "app" is reserved and cannot be customized'),
        (
            "annotations",
            "buildx.docker.com/platform=x",
            'the annotation "buildx.docker.com/platform" is reserved and cannot be customized',
        ),
        (
            "annotations",
            "dev.dockyard.node=x",
            'the annotation "dev.dockyard.node" is reserved and cannot be customized',
        ),
        (
            "annotations",
            "dev.dockyard.boot=x",
            'the annotation "dev.dockyard.boot" is reserved and cannot be customized',
        ),
        (
            "schedulername",
            "my\nscheduler",
            r"invalid scheduler name 'my\nscheduler': printable ASCII without spaces",
        ),
        ("tolerations", "foo=bar", 'invalid tolaration "foo=bar"'),
        ("tolerations", "key", 'invalid tolaration "key"'),
        ("tolerations", "", 'invalid tolaration ""'),
        ("tolerations", "key=a;", 'invalid tolaration "key=a;"'),
        (
            "tolerations",
            "key=a,effect=NoExecute,tolerationSeconds=x",
            'strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("loadbalance", "x", 'invalid loadbalance "x"'),
        ("rootless", "maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("qemu.install", "2", 'strconv.ParseBool: parsing "2": invalid syntax'),
        ("default-load", "", 'strconv.ParseBool: parsing "": invalid syntax'),
        ("timeout", "x", 'cannot parse timeout: time: invalid duration "x"'),
        ("timeout", "", 'cannot parse timeout: time: invalid duration ""'),
        ("timeout", "5", 'cannot parse timeout: time: missing unit in duration "5"'),
        ("timeout", "5x", 'cannot parse timeout: time: unknown unit "x" in duration "5x"'),
        ("timeout", "-5s", 'cannot parse timeout: time: invalid duration "-5s"'),
        ("timeout", "0s", 'cannot parse timeout: time: invalid duration "0s"'),
        ("timeout", "9999999999s", 'cannot parse timeout: time: invalid duration "9999999999s"'),
        ("template", "pod.yaml", "non-absolute path 'pod.yaml' provided for template"),
        ("env.", "x", 'invalid env option "env.", expecting env.FOO=bar'),
        ("image", "a b", 'invalid image name "a b"'),
        ("bogus", "x", "invalid driver option bogus for driver kubernetes"),
    ],
)
def test_a_wrong_value_is_refused_in_so_many_words(name: str, typed: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        parsed(name, typed)

    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("namespace", "A", 'invalid namespace "A": at most 63 lower case'),
        ("serviceaccount", "a/b", 'invalid service account "a/b": at most 253 lower case'),
        ("labels", "a b=c", 'cannot parse labels: invalid label key "a b"'),
        ("labels", "a=b c", 'cannot parse labels: invalid value of label "a" "b c"'),
        ("nodeselector", "/a=b", 'cannot parse node selector: invalid label key "/a"'),
        ("annotations", "-a=b", 'invalid annotation key "-a"'),
        ("tolerations", "key=a,operator=In", 'unknown operator "In", there are Exists, Equal'),
        ("tolerations", "key=a,effect=No", 'unknown effect "No", there are NoSchedule, Prefer'),
        ("tolerations", "effect=NoExecute", "operator must be Exists when there is no key"),
        ("tolerations", "key=a,tolerationSeconds=1", "effect must be NoExecute when toleration"),
        ("tolerations", "key=a,operator=Exists,value=b", "value must be empty when operator is"),
        ("tolerations", "key=a b", 'invalid tolaration "key=a b": invalid key "a b"'),
        ("tolerations", "key=a,value=b c", 'invalid value "b c"'),
        ("tolerations", "key=a,operator=Lt,value=b", 'parsing "b": invalid syntax'),
    ],
)
def test_what_the_server_would_refuse_is_refused_with_the_reason(
    name: str, typed: str, words: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(words)) as caught:
        parsed(name, typed)

    assert caught.value.hint is not None
    assert name in caught.value.hint
