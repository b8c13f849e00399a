"""What calls give, as values.

The frontend answers in JSON, which may come from any image that a Dockerfile names. So it is read
with care: what has the wrong form is an error that says so, and unknown parts are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import field, frozen

from dockyard.building.call.grammar import method
from dockyard.errors import ProtocolError
from dockyard.events import SourceInfo, SourceRange

_Kind = TypeVar("_Kind")
_Made = TypeVar("_Made")


@frozen(kw_only=True)
class CallResult:
    """The answer to a call."""

    answer: Mapping[str, str] = field(factory=dict, repr=False)
    """All that the frontend said: ``result.json``, ``result.txt``, ``version`` and others."""

    @property
    def status(self) -> int:
        """The exit code that the frontend proposes: 0, or 1 when it found problems."""
        text = self.answer.get("result.statuscode", "")
        return int(text) if text.isdecimal() and len(text) < 4 else 0


@frozen(kw_only=True)
class LintWarning:
    """Something in a Dockerfile that is not as it should be."""

    rule: str
    detail: str = ""
    """What it is in this case."""
    description: str = ""
    """What the rule is about."""
    url: str = ""
    source: SourceInfo | None = None
    ranges: tuple[SourceRange, ...] = ()

    @property
    def line(self) -> int:
        """The first line it is about; 0 when it is about none."""
        return self.ranges[0].start_line if self.ranges else 0


@frozen(kw_only=True)
class LintError:
    """Why a Dockerfile cannot be built at all."""

    message: str
    source: SourceInfo | None = None
    ranges: tuple[SourceRange, ...] = ()


@frozen(kw_only=True)
class LintResult(CallResult):
    """What a check of a Dockerfile found."""

    warnings: tuple[LintWarning, ...] = ()
    error: LintError | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.warnings and self.error is None


@frozen(kw_only=True)
class OutlineItem:
    """A build argument, a secret, or an ssh agent that a target uses."""

    name: str
    value: str = ""
    """An argument's value, if it has one."""
    description: str = ""
    required: bool = False
    """Whether a secret or an agent has to be given."""


@frozen(kw_only=True)
class Outline(CallResult):
    """What a target can be given."""

    name: str = ""
    description: str = ""
    args: tuple[OutlineItem, ...] = ()
    secrets: tuple[OutlineItem, ...] = ()
    ssh: tuple[OutlineItem, ...] = ()


@frozen(kw_only=True)
class Target:
    """A stage that can be built."""

    name: str = ""
    default: bool = False
    """Whether it is built when none is named."""
    description: str = ""
    base: str = ""
    platform: str = ""


@frozen(kw_only=True)
class Targets(CallResult):
    """The stages of a Dockerfile."""

    targets: tuple[Target, ...] = ()


@frozen(kw_only=True)
class Method:
    """A call that a frontend knows."""

    name: str
    version: str = ""
    description: str = ""


@frozen(kw_only=True)
class Methods(CallResult):
    """The calls that a frontend knows."""

    methods: tuple[Method, ...] = ()


def call_result(name: str, answer: Mapping[str, str]) -> CallResult:
    """Read the answer to a call.

    Raises:
        ProtocolError: It is not what such an answer has to be.
    """
    read = _READERS.get(method(name))
    if read is None:
        return CallResult(answer=answer)
    import json

    text = answer.get("result.json", "")
    try:
        return read(answer, json.loads(text))
    except (ValueError, RecursionError, IndexError) as error:
        raise ProtocolError(
            f"what the frontend answers to {name} makes no sense: {error or type(error).__name__}"
        ) from error


# --- the answers, one reader each --------------------------------------------------------------


