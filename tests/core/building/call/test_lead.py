from __future__ import annotations

import pytest

from dockyard.building.call.lead import as_call, lead
from dockyard.buildkit.gateway import Ask
from dockyard.buildkit.request import SolveRequest
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


def test_a_call_is_led_and_leaves_no_record() -> None:
    answers: dict[str, str] = {}
    request = SolveRequest(ref="r", frontend="gateway.v0", attributes={"source": "s"})

    solve, talk = lead(request, "outline", answers.update)
    asked = next(talk)

    assert (solve.frontend, solve.internal) == ("", True)
    assert solve.attributes == {"source": "s"}
    assert isinstance(asked, Ask)
    assert asked.request["Frontend"] == "gateway.v0"
    assert asked.request["FrontendOpt"]["requestid"] == "frontend.outline"
    with pytest.raises(StopIteration) as end:
        talk.send({"result": {"metadata": {"result.txt": b"hi"}}})

    assert end.value.value == {"metadata": {"result.txt": b"hi"}}
    assert answers == {"result.txt": "hi"}
