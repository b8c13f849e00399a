"""The conversation that forwards a request to a frontend of the daemon, and sees its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from dockyard.buildkit.answer import SOLVE_REQUEST, SOLVE_RESPONSE, Values
from dockyard.buildkit.gateway import Ask, Talk, Until
from dockyard.errors import DaemonError
from dockyard.wire.errors import CallError
from dockyard.wire.messages import (
    EVALUATE_REQUEST,
    EVALUATE_RESPONSE,
    PING_REQUEST,
    PONG_RESPONSE,
    STAT_FILE_REQUEST,
    STAT_FILE_RESPONSE,
)

_CAPS = "frontend.caps"
_SUBREQUESTS = "moby.buildkit.frontend.subrequests+forward"
_DOCKERFILE_1_7 = (
    "docker/dockerfile:1.7.1@sha256:"
    "a57df69d0ea827fb7266491f2813635de6f17269be881f696fbfdf2d83dda33e"
)
_DOCKERFILE_1_8 = (
    "docker/dockerfile:1.8.1@sha256:"
    "e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd"
)
_FIRST_IMAGES = {
    "frontend.lint": _DOCKERFILE_1_8,
    "frontend.outline": _DOCKERFILE_1_7,
    "frontend.targets": _DOCKERFILE_1_7,
}
"""A frontend that knows the request, for Dockerfiles whose own frontend is too old to."""


class Hold:
    """Keeps a finished build open, with all that it made, until :meth:`release`.

    Another build can take its result as an input for as long as it is held. May be used from any
    thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._released = False
        self._waiting: list[Callable[[], None]] = []

    def release(self) -> None:
        """Let the build end."""
        with self._lock:
            self._released = True
            waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            go_on()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Have ``go_on`` called once it is released; at once when it is."""
        with self._lock:
            if not self._released:
                self._waiting.append(go_on)
                return
        go_on()


class Forwarded(NamedTuple):
    """A request for a frontend."""

    frontend: str
    attributes: Mapping[str, str]
    inputs: Mapping[str, bytes] = MappingProxyType({})
    """Results of other builds, as definitions, by the names that the attributes have for them."""
    on_result: Callable[[Values], None] = lambda _: None
    """Is given what the frontend answered, before the build goes on."""
    hold: Hold | None = None
    """Keep the build open until this is released; all of it is made then."""


def call_attributes(attributes: Mapping[str, str], name: str) -> dict[str, str]:
    """Add what makes a request for a build one for the frontend itself, such as ``lint``."""
    caps = [attributes[_CAPS]] if attributes.get(_CAPS) else []
    return {
        **attributes,
        _CAPS: ",".join([*caps, _SUBREQUESTS]),
        "requestid": f"frontend.{name}",
    }


def forward(request: Forwarded) -> Talk:
    """Forward a request to a frontend, and hand its result over as the build's.

    Raises:
        DaemonError: The daemon lacks what the request needs; says what.
    """
    capabilities: frozenset[str] = frozenset()
    if request.inputs or request.hold is not None:
        pong = yield Ask("Ping", (PING_REQUEST, PONG_RESPONSE), {})
        capabilities = _names(pong)
        if request.inputs and "frontend.inputs" not in capabilities:
            raise DaemonError(
                "the BuildKit daemon cannot build from the result of another build, "
                "it lacks frontend.inputs (BuildKit 0.7)"
            )
    try:
        answer = yield _solve(request, request.attributes)
    except CallError as error:
        image = _FIRST_IMAGES.get(_unsupported(error) or "")
        if image is None:
            raise
        answer = yield from _try_image(request, image, error)
    result: Values = answer.get("result", {})
    request.on_result(result)
    if request.hold is not None:
        yield Until(request.hold.wait)
        yield from _evaluate(result, capabilities)
    return result


def metadata_of(result: Values) -> dict[str, str]:
    """Give what a frontend says about its result, as text."""
    found: Mapping[str, bytes] = result.get("metadata", {})
    return {key: value.decode("utf-8", "replace") for key, value in found.items()}


def _solve(request: Forwarded, attributes: Mapping[str, str]) -> Ask:
    values: dict[str, Any] = {
        "Frontend": request.frontend,
        "FrontendOpt": dict(attributes),
        "allowResultReturn": True,
        "allowResultArrayRef": True,
    }
    if request.inputs:
        values["FrontendInputs"] = dict(request.inputs)
    return Ask("Solve", (SOLVE_REQUEST, SOLVE_RESPONSE), values)


def _try_image(request: Forwarded, image: str, error: CallError) -> Talk:
    """Ask a frontend that is known to understand; if there is none, the first error counts."""
    try:
        return (yield _solve(request, {**request.attributes, "build-arg:BUILDKIT_SYNTAX": image}))
    except CallError:
        raise error from None


def _unsupported(error: CallError) -> str | None:
    """Name the request that the frontend does not know, if that is the error."""
    from dockyard.buildkit.details import parse_details

    name = parse_details(error.details).subrequest
    if name is None:  # Docker Engine 20.10 says it only in words
        found = re.search(r"unsupported request ([\w.]+)", error.message)
        name = found[1].rstrip(".") if found else None
    return name


def _names(pong: Values) -> frozenset[str]:
    """Give what the daemon's gateway can do."""
    return frozenset(
        one.get("ID", "") for one in pong.get("FrontendAPICaps", ()) if one.get("Enabled")
    )


def _evaluate(result: Values, capabilities: frozenset[str]) -> Talk:
    """Have all of a result made now."""
    several = result.get("refs", {}).get("refs", {}).values()
    for reference in [*several, result.get("ref", {})]:
        ref = reference.get("id", "")
        if not ref:
            continue
        if "gateway.evaluate" in capabilities:
            yield Ask("Evaluate", (EVALUATE_REQUEST, EVALUATE_RESPONSE), {"Ref": ref})
        else:
            values = {"Ref": ref, "Path": "."}
            yield Ask("StatFile", (STAT_FILE_REQUEST, STAT_FILE_RESPONSE), values)
    return {}
