"""A call as a request: what would be built, of which nothing is made."""

from __future__ import annotations

from attrs import evolve

from dockyard.driver import BuildRequest, Output

_NOTHING = Output(type="cacheonly")


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
