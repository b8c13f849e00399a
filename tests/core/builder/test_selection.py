"""Tests for choosing a builder."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.selection import check_context, choose
from dockyard.builder.store import Store
from dockyard.config import Environment
from dockyard.engine.context import DockerContexts
from dockyard.errors import BuilderError, BuilderNotFoundError


def make_context(config: Path, name: str) -> None:
    folder = config / "contexts" / "meta" / sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///x.sock"}}}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_context(tmp_path, "ctx2")
    return tmp_path


def surroundings(home: Path, **variables: str) -> tuple[Store, DockerContexts]:
    environment = Environment.from_process(
        variables={"HOME": str(home), "DOCKER_CONFIG": str(home), **variables}
    )
    return Store.of(environment), DockerContexts(environment)


def save(store: Store, name: str) -> None:
    with store.locked() as records:
        entry = NodeEntry(name=f"{name.lower()}0", endpoint="e")
        records.save(NodeGroup(name=name, driver="stand", nodes=(entry,)))


def test_a_name_is_a_stored_builder_first(home: Path) -> None:
    store, contexts = surroundings(home)
    save(store, "Ctx2")

    found = choose(store, contexts, "ctx2")

    assert (found.name, found.is_context) == ("Ctx2", False)


def test_a_name_is_a_docker_context_otherwise(home: Path) -> None:
    store, contexts = surroundings(home)

    found = choose(store, contexts, "ctx2")

    assert (found.name, found.is_context) == ("ctx2", True)


@pytest.mark.parametrize("name", ["nope", "1abc", "a/b", "../x"])
def test_an_unknown_name_is_refused(home: Path, name: str) -> None:
    store, contexts = surroundings(home)

    with pytest.raises(BuilderNotFoundError, match=f'^no builder "{name}" found$'):
        choose(store, contexts, name)


def test_no_name_is_the_selected_builder(home: Path) -> None:
    store, contexts = surroundings(home)
    save(store, "rem")
    with store.locked() as records:
        records.select(contexts.endpoint_key(), "rem")

    assert choose(store, contexts, "").name == "rem"


def test_no_name_and_no_selection_is_the_current_contexts_builder(home: Path) -> None:
    store, contexts = surroundings(home, DOCKER_CONTEXT="ctx2")

    found = choose(store, contexts, "")

    assert (found.name, found.is_context) == ("ctx2", True)
    assert json.loads((store.path / "current").read_text())["Key"] == "ctx2"


def test_a_selection_is_kept_for_the_engine_it_was_made_on(home: Path) -> None:
    store, contexts = surroundings(home)
    save(store, "rem")
    with store.locked() as records:
        records.select(contexts.endpoint_key(), "rem", default=True)

    assert choose(*surroundings(home, DOCKER_HOST="tcp://elsewhere:1"), "").name == "default"
    assert choose(*surroundings(home), "").name == "rem"


def test_a_current_context_that_does_not_exist_is_refused_when_needed(home: Path) -> None:
    store, contexts = surroundings(home, DOCKER_CONTEXT="nope")

    with pytest.raises(BuilderNotFoundError, match='^no builder "nope" found$'):
        choose(store, contexts, "")


def test_another_contexts_builder_is_refused_for_builds(home: Path) -> None:
    store, contexts = surroundings(home)
    group = choose(store, contexts, "ctx2")

    with pytest.raises(BuilderError) as caught:
        check_context(group, contexts)

    assert str(caught.value) == 'use `docker --context=ctx2 buildx` to switch to context "ctx2"'


def test_the_current_contexts_and_stored_builders_are_not_refused(home: Path) -> None:
    store, contexts = surroundings(home, DOCKER_CONTEXT="ctx2")
    save(store, "rem")

    check_context(choose(store, contexts, "ctx2"), contexts)
    check_context(choose(store, contexts, "rem"), contexts)
