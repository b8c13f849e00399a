from __future__ import annotations

import pytest

from dockyard.driver import Option, boolean, parse_options
from dockyard.driver.option import find_option
from dockyard.errors import OptionError

OPTIONS = (
    Option(name="image", help="the image"),
    Option(name="default-load", help="load", type="bool", parse=boolean),
    Option(name="env.", help="environment"),
)


def test_values_are_parsed_by_their_declaration() -> None:
    values = parse_options("shed", OPTIONS, {"default-load": "T", "env.A": "1", "image": "x"})

    assert values == {"default-load": True, "env.A": "1", "image": "x"}


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        OptionError, match="^invalid driver option imgae for shed driver$"
    ) as caught:
        parse_options("shed", OPTIONS, {"imgae": "x"})

    assert caught.value.hint == "did you mean image? options: default-load, env.<key>, image"


def test_a_driver_refuses_unknown_options_in_words_of_its_own() -> None:
    with pytest.raises(OptionError, match="^the shed has no {a}$"):
        parse_options("shed", OPTIONS, {"{a}": "x"}, refusal="the shed has no {}")


def test_a_driver_without_options_says_so() -> None:
    with pytest.raises(OptionError, match="invalid driver option a for shed driver") as caught:
        parse_options("shed", (), {"a": "x"})

    assert caught.value.hint == "driver shed has no options"


def test_a_family_member_needs_a_name() -> None:
    with pytest.raises(OptionError, match=r'^invalid env option "env\.", expecting env\.FOO=bar$'):
        parse_options("shed", OPTIONS, {"env.": "x"})


def test_a_wrong_value_is_refused_in_gos_words() -> None:
    with pytest.raises(
        OptionError, match='^strconv.ParseBool: parsing "maybe": invalid syntax$'
    ) as caught:
        parse_options("shed", OPTIONS, {"default-load": "maybe"})

    assert caught.value.hint == "driver option default-load takes a bool"


def test_a_changed_option_needs_a_new_node_and_keeps_the_cache_unless_declared() -> None:
    plain = Option(name="image", help="the image")
    declared = Option(name="disk", help="the disk", recreates=False, loses_cache=True)

    assert (plain.recreates, plain.loses_cache) == (True, False)
    assert (declared.recreates, declared.loses_cache) == (False, True)


@pytest.mark.parametrize(
    ("name", "found"),
    [("image", "image"), ("env.A", "env."), ("env.", "env."), ("images", None), ("env", None)],
)
def test_a_declaration_is_found_by_name_or_family(name: str, found: str | None) -> None:
    option = find_option(OPTIONS, name)

    assert (option.name if option else None) == found


def test_a_wrong_value_is_shown_on_one_line_that_ends() -> None:
    def refuse(value: str) -> None:
        raise ValueError(f"no good: {value}")

    options = (Option(name="a", help="a", parse=refuse),)

    with pytest.raises(OptionError) as caught:
        parse_options("shed", options, {"a": "x\ny\x1b[31m" + "z" * 5000})

    assert str(caught.value).startswith(r"no good: x\ny\x1b[31mzzz")
    assert len(str(caught.value)) < 600
