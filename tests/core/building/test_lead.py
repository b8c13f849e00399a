from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.building.lead import lead
from dockyard.buildkit.gateway import Ask, Talk
from dockyard.buildkit.request import SolveRequest, request_values
from dockyard.driver import CacheEntry

PUBLIC = CacheEntry(type="registry", attributes={"ref": "a/b"})
SECRET = CacheEntry(type="s3", attributes={"bucket": "b", "secret_access_key": "hush"})


def asked(talk: Talk) -> dict[str, Any]:
    """Give what the frontend is asked, which has to be the first thing."""
    call = next(talk)
    assert isinstance(call, Ask)
    assert call.method == "Solve"
    return dict(call.request)


def nobody(answer: object) -> None:
    raise AssertionError(answer)


def test_the_frontend_is_asked_for_what_the_daemon_is_told_of() -> None:
    attributes = {"target": "t", "attest:sbom": "type=sbom"}
    request = SolveRequest(
        ref="r", frontend="gateway.v0", attributes=attributes, cache_exports=(SECRET,)
    )

    waiting, talk = lead(request, "", nobody)
    told = asked(talk)

    assert waiting == request._replace(frontend="")
    assert (told["Frontend"], told["FrontendOpt"]) == ("gateway.v0", attributes)
    with pytest.raises(StopIteration) as end:
        talk.send({"result": {"ref": {"id": "1"}}})
    assert end.value.value == {"ref": {"id": "1"}}


def test_the_frontend_finds_the_caches_among_its_attributes() -> None:
    waiting, talk = lead(SolveRequest(ref="r", cache_imports=(PUBLIC,)), "", nobody)

    noted = request_values(waiting)["FrontendAttrs"]["cache-imports"]
    assert json.loads(noted) == [{"Type": "registry", "Attrs": {"ref": "a/b"}}]
    assert asked(talk)["FrontendOpt"]["cache-imports"] == noted
    talk.close()


def test_credentials_are_told_to_the_frontend_only() -> None:
    request = SolveRequest(ref="r", attributes={"target": "t"}, cache_imports=(PUBLIC, SECRET))

    waiting, talk = lead(request, "", nobody)

    values = request_values(waiting)
    assert values["FrontendAttrs"] == {"target": "t"}
    assert "hush" not in str(values)
    told = asked(talk)["FrontendOpt"]
    assert told["target"] == "t"
    assert [entry["Attrs"] for entry in json.loads(told["cache-imports"])] == [
        dict(PUBLIC.attributes),
        dict(SECRET.attributes),
    ]
    talk.close()


def test_a_call_is_told_to_the_frontend_and_leaves_no_record() -> None:
    answers: dict[str, str] = {}
    request = SolveRequest(ref="r", frontend="gateway.v0", attributes={"source": "s"})

    waiting, talk = lead(request, "outline", answers.update)
    told = asked(talk)

    assert (waiting.frontend, waiting.internal) == ("", True)
    assert waiting.attributes == {"source": "s"}
    assert told["Frontend"] == "gateway.v0"
    assert told["FrontendOpt"]["requestid"] == "frontend.outline"
    with pytest.raises(StopIteration) as end:
        talk.send({"result": {"metadata": {"result.txt": b"hi"}}})

    assert end.value.value == {"metadata": {"result.txt": b"hi"}}
    assert answers == {"result.txt": "hi"}
