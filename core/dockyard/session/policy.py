"""The policy service: a daemon asks whether a build may use a source (wire.md 4.8).

The daemon asks again with more metadata as long as it is told what is wanted. Whoever decides does
so in a thread; an error while deciding ends the build and never allows anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, DockyardError, InputError
from dockyard.platforms import Platform
from dockyard.session.service import Worker
from dockyard.wire.codec import decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler
from dockyard.wire.loop import Loop
from dockyard.wire.messages import CHECK_POLICY_REQUEST, CHECK_POLICY_RESPONSE

_METHOD = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy"
_ALLOW, _DENY, _CONVERT = 0, 1, 2
_LONGEST = 16 << 10
"""Bytes of a source's name, and of each of its attributes."""
_MOST = 16 << 20
"""Bytes of one question."""
_EMPTY: Mapping[str, str] = MappingProxyType({})

Metadata: TypeAlias = "Mapping[str, Any] | None"
"""In the words of the wire; None where it was not asked for."""


class SourceCheck(NamedTuple):
    """A source that a daemon asks about."""

    identifier: str
    attributes: Mapping[str, str] = _EMPTY
    platform: Platform | None = None
    image: Metadata = None
    git: Metadata = None
    http: Metadata = None

    def __str__(self) -> str:
        return f"{self.identifier} ({self.platform})" if self.platform else self.identifier


class Decision(NamedTuple):
    """Whether a source may be used."""

    allow: bool
    messages: tuple[str, ...] = ()
    """Why it may not."""
    instead: str = ""
    """The source to use instead; it is asked about, too."""
    attributes: Mapping[str, str] = _EMPTY
    """Of that one."""


class Wanted(NamedTuple):
    """What has to be known before a source can be decided on, in the words of the wire."""

    image: Metadata = None
    git: Metadata = None
    http: Metadata = None


Decide = Callable[[SourceCheck, Cancellation], "Decision | Wanted"]


class PolicyVerifier:
    """Lets somebody decide on sources."""

    def __init__(self, decide: Decide) -> None:
        self.failed: BaseException | None = None
        self._decide = decide

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        return {_METHOD: Worker(loop).unary(self._check)}

    def _check(self, request: bytes, cancel: Cancellation) -> bytes:
        if len(request) > _MOST:
            raise CallError(Code.RESOURCE_EXHAUSTED, "the question about a source is too long")
        values = decode(CHECK_POLICY_REQUEST, request)
        check = _read(values)
        try:
            answer = self._decide(check, cancel)
        except CanceledError:
            raise
        except DockyardError as error:
            self.failed = self.failed or error
            raise
        return encode(CHECK_POLICY_RESPONSE, _written(answer, values))


def _read(values: Mapping[str, Any]) -> SourceCheck:
    """Read a question.

    Raises:
        CallError: It makes no sense.
    """
    found = values.get("Source", {})
    source = found.get("Source", {})
    identifier, attributes = source.get("identifier", ""), source.get("attrs", {})
    if not identifier:
        raise CallError(Code.INVALID_ARGUMENT, "the daemon asks about no source")
    texts = [identifier, *attributes, *attributes.values()]
    if any(len(text) > _LONGEST or "\0" in text for text in texts):
        raise CallError(Code.INVALID_ARGUMENT, "the name of a source is too long, or none")
    return SourceCheck(
        identifier=identifier,
        attributes=attributes,
        platform=_platform(values.get("Platform")),
        image=found.get("Image"),
        git=found.get("Git"),
        http=found.get("HTTP"),
    )


def _platform(values: Metadata) -> Platform | None:
    if values is None:
        return None
    parts = [values.get(key, "") for key in ("OS", "Architecture", "Variant")]
    try:
        return Platform.parse("/".join(parts).rstrip("/")) if all(parts[:2]) else None
    except InputError as error:
        raise CallError(Code.INVALID_ARGUMENT, f"failed to parse platform: {error}") from error


def _written(answer: Decision | Wanted, asked: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(answer, Wanted):
        # The source has to be the very one that was asked about.
        request: dict[str, Any] = {"Source": asked["Source"]["Source"]}
        if "Platform" in asked:
            request["Platform"] = asked["Platform"]
        wanted = {"Image": answer.image, "Git": answer.git, "HTTP": answer.http}
        request |= {key: value for key, value in wanted.items() if value is not None}
        return {"request": request}
    if not answer.allow:
        messages = [{"message": message} for message in answer.messages]
        return {"decision": {"action": _DENY, "denyMessages": messages}}
    if answer.instead:
        update = {"identifier": answer.instead, "attrs": dict(answer.attributes)}
        return {"decision": {"action": _CONVERT, "update": update}}
    return {"decision": {"action": _ALLOW}}