def _lint(answer: Mapping[str, str], values: object) -> LintResult:
    sources = [_source(one) for one in _list(values, "sources")]

    def warning(one: object) -> LintWarning:
        source, ranges = _location(_get(one, "location", dict), sources)
        return LintWarning(
            rule=_get(one, "ruleName", str),
            description=_get(one, "description", str),
            url=_get(one, "url", str),
            detail=_get(one, "detail", str),
            source=source,
            ranges=ranges,
        )

    failure = _get(values, "buildError", dict)
    error = None
    if failure:
        source, ranges = _location(_get(failure, "location", dict) or {"ranges": []}, sources)
        error = LintError(message=_get(failure, "message", str), source=source, ranges=ranges)
    return LintResult(
        answer=answer, warnings=_each(_list(values, "warnings"), warning), error=error
    )


def _outline(answer: Mapping[str, str], values: object) -> Outline:
    def item(one: object) -> OutlineItem:
        return OutlineItem(
            name=_get(one, "name", str),
            value=_get(one, "value", str),
            description=_get(one, "description", str),
            required=_get(one, "required", bool),
        )

    return Outline(
        answer=answer,
        name=_get(values, "name", str),
        description=_get(values, "description", str),
        args=_each(_list(values, "args"), item),
        secrets=_each(_list(values, "secrets"), item),
        ssh=_each(_list(values, "ssh"), item),
    )


def _targets(answer: Mapping[str, str], values: object) -> Targets:
    def target(one: object) -> Target:
        return Target(
            name=_get(one, "name", str),
            default=_get(one, "default", bool),
            description=_get(one, "description", str),
            base=_get(one, "base", str),
            platform=_get(one, "platform", str),
        )

    return Targets(answer=answer, targets=_each(_list(values, "targets"), target))


def _methods(answer: Mapping[str, str], values: object) -> Methods:
    def known(one: object) -> Method:
        return Method(
            name=_get(one, "name", str).removeprefix("frontend."),
            version=_get(one, "version", str),
            description=_get(one, "description", str),
        )

    if not isinstance(values, list):
        raise ValueError("it is no list")  # noqa: TRY004  # the daemon's mistake, not ours
    return Methods(answer=answer, methods=_each(values, known))


_READERS: Mapping[str, Callable[[Mapping[str, str], object], CallResult]] = {
    "lint": _lint,
    "outline": _outline,
    "targets": _targets,
    "subrequests.describe": _methods,
}


# --- JSON that may be anything -----------------------------------------------------------------


def _get(values: object, key: str, kind: type[_Kind]) -> _Kind:
    """Give a value of the kind that belongs there; the kind's empty one when nothing is there."""
    if not isinstance(values, dict):
        raise ValueError(f"{key} is asked of what is no object")  # noqa: TRY004
    found = values.get(key)
    if found is None:
        return kind()
    if type(found) is not kind:
        raise ValueError(f"{key} is no {kind.__name__}")
    return found


def _list(values: object, key: str) -> list[Any]:
    return _get(values, key, list)


def _each(values: list[Any], make: Callable[[object], _Made]) -> tuple[_Made, ...]:
    return tuple(make(one) for one in values)


def _source(values: object) -> SourceInfo:
    from binascii import a2b_base64

    return SourceInfo(
        filename=_get(values, "filename", str),
        data=a2b_base64(_get(values, "data", str), strict_mode=True),
        language=_get(values, "language", str),
    )


def _location(
    values: Mapping[str, Any], sources: list[SourceInfo]
) -> tuple[SourceInfo | None, tuple[SourceRange, ...]]:
    if not values:
        return None, ()
    index = _get(values, "sourceIndex", int)
    if index < 0:
        return None, ()
    if index >= len(sources):
        raise ValueError("sourceIndex is out of range")
    return sources[index], _each(_list(values, "ranges"), _range)


def _range(values: object) -> SourceRange:
    start, end = _get(values, "start", dict), _get(values, "end", dict)
    return SourceRange(
        start_line=_get(start, "line", int),
        start_character=_get(start, "character", int),
        end_line=_get(end, "line", int),
        end_character=_get(end, "character", int),
    )
