from __future__ import annotations

from dockyard.building.call.request import as_call
from dockyard.driver import BuildRequest, CacheEntry, Output


def test_a_call_keeps_nothing_of_what_a_build_would() -> None:
    request = BuildRequest(
        outputs=(Output(type="local", dest="out"),),
        cache_from=(CacheEntry(type="gha", attributes={"token": "hush"}),),
        cache_to=(CacheEntry(type="inline"),),
        target="x",
        tags=("a",),
    )

    asked = as_call(request, "lint")

    assert asked.call == "lint"
    assert [output.type for output in asked.outputs] == ["cacheonly"]
    assert (asked.cache_from, asked.cache_to) == ((), ())
    assert asked.target == "x"
