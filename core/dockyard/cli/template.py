"""The part of Go's template language that ``--format`` of docker's lists is used with.

Fields (``{{.Name}}``, ``{{.Builder.Name}}``), literals, function calls, pipelines and brackets;
no conditions, loops or variables. Whatever else stands there is an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from dockyard.errors import InputError

Value = object
_WHOLE = "."
"""Under this name the values may say what they are as a whole, for ``{{.}}``."""
_Evaluate = Callable[[Value], Value]

_ACTION = re.compile(r"(\s*)\{\{(-?)((?:\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\"`])*?)(-?)\}\}(\s*)")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<number>-?\d+)
      | (?P<field>\.(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>[|()])
    )""",
    re.VERBOSE,
)
_UNSUPPORTED = frozenset(
    "if else end range with define template block break continue and or not".split()  # noqa: SIM905
)


class Template:
    """A parsed template."""

    def __init__(self, text: str) -> None:
        r"""Parse it; ``\t`` and ``\n`` in it stand for the characters.

        Raises:
            InputError: It is malformed, or uses what is not supported.
        """
        self._parts = tuple(_parts(text.replace(r"\t", "\t").replace(r"\n", "\n")))

    def render(self, values: Mapping[str, Value]) -> str:
        """Fill the template in.

        Raises:
            InputError: It asks for a field that does not exist, or a function gets a wrong
                argument.
        """
        return "".join(
            part if isinstance(part, str) else _show(part(values)) for part in self._parts
        )


def to_json(value: Value) -> str:
    """Write a value as JSON in the compact form that Go writes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_JSON_ESCAPES)


_JSON_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "&<>\u2028\u2029"}


def _parts(text: str) -> list[str | _Evaluate]:
    parts: list[str | _Evaluate] = []
    position = 0
    for action in _ACTION.finditer(text):
        before, trims_left, body, trims_right, after = action.groups()
        parts.append(_plain(text[position : action.start()] + ("" if trims_left else before)))
        if not body.strip().startswith("/*"):
            parts.append(_Parser(body).parse())
        position = action.end() if trims_right else action.end() - len(after)
    parts.append(_plain(text[position:]))
    return [part for part in parts if part != ""]


def _plain(text: str) -> str:
    if "{{" in text:
        raise _wrong("unclosed action")
    return text


class _Parser:
    """Parses what stands between the braces."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.tokens: list[tuple[str, str]] = []

    def parse(self) -> _Evaluate:
        self.tokens = self._tokens()
        if not self.tokens:
            raise _wrong("missing value for command")
        found = self._pipeline()
        if self.tokens:
            raise _wrong(f'unexpected "{self.tokens[0][1]}"')
        return found

    def _tokens(self) -> list[tuple[str, str]]:
        tokens = []
        position, end = 0, len(self.body.rstrip())
        while position < end:
            match = _TOKEN.match(self.body, position)
            if match is None:
                rest = self.body[position:].strip()
                raise _wrong(f'"{rest}" is not supported in a format')
            tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
            position = match.end()
        return tokens

    def _pipeline(self) -> _Evaluate:
        found = self._command(None)
        while self._takes("|"):
            found = self._command(found)
        return found

    def _command(self, piped: _Evaluate | None) -> _Evaluate:
        """Parse one value or call; what was piped in is the call's last argument."""
        kind, word = self.tokens[0] if self.tokens else ("", "")
        if kind != "name":
            found = self._operand()
            if piped is not None or self._starts_operand():
                raise _wrong(f"can't give argument to non-function {word}")
            return found
        self.tokens.pop(0)
        if word in {"true", "false"}:
            return _constant(word == "true")
        if word in _UNSUPPORTED:
            raise _wrong(f'"{word}" is not supported in a format')
        function = _FUNCTIONS.get(word)
        if function is None:
            raise _wrong(f'function "{word}" not defined')
        operands: list[_Evaluate] = []
        while self._starts_operand():
            operands.append(self._operand())
        if piped is not None:
            operands.append(piped)
        return _call(word, function, operands)

    def _starts_operand(self) -> bool:
        if not self.tokens:
            return False
        kind, word = self.tokens[0]
        return kind in {"text", "number", "field", "name"} or word == "("

    def _operand(self) -> _Evaluate:
        if not self.tokens:
            raise _wrong("missing value for command")
        kind, word = self.tokens.pop(0)
        if kind == "field":
            return _field(word)
        if kind == "number":
            return _constant(int(word))
        if kind == "text":
            return _constant(_unquote(word))
        if word == "(":
            found = self._pipeline()
            if not self._takes(")"):
                raise _wrong("unclosed left paren")
            return found
        if kind == "name":
            self.tokens.insert(0, (kind, word))
            name = self.tokens[0][1]
            if name in {"true", "false"}:
                return self._command(None)
            raise _wrong(f"{name} needs brackets around it and its arguments")
        raise _wrong(f'unexpected "{word}"')

    def _takes(self, mark: str) -> bool:
        if self.tokens and self.tokens[0] == ("mark", mark):
            self.tokens.pop(0)
            return True
        return False


def _constant(value: Value) -> _Evaluate:
    return lambda _: value


def _field(path: str) -> _Evaluate:
    names = [name for name in path.split(".") if name]

    def evaluate(values: Value) -> Value:
        found = values
        if not names and isinstance(values, Mapping):
            return values.get(_WHOLE, values)
        for name in names:
            if not isinstance(found, Mapping) or name not in found:
                raise InputError(
                    f'template parsing error: template: executing "" at <{path}>: '
                    f"can't evaluate field {name}",
                    hint=f"fields: {', '.join(f'.{key}' for key in found if key != _WHOLE)}"
                    if isinstance(found, Mapping)
                    else None,
                )
            found = found[name]
        return found

    return evaluate


def _call(name: str, function: Callable[..., Value], operands: Sequence[_Evaluate]) -> _Evaluate:
    def evaluate(values: Value) -> Value:
        try:
            return function(*(operand(values) for operand in operands))
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f'template parsing error: template: executing "" at <{name}>: '
                f"error calling {name}: wrong number or type of arguments"
            ) from error

    return evaluate


def _unquote(word: str) -> str:
    if word.startswith("`"):
        return word[1:-1]
    try:
        return str(json.loads(word))
    except ValueError as error:
        raise _wrong(f"invalid text {word}") from error


def _show(value: Value) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_show(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(_show(item) for item in value)}]"
    return str(value)


def _pad(text: str, before: int, after: int) -> str:
    return f"{' ' * before}{text}{' ' * after}" if text else ""


def _truncate(text: str, length: int) -> str:
    return text[: int(length)]


def _title(text: str) -> str:
    return re.sub(r"\b\w", lambda match: match[0].upper(), text)


def _wrong(reason: str) -> InputError:
    return InputError(f"template parsing error: template: {reason}")


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "json": to_json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": lambda texts, separator: separator.join(texts),
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
    "println": lambda *values: " ".join(_show(value) for value in values) + "\n",
    "print": lambda *values: "".join(_show(value) for value in values),
    "len": len,
}
