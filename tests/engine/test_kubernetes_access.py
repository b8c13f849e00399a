"""What a role has to allow: what the documentation says is enough, and all of it is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tools.engine import Engine

from dockyard.conformance import Subject
from dockyard.conformance.bench import Bench
from dockyard.errors import DockyardError
from support.kubernetes.access import User
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import module_cluster

__all__ = ["module_cluster"]

ROOT = Path(__file__).resolve().parents[2]
CLAIM = {"persistent-volume-claim.requests.storage": "1Gi"}
BOOT, CONNECT, STOP, REMOVE = "boot", "connect", "stop", "remove"


def documented(mark: str) -> list[dict[str, Any]]:
    """Give the rules that the documentation has between two marks."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    found = re.search(rf"<!-- {mark} -->\n+```yaml\n(.*?)```\n+<!-- /{mark} -->", page, re.DOTALL)
    assert found is not None, mark
    return [
        rule
        for document in yaml.safe_load_all(found[1])
        if isinstance(document, dict)
        for rule in document.get("rules", ())
    ]


def pairs(rules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Give the verbs and resources that rules allow, one by one."""
    return [
        (verb, resource)
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def without(rules: list[dict[str, Any]], verb: str, resource: str) -> list[dict[str, Any]]:
    """Give the rules without one verb on one resource."""
    return [
        {
            **rule,
            "resources": [each],
            "verbs": [v for v in rule["verbs"] if (v, each) != (verb, resource)],
        }
        for rule in rules
        for each in rule["resources"]
    ]


NEEDED = documented("rbac")
WHY = documented("rbac-why")


ALWAYS = [
    pair
    for pair in pairs(NEEDED)
    if pair not in {("delete", "configmaps"), ("update", "configmaps")}
]
"""What every builder with a configuration needs; config maps usually go with their workload."""


class Person(NamedTuple):
    """Somebody with a role, and what they can do with it."""

    user: User
    bench: Bench
    config: Path
    cluster: Cluster

    def may(self, rules: list[dict[str, Any]]) -> None:
        """Give them another role."""
        self.cluster.set_rules(self.user, rules)

    def live(self, options: dict[str, str], *, connects: bool = True) -> None:
        """Make a builder, use it, and remove it."""
        bench = self.bench
        name = bench.create(options=options, config=self.config)
        try:
            node = bench.node(name)
            bench.boot(node).result(60)
            if connects:
                bench.connect(node).close()
            bench.stop(node)
            bench.remove(node)
        except BaseException:
            self.may([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
            bench.discard(name)
            raise


@pytest.fixture(scope="module")
def person(
    module_cluster: Cluster,
    engine_26: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Person:
    user = module_cluster.add_user("somebody", NEEDED)
    folder = tmp_path_factory.mktemp("person")
    config = folder / "buildkitd.toml"
    config.write_text("debug = true\n")
    subject = Subject(
        driver="kubernetes",
        options={"image": module_cluster.image},
        engine=engine_26.host,
        variables={"KUBECONFIG": str(module_cluster.write_kubeconfig("somebody", user=user))},
    )
    return Person(user, Bench(subject, folder), config, module_cluster)


@pytest.mark.parametrize("options", [{}, CLAIM], ids=["deployment", "claims"])
def test_the_documented_role_is_enough(person: Person, options: dict[str, str]) -> None:
    person.may(NEEDED)

    person.live(options)

    person.cluster.wait(lambda: not person.cluster.leftovers())


@pytest.fixture
def hollow(person: Person) -> Iterator[Person]:
    """Somebody in whose pods nothing runs: nobody gets as far as to be inside one."""
    person.cluster.hollow()
    yield person
    person.cluster.hollow(on=False)
    person.cluster.trouble.creating = False


@pytest.mark.parametrize("pair", ALWAYS, ids=" ".join)
def test_what_a_role_lacks_is_named(hollow: Person, pair: tuple[str, str]) -> None:
    person = hollow
    verb, resource = pair
    person.may(without(NEEDED, verb, resource))
    has_claims = resource in ("statefulsets", "persistentvolumeclaims")
    person.cluster.trouble.creating = verb == "watch"  # or there might be nothing to wait for

    with pytest.raises(DockyardError) as raised:
        person.live(CLAIM if has_claims else {}, connects=resource == "pods/exec")

    said = re.findall(r"refused to (\w+) ([a-z/]+)", str(raised.value))
    hint = raised.value.hint or ""
    if resource == "pods/exec":  # servers from 1.35 on want both, and do not say which is missing
        assert said == [("create", resource)], raised.value
        assert "verbs get and create on pods/exec" in hint
    else:
        assert said == [(verb, resource)], raised.value
        assert f"verb {verb} on {resource}" in hint
    person.cluster.wait(lambda: not person.cluster.leftovers())


def test_what_cannot_be_taken_back_is_said(hollow: Person) -> None:
    person = hollow
    rules = without(NEEDED, "create", "deployments")
    person.may(without(rules, "delete", "configmaps"))

    with pytest.raises(DockyardError, match=r"refused to create deployments") as raised:
        person.live({})

    assert "what was made is still there: dockyard rm" in (raised.value.hint or "")
    person.cluster.wait(lambda: not person.cluster.leftovers())


def test_what_only_tells_why_may_be_missing(person: Person) -> None:
    person.may(NEEDED)
    person.cluster.crash("no luck today")
    try:
        with pytest.raises(DockyardError) as raised:
            person.live({})
    finally:
        person.cluster.crash("")
    poor = str(raised.value)
    person.may([*NEEDED, *WHY])
    person.cluster.crash("no luck today")
    try:
        with pytest.raises(DockyardError) as again:
            person.live({})
    finally:
        person.cluster.crash("")

    assert "ended 3 times" in poor
    assert "refused to list events" in poor
    assert "refused to get pods/log" in poor
    assert "no luck today" in str(again.value)
    assert "refused" not in str(again.value)


def test_the_roles_allow_nothing_that_is_not_asked_for(person: Person) -> None:
    person.may([*NEEDED, *WHY])
    since = len(person.cluster.requests)
    person.live(CLAIM)
    person.live({})
    person.cluster.crash("no luck today")
    with pytest.raises(DockyardError, match="no luck today"):
        person.live({})
    person.cluster.crash("")

    asked = {
        (each.attempt.verb, each.attempt.target)
        for each in person.cluster.requests[since:]
        if each.attempt and each.user == "somebody"
    }
    if ("get", "pods/exec") in asked:  # servers from 1.35 on look for both
        asked.add(("create", "pods/exec"))

    spare = set(pairs([*NEEDED, *WHY])) - asked
    # A configuration is changed only when it was there already, and usually goes with its workload.
    assert spare <= {("update", "configmaps"), ("delete", "configmaps")}
