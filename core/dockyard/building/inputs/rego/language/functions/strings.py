# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Texts."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import (
    an_object,
    bounded,
    integer,
    short,
    text,
    texts,
)
from dockyard.building.inputs.rego.language.value import Value

_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What counts as blank in Unicode."""


def concat(delimiter: Value, parts: Value) -> Value:
    found = texts(parts)
    bounded(sum(map(len, found)) + len(text(delimiter)) * len(found))
    return text(delimiter).join(found)


def contains(haystack: Value, needle: Value) -> Value:
    return text(needle) in text(haystack)


def startswith(value: Value, start: Value) -> Value:
    return text(value).startswith(text(start))


def endswith(value: Value, end: Value) -> Value:
    return text(value).endswith(text(end))


def any_prefix_match(values: Value, starts: Value) -> Value:
    beginnings = tuple(_one_or_more(starts))
    return any(each.startswith(beginnings) for each in _one_or_more(values))


def any_suffix_match(values: Value, ends: Value) -> Value:
    endings = tuple(_one_or_more(ends))
    return any(each.endswith(endings) for each in _one_or_more(values))


def _one_or_more(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else texts(value)


def strings_count(value: Value, part: Value) -> Value:
    return text(value).count(text(part)) if text(part) else len(text(value)) + 1


def indexof(value: Value, part: Value) -> Value:
    if not text(part):
        raise WrongOperandError
    return text(value).find(text(part))


def indexof_n(value: Value, part: Value) -> Value:
    whole, wanted = text(value), text(part)
    if not wanted:
        raise WrongOperandError
    return tuple(at for at in range(len(whole)) if whole.startswith(wanted, at))


def substring(value: Value, start: Value, length: Value) -> Value:
    whole, first, size = text(value), integer(start), integer(length)
    if first < 0:
        raise WrongOperandError
    return whole[first:] if size < 0 else whole[first : first + size]


def lower(value: Value) -> Value:
    return "".join(_alone(each, each.lower()) for each in text(value))


def upper(value: Value) -> Value:
    return "".join(_alone(each, each.upper()) for each in text(value))


def _alone(before: str, after: str) -> str:
    """Give a letter's other form if that is a letter, too, and not several."""
    return after if len(after) == 1 else before


def split(value: Value, delimiter: Value) -> Value:
    if not text(delimiter):
        return tuple(text(value))
    return tuple(text(value).split(text(delimiter)))


def replace(value: Value, old: Value, new: Value) -> Value:
    whole = text(value)
    bounded(len(whole) + (whole.count(text(old)) + 1) * len(text(new)))
    return whole.replace(text(old), text(new))


def replace_n(pairs: Value, value: Value) -> Value:
    """Replace several texts at once, at each place the first of them that is there."""
    olds = [(text(old), text(new)) for old, new in an_object(pairs).items()]
    whole, made, at = text(value), [], 0
    while at <= len(whole):
        found = next(((old, new) for old, new in olds if whole.startswith(old, at)), None)
        if found is not None:
            made.append(found[1])
        if found is None or not found[0]:
            made.append(whole[at : at + 1])
            at += 1
        else:
            at += len(found[0])
        if at % 1024 == 0:
            bounded(sum(map(len, made)))
    return short("".join(made))


def trim(value: Value, characters: Value) -> Value:
    return text(value).strip(text(characters)) if text(characters) else text(value)


def trim_left(value: Value, characters: Value) -> Value:
    return text(value).lstrip(text(characters)) if text(characters) else text(value)


def trim_right(value: Value, characters: Value) -> Value:
    return text(value).rstrip(text(characters)) if text(characters) else text(value)


def trim_prefix(value: Value, start: Value) -> Value:
    return text(value).removeprefix(text(start))


def trim_suffix(value: Value, end: Value) -> Value:
    return text(value).removesuffix(text(end))


def trim_space(value: Value) -> Value:
    return text(value).strip(_SPACE)


def reverse(value: Value) -> Value:
    return text(value)[::-1]
