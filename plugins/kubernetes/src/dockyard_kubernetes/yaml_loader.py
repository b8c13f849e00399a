"""How YAML is read: as Kubernetes' own tools do, and with no surprises.

Python's loader would take ``12:30`` for a number and ``2026-01-01`` for a date, and of two equal
keys the last one.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

_FORMS = (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    (
        "int",
        re.compile(r"[-+]?(?:0|[1-9][0-9]*|0o?[0-7]+|0x[0-9a-fA-F]+)$"),
        list("-+0123456789"),
    ),
    (
        "float",
        re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?$"),
        list("-+.0123456789"),
    ),
)
"""What stands for something else than text: its tag, its form, and how it may begin."""

_TAG = "tag:yaml.org,2002:"
_LONGEST = 40
"""Digits of a number."""


def loader() -> type[yaml.SafeLoader]:
    """Make the class that reads a document: it knows what JSON has, and refuses the rest."""

    class Loader(_Loader):
        pass

    Loader.yaml_implicit_resolvers = {}
    Loader.yaml_constructors = {}
    for tag, form, first in _FORMS:
        Loader.add_implicit_resolver(_TAG + tag, form, first)
    for tag in ("str", "bool", "null", "float", "seq"):
        Loader.add_constructor(_TAG + tag, getattr(yaml.SafeLoader, f"construct_yaml_{tag}"))
    Loader.add_constructor(_TAG + "int", Loader.integer)
    Loader.add_constructor(_TAG + "map", Loader.mapping)
    Loader.add_constructor(None, Loader.unknown)
    return Loader


class _Loader(yaml.SafeLoader):
    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _problem("a key has to be text; put it in quotes", key_node)
            if key == "<<" and key_node.style is None:
                raise _problem("merge keys (<<) are not supported", key_node)
            if key in found:
                raise _problem(f'the key "{key}" is there twice', key_node)
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def integer(self, node: yaml.ScalarNode) -> int:
        text: str = node.value
        if len(text) > _LONGEST:
            raise _problem("the number is too long", node)
        digits = text.lstrip("+-")
        base = 16 if digits.startswith("0x") else 8 if digits[:1] == "0" and digits != "0" else 10
        number = int(digits.removeprefix("0x").removeprefix("0o"), base)
        return -number if text.startswith("-") else number

    def unknown(self, node: yaml.Node) -> NoReturn:
        raise _problem(f"the tag {node.tag.removeprefix(_TAG)} is not supported", node)


def _problem(words: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=words, problem_mark=node.start_mark)
