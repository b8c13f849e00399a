"""Tests of :mod:`dockyard.value`."""

from __future__ import annotations

import copy
import pickle

import pytest
from attrs import field, frozen
from attrs.exceptions import FrozenInstanceError

from dockyard.value import Value


@frozen(kw_only=True, eq=False, repr=False)
class Door(Value):
    name: str
    locked: bool = False
    code: str = field(default="", repr=False)
    place: str = field(default="", repr=lambda place: f"<{len(place)}>")
    seen: int = field(default=0, eq=False)


@frozen(kw_only=True, eq=False, repr=False)
class Gate(Value):
    name: str
    locked: bool = False
    code: str = ""
    place: str = ""
    seen: int = 0


def test_values_that_hold_the_same_are_equal_and_have_one_hash() -> None:
    one, other = Door(name="front", code="1"), Door(name="front", code="1")

    assert one == other
    assert hash(one) == hash(other)
    assert {one: "key"}[other] == "key"
    assert copy.copy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    "other",
    [
        Door(name="back", code="1"),
        Door(name="front", code="1", locked=True),
        Door(name="front", code="2"),
    ],
)
def test_values_that_hold_something_else_differ(other: Door) -> None:
    assert Door(name="front", code="1") != other


def test_a_field_can_be_left_out_of_the_comparison() -> None:
    assert Door(name="front", seen=1) == Door(name="front", seen=2)
    assert hash(Door(name="front", seen=1)) == hash(Door(name="front", seen=2))


def test_values_of_different_classes_are_never_equal() -> None:
    assert Door(name="front") != Gate(name="front")
    assert Door(name="front") != "front"


def test_a_value_is_shown_with_what_it_holds_but_no_secret() -> None:
    door = Door(name="front", code="1234", place="hall")

    assert repr(door) == "Door(name='front', locked=False, place=<4>, seen=0)"


def test_a_value_does_not_change() -> None:
    door = Door(name="front")

    with pytest.raises(FrozenInstanceError):
        door.name = "back"  # type: ignore[misc]
    assert not hasattr(door, "__dict__")
