"""Tests for the builder records on disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.store import BuildRecord, Store
from dockyard.errors import InvalidNameError, StoreError

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "buildx")


def group(name: str, endpoint: str = "stand://x") -> NodeGroup:
    entry = NodeEntry(name=f"{name.lower()}0", endpoint=endpoint)
    return NodeGroup(name=name, driver="stand", nodes=(entry,))


def save(store: Store, *names: str) -> None:
    with store.locked() as records:
        for name in names:
            records.save(group(name))


def write(store: Store, file: str, content: str) -> None:
    path = store.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def selected(store: Store, key: str) -> str | None:
    with store.locked() as records:
        found = records.selected(key)
    return found.name if found else None


def current(store: Store) -> str:
    return (store.path / "current").read_text()


# --- builders --------------------------------------------------------------------------------


def test_a_builder_is_found_in_any_letter_case_and_shown_as_it_was_typed(store: Store) -> None:
    save(store, "A_B.c-D")

    with store.locked() as records:
        found = records.group("a_B.C-d")

    assert found == group("A_B.c-D")
    assert (store.path / "instances" / "a_b.c-d").is_file()
    assert (store.path / "activity" / "A_B.c-D").is_file()


def test_an_unknown_or_impossible_name_is_no_builder(store: Store) -> None:
    with store.locked() as records:
        assert records.group("nope") is None
        assert records.group("../current") is None


def test_a_builder_with_an_impossible_name_is_not_written(store: Store) -> None:
    with store.locked() as records, pytest.raises(InvalidNameError):
        records.save(group("../x"))


def test_builders_are_listed_by_name_in_byte_order(store: Store) -> None:
    save(store, "b", "a", "B")
    save(store, "Z")

    with store.locked() as records:
        listing = records.groups()

    assert [found.name for found in listing.groups] == ["B", "Z", "a"]
    assert listing.problems == ()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("bad", "{", "builder 'bad' has a damaged record: Expecting property name"),
        ("empty", "", "builder 'empty' has a damaged record: Expecting value"),
        ("wrong", '{"Nodes":7}', "'wrong' has a damaged record: Nodes of the record is not a list"),
        (".tmp-x123", "{}", "tmp-x123 is not a builder's record"),
        ("1abc", "{}", "1abc is not a builder's record"),
        ("Upper", "{}", "Upper is not a builder's record"),
    ],
)
def test_a_damaged_record_is_a_problem_and_hides_no_other(
    store: Store, file: str, content: str, message: str
) -> None:
    save(store, "good")
    write(store, f"instances/{file}", content)

    with store.locked() as records:
        listing = records.groups()

    assert [found.name for found in listing.groups] == ["good"]
    assert len(listing.problems) == 1
    assert message in str(listing.problems[0])
    assert str(store.path / "instances" / file) in str(listing.problems[0].hint)


def test_a_directory_among_the_records_is_a_problem_and_hides_no_other(store: Store) -> None:
    save(store, "good")
    (store.path / "instances" / "folder").mkdir()

    with store.locked() as records:
        listing = records.groups()

    assert [found.name for found in listing.groups] == ["good"]
    assert "folder is not a regular file" in str(listing.problems[0])


def test_asking_for_a_damaged_builder_says_so(store: Store) -> None:
    write(store, "instances/bad", "{")

    with store.locked() as records, pytest.raises(StoreError, match="'bad' has a damaged record"):
        records.group("bad")


def test_a_damaged_builder_can_be_removed(store: Store) -> None:
    write(store, "instances/bad", "{")

    with store.locked() as records:
        records.remove("bad")

    assert not (store.path / "instances" / "bad").exists()


def test_removing_an_unknown_builder_says_which_file_is_missing(store: Store) -> None:
    path = store.path / "instances" / "nope"

    with store.locked() as records, pytest.raises(StoreError) as caught:
        records.remove("Nope")

    assert str(caught.value) == (
        f'failed to find instance "Nope": open {path}: no such file or directory'
    )


def test_removing_a_builder_takes_its_activity_in_either_spelling(store: Store) -> None:
    save(store, "A_B")
    write(store, "activity/a_b", "2026-11-21T06:15:30Z")

    with store.locked() as records:
        records.remove("A_B")

    assert list((store.path / "activity").iterdir()) == []


# --- which builder is used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "file"),
    [
        (SOCKET, "13c4025c96f36e94b348"),
        ("ctx2", "511c96ceb7174affc0b1"),
        ("default", "37a8eec1ce19687d132f"),
    ],
)
def test_a_default_lies_in_a_file_named_by_its_keys_hash(store: Store, key: str, file: str) -> None:
    with store.locked() as records:
        records.select(key, "rem", default=True)

    assert (store.path / "defaults" / file).read_text() == "rem"


def test_a_selection_is_written_as_buildx_writes_it(store: Store) -> None:
    with store.locked() as records:
        records.select(SOCKET, "rem")

    assert current(store) == f'{{"Key":"{SOCKET}","Name":"rem","Global":false}}'


def test_without_any_selection_none_is_written_and_given(store: Store) -> None:
    assert selected(store, SOCKET) is None
    assert current(store) == f'{{"Key":"{SOCKET}","Name":"","Global":false}}'


def test_asking_again_writes_nothing(store: Store) -> None:
    selected(store, SOCKET)
    before = (store.path / "current").stat().st_ino

    selected(store, SOCKET)

    assert (store.path / "current").stat().st_ino == before


def test_a_plain_selection_is_lost_by_asking_under_another_key(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("one", "rem")

    assert selected(store, "one") == "rem"
    assert selected(store, "two") is None
    assert selected(store, "one") is None


def test_a_default_survives_asking_under_another_key(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("one", "rem", default=True)

    assert selected(store, "two") is None
    assert selected(store, "one") == "rem"
    assert current(store) == '{"Key":"one","Name":"rem","Global":false}'


def test_a_global_selection_counts_under_every_key(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("one", "rem", everywhere=True)

    assert selected(store, "two") == "rem"
    assert selected(store, "one") == "rem"
    assert current(store) == '{"Key":"one","Name":"rem","Global":true}'


def test_a_global_selection_of_a_missing_builder_falls_back_to_the_default(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("two", "rem", default=True)
        records.select("one", "gone", everywhere=True)

    assert selected(store, "two") == "rem"


def test_a_missing_builder_selected_under_this_key_means_none(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("one", "gone")

    assert selected(store, "one") is None
    assert current(store) == '{"Key":"one","Name":"gone","Global":false}'


def test_a_default_that_names_a_missing_builder_means_none(store: Store) -> None:
    with store.locked() as records:
        records.select("one", "gone", default=True)
        records.select("two", "")

    assert selected(store, "one") is None
    assert current(store) == '{"Key":"one","Name":"gone","Global":false}'


def test_selecting_without_default_removes_the_default(store: Store) -> None:
    save(store, "rem")
    with store.locked() as records:
        records.select("one", "rem", default=True)
        records.select("one", "")

    assert selected(store, "one") is None
    assert list((store.path / "defaults").iterdir()) == []


def test_a_selection_in_other_letter_case_of_keys_is_read(store: Store) -> None:
    save(store, "rem")
    write(store, "current", '{"key":"one","NAME":"REM","extra":1}')

    assert selected(store, "one") == "rem"


def test_a_damaged_selection_says_how_to_choose_anew(store: Store) -> None:
    write(store, "current", "{")

    with store.locked() as records, pytest.raises(StoreError, match="current is damaged") as caught:
        records.selected("one")

    assert caught.value.hint == "choose a builder anew: dockyard use NAME"
    with store.locked() as records:
        records.select("one", "")
    assert selected(store, "one") is None


def test_a_damaged_selected_builder_is_never_silently_another(store: Store) -> None:
    write(store, "instances/rem", "{")
    with store.locked() as records:
        records.select("one", "rem")

    with store.locked() as records, pytest.raises(StoreError, match="'rem' has a damaged record"):
        records.selected("one")


# --- use, identity, builds -------------------------------------------------------------------


def test_activity_is_the_time_in_utc_without_line_end(store: Store) -> None:
    with store.locked() as records:
        records.touch("Rem")
        when = records.last_activity("Rem")

    text = (store.path / "activity" / "Rem").read_text()
    assert len(text) == 20
    assert text.endswith("Z")
    assert when is not None
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)


@pytest.mark.parametrize("content", ["", "yesterday", "2026-13-45T00:00:00Z"])
def test_activity_that_makes_no_sense_is_unknown(store: Store, content: str) -> None:
    write(store, "activity/x", content)

    with store.locked() as records:
        assert records.last_activity("x") is None
        assert records.last_activity("missing") is None


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".lock", "a\0b"])
def test_no_name_leads_out_of_its_directory(store: Store, name: str) -> None:
    with store.locked() as records, pytest.raises(StoreError, match="cannot be a file's name"):
        records.touch(name)


def test_the_node_id_is_made_once(store: Store) -> None:
    with store.locked() as records:
        first = records.node_id()
    with store.locked() as records:
        second = records.node_id()

    assert first == second == (store.path / ".buildNodeID").read_text()
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_a_builds_record_is_kept_and_goes_with_its_builder(store: Store) -> None:
    save(store, "Rem", "other")
    with store.locked() as records:
        for builder in ("Rem", "other"):
            made = BuildRecord(build_context="/src", dockerfile="/src/Dockerfile")
            records.save_build(builder, "n0", f"id-{builder}", made)
    file = store.path / "refs" / "Rem" / "n0" / "id-Rem"
    assert json.loads(file.read_text()) == {
        "Target": "default",
        "LocalPath": "/src",
        "DockerfilePath": "/src/Dockerfile",
    }
    assert (store.path / "refs" / "version").read_text() == "2"
    write(store, "refs/__group__/mine", '{"Targets":["a"],"Refs":["id-Rem"]}')
    write(store, "refs/__group__/both", '{"Targets":["a","b"],"Refs":["id-Rem","id-other"]}')
    write(store, "refs/__group__/odd", "{")

    with store.locked() as records:
        records.remove("Rem")

    left = sorted(str(p.relative_to(store.path / "refs")) for p in file.parents[2].rglob("*"))
    assert left == [
        "__group__",
        "__group__/both",
        "__group__/odd",
        "other",
        "other/n0",
        "other/n0/id-other",
        "version",
    ]
