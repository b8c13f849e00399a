from __future__ import annotations

import base64
import json

import pytest

from dockyard.driver import BuildRequest, BuildResult, CacheEntry, Output


def metadata(**response: str) -> dict[str, object]:
    return BuildResult(ref="", response=response).metadata


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_a_daemon_answers_in_json_is_taken_apart() -> None:
    assert metadata(a=encoded('{"b": [1]}'), c=encoded("[1]"), d="text") == {
        "a": {"b": [1]},
        "c": encoded("[1]"),
        "d": "text",
    }


@pytest.mark.parametrize("depth", [101, 5_000, 100_000])
def test_json_that_is_nested_without_end_stays_text(depth: int) -> None:
    nested = '{"a":' + "[" * depth + "]" * depth + "}"

    found = metadata(**{"x": encoded(nested), "result.json": nested})

    assert found == {"x": encoded(nested), "result.json": nested}
    assert json.dumps(found, indent=2)


@pytest.mark.parametrize("text", ["", "é", "a", "=", "bm8ganNvbg=="])
def test_what_is_no_json_stays_text(text: str) -> None:
    assert metadata(x=text) == {"x": text}


def test_a_cache_is_shown_without_its_credentials() -> None:
    entry = CacheEntry(type="s3", attributes={"bucket": "b", "secret_access_key": "hush"})

    assert "hush" not in repr(entry)
    assert "bucket" in repr(entry)


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS", "git", "ssh"])
def test_a_request_is_shown_without_the_logins_of_its_addresses(scheme: str) -> None:
    url = f"{scheme}://me:hush@host/x.git#main"

    shown = repr(BuildRequest(build_context=url, dockerfile=url, build_contexts={"a": url}))

    assert "hush" not in shown
    assert shown.count(f"{scheme}://***@host/x.git#main") == 3


@pytest.mark.parametrize("place", [".", "a@b", "oci-layout://a:b@sha256:1", "http://h/a@b"])
def test_a_place_without_a_login_is_shown_as_it_is(place: str) -> None:
    assert f"build_context={place!r}" in repr(BuildRequest(build_context=place))
    assert "dockerfile=None" in repr(BuildRequest())


@pytest.mark.parametrize("mode", ["delete", "Delete", " DELETE "])
def test_a_local_output_may_delete_however_that_is_written(mode: str) -> None:
    assert Output(type="local", dest="x", attributes={"mode": mode}).deletes
    assert not Output(type="tar", dest="x", attributes={"mode": mode}).deletes
    assert not Output(type="local", dest="x").deletes
