"""Leading a build: what the daemon is told of it, and what only its frontend is told.

A daemon notes the attributes of every solve in its history, and a frontend finds the caches to
read among its attributes, with all that is needed to read them. What we tell the frontend
ourselves is not noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dockyard.buildkit.forward import Forwarded, call_attributes, forward, metadata_of
from dockyard.buildkit.request import SolveRequest, imports_attribute

if TYPE_CHECKING:
    from dockyard.buildkit.gateway import Talk

Answer = Mapping[str, str]
"""What a frontend says: ``result.json``, ``result.txt`` and the like."""


def lead(
    request: SolveRequest, call: str, on_answer: Callable[[Answer], None]
) -> tuple[SolveRequest, Talk]:
    """Give the solve that waits for us, and the conversation meanwhile.

    Args:
        request: All that is asked for.
        call: The frontend's method to call instead of building; empty to build.
        on_answer: Is given what the frontend answers to a call, before the solve ends.
    """
    attributes = dict(request.attributes)
    caches = request.cache_imports
    if caches:
        attributes.setdefault("cache-imports", imports_attribute(caches))
    if any(entry.has_secrets for entry in caches):
        caches = ()
    told = Forwarded(request.frontend, attributes, request.inputs)
    if call:
        told = told._replace(
            attributes=call_attributes(attributes, call),
            on_result=lambda result: on_answer(metadata_of(result)),
        )
    waiting = request._replace(frontend="", cache_imports=caches, internal=bool(call))
    return waiting, forward(told)
