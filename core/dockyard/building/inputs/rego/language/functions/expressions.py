# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Regular expressions, and the simpler patterns of ``glob``."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.matching import Pattern
from dockyard.building.inputs.rego.language.functions.operand import (
    bounded,
    integer,
    short,
    text,
    texts,
)
from dockyard.building.inputs.rego.language.value import Value


def is_valid(pattern: Value) -> Value:
    try:
        Pattern(text(pattern))
    except WrongOperandError:
        return False
    return True


def match(pattern: Value, value: Value) -> Value:
    return Pattern(text(pattern)).matches(text(value))


def find_n(pattern: Value, value: Value, most: Value) -> Value:
    whole = text(value)
    found = Pattern(text(pattern)).find_all(whole, integer(most))
    return tuple(whole[spans[0] : spans[1]] for spans in found)


def find_all_submatches(pattern: Value, value: Value, most: Value) -> Value:
    whole = text(value)
    found = Pattern(text(pattern)).find_all(whole, integer(most))
    return tuple(tuple(_groups(whole, spans)) for spans in found)


def _groups(whole: str, spans: Sequence[int]) -> list[str]:
    return [
        whole[spans[at] : spans[at + 1]] if spans[at] >= 0 else "" for at in range(0, len(spans), 2)
    ]


def split(pattern: Value, value: Value) -> Value:
    whole = text(value)
    if text(pattern) and not whole:
        return ("",)
    found: list[Value] = []
    begin = end = 0
    for spans in Pattern(text(pattern)).find_all(whole):
        end = spans[0]
        if spans[1]:
            found.append(whole[begin:end])
        begin = spans[1]
    if end != len(whole):
        found.append(whole[begin:])
    return tuple(found)


def replace(value: Value, pattern: Value, template: Value) -> Value:
    whole, expression, made, at = text(value), Pattern(text(pattern)), [], 0
    size = 0
    for spans in expression.find_all(whole):
        groups = _groups(whole, spans)
        made += [whole[at : spans[0]], _filled(text(template), groups, expression)]
        size += len(made[-1])
        bounded(size)
        at = spans[1]
    return short("".join([*made, whole[at:]]))


def _filled(template: str, groups: list[str], expression: Pattern) -> str:
    """Put groups where ``$1`` or ``${name}`` stands; ``$$`` is a dollar."""
    import re

    def group(found: re.Match[str]) -> str:
        name = found["braced"] or found["plain"]
        if name is None:
            return "$" if found[0] == "$$" else found[0]
        number = int(name) if name.isdigit() else expression.names.get(name, -1)
        return groups[number] if 0 <= number < len(groups) else ""

    return re.sub(r"\$(?:\$|\{(?P<braced>\w+)\}|(?P<plain>\w+))", group, template, flags=re.ASCII)


# --- globs ----------------------------------------------------------------------------------


def glob_match(pattern: Value, delimiters: Value, value: Value) -> Value:
    """Say whether a text follows a pattern in which ``*`` does not go past a delimiter."""
    parts = [] if delimiters is None else texts(delimiters) or ["."]
    if any(len(part) != 1 for part in parts):
        raise WrongOperandError
    return Pattern(_as_expression(text(pattern), parts)).matches(text(value))


def _as_expression(pattern: str, delimiters: list[str]) -> str:
    import re

    inner = "".join(re.escape(part) for part in delimiters)
    one = f"[^{inner}]" if inner else "(?s:.)"
    made: list[str] = []
    at, depth = 0, 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            made.append("(?s:.*)")
            at += 1
        elif char == "*":
            made.append(f"{one}*")
        elif char == "?":
            made.append(one)
        elif char == "[":
            made.append(_glob_class(pattern, at))
            at = pattern.index("]", at) + 1
        elif char == "{":
            depth += 1
            made.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            made.append(")")
        elif char == "," and depth:
            made.append("|")
        elif char == "\\" and at < len(pattern):
            made.append(_quoted(pattern[at]))
            at += 1
        else:
            made.append(_quoted(char))
    if depth:
        raise WrongOperandError
    return rf"\A(?:{''.join(made)})\z"


def _quoted(char: str) -> str:
    return char if char.isalnum() or not char.isascii() else rf"\x{{{ord(char):x}}}"


def _glob_class(pattern: str, at: int) -> str:
    end = pattern.find("]", at)
    inner = pattern[at:end] if end > at else ""
    outside = inner.startswith(("!", "^"))
    inner = inner[1:] if outside else inner
    if not inner or "[" in inner or "\\" in inner:
        raise WrongOperandError
    quoted = "".join(char if char == "-" else _quoted(char) for char in inner)
    return f"[{'^' if outside else ''}{quoted}]"


def glob_quote_meta(value: Value) -> Value:
    return "".join(f"\\{char}" if char in r"*?\[]{}" else char for char in text(value))
