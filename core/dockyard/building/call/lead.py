"""Leading a call: the request that makes no image, and the conversation that asks the frontend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from dockyard.driver import BuildRequest, Output

if TYPE_CHECKING:
    from dockyard.buildkit.gateway import Talk, Values
    from dockyard.buildkit.request import SolveRequest

_NOTHING = Output(type="cacheonly")

Answer = Mapping[str, str]
"""What a frontend says: ``result.json``, ``result.txt`` and the like."""


def as_call(request: BuildRequest, name: str) -> BuildRequest:
    """Make a request for a build one for a call, of which nothing is kept anywhere.

    Args:
        request: What would be built.
        name: The method, as the frontend knows it.
    """
    return evolve(
        request,
        call=name,
        outputs=(_NOTHING,),
        cache_from=(),  # a daemon could note their credentials, and nothing is made of them
        cache_to=(),
        attestations={},
        annotations={},
        metadata_provenance="",
    )


def lead(
    request: SolveRequest, name: str, on_answer: Callable[[Answer], None]
) -> tuple[SolveRequest, Talk]:
    """Give the solve that waits for us, and the conversation meanwhile.

    Args:
        request: The solve of a build.
        name: The method to call instead.
        on_answer: Is given the answer, before the solve ends.
    """
    from dockyard.buildkit.forward import Forwarded, call_attributes, forward, metadata_of

    def on_result(result: Values) -> None:
        on_answer(metadata_of(result))

    forwarded = Forwarded(
        frontend=request.frontend,
        attributes=call_attributes(request.attributes, name),
        on_result=on_result,
    )
    return request._replace(frontend="", internal=True), forward(forwarded)
