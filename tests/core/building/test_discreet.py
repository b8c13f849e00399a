from __future__ import annotations

import json

from dockyard.building.discreet import without_secrets
from dockyard.buildkit.gateway import Ask
from dockyard.buildkit.request import SolveRequest, request_values
from dockyard.driver import CacheEntry

PUBLIC = CacheEntry(type="registry", attributes={"ref": "a/b"})
SECRET = CacheEntry(type="s3", attributes={"bucket": "b", "secret_access_key": "hush"})


def test_caches_without_credentials_are_asked_for_as_ever() -> None:
    request = SolveRequest(ref="r", cache_imports=(PUBLIC,), cache_exports=(SECRET,))

    assert without_secrets(request) == (request, None)


def test_credentials_are_told_to_the_frontend_only() -> None:
    attributes = {"target": "t", "attest:sbom": "type=sbom"}
    request = SolveRequest(ref="r", attributes=attributes, cache_imports=(PUBLIC, SECRET))

    asked, talk = without_secrets(request)

    values = request_values(asked)
    assert values["FrontendAttrs"] == attributes
    assert values["Frontend"] == ""
    assert "hush" not in str(values)
    assert talk is not None
    call = next(talk)
    assert isinstance(call, Ask)
    assert call.method == "Solve"
    assert call.request["Frontend"] == "dockerfile.v0"
    told = call.request["FrontendOpt"]
    assert told["target"] == "t"
    assert [entry["Attrs"] for entry in json.loads(told["cache-imports"])] == [
        dict(PUBLIC.attributes),
        dict(SECRET.attributes),
    ]
    talk.close()
