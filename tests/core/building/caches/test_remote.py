from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dockyard.building.caches.remote import RemoteCaches
from dockyard.building.grammar.option import parse_cache
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, CacheEntry

ABLE = frozenset({"cache.gha", "cache.s3"})
RESULTS, CACHE = "https://results/", "https://cache/"


class Prepared:
    """What came of one request, and what was said of it."""

    def __init__(
        self,
        *caches: str,
        variables: Mapping[str, str] | None = None,
        able: frozenset[str] = ABLE,
    ) -> None:
        self.warnings: list[str] = []
        self.asked = 0

        def capabilities() -> frozenset[str]:
            self.asked += 1
            return able

        entries = parse_cache(caches)
        request = RemoteCaches(
            {"AWS_EC2_METADATA_DISABLED": "true", **(variables or {})},
            Path("/nowhere"),
            capabilities,
            self.warnings.append,
            Cancellation(),
        ).prepare(BuildRequest(cache_from=entries, cache_to=entries))
        assert request.cache_from == request.cache_to
        self.entries = request.cache_to

    @property
    def attributes(self) -> dict[str, str]:
        (entry,) = self.entries
        return dict(entry.attributes)


def test_other_caches_are_passed_on_and_nobody_is_asked() -> None:
    found = Prepared("a/b", "type=azblob,account_url=x", "type=else,token=t", able=frozenset())

    assert found.entries == parse_cache(["a/b", "type=azblob,account_url=x", "type=else,token=t"])
    assert (found.asked, found.warnings) == (0, [])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ACTIONS_CACHE_URL": CACHE}, {"url": CACHE}),
        ({"ACTIONS_RESULTS_URL": RESULTS}, {"url": RESULTS}),
        ({"ACTIONS_RESULTS_URL": RESULTS, "ACTIONS_CACHE_URL": CACHE}, {"url": CACHE}),
        (
            {"ACTIONS_RESULTS_URL": RESULTS, "ACTIONS_CACHE_SERVICE_V2": "true"},
            {"url": RESULTS, "url_v2": RESULTS},
        ),
        (
            {"ACTIONS_RESULTS_URL": RESULTS, "ACTIONS_CACHE_SERVICE_V2": "perhaps"},
            {"url": RESULTS},
        ),
    ],
)
def test_a_cache_of_github_actions_is_found_by_variables(
    variables: dict[str, str], expected: dict[str, str]
) -> None:
    found = Prepared("type=gha,scope=s", variables={"ACTIONS_RUNTIME_TOKEN": "t", **variables})

    assert found.attributes == {"scope": "s", "token": "t", **expected}
    assert found.asked == 1


def test_its_version_can_be_named() -> None:
    variables = {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": RESULTS}

    assert Prepared("type=gha,version=2", variables=variables).attributes["url_v2"] == RESULTS
    variables["ACTIONS_CACHE_SERVICE_V2"] = "1"
    old = Prepared("type=gha,version=1", variables=variables).attributes
    assert "url_v2" not in old


def test_what_was_said_counts_more_than_variables() -> None:
    found = Prepared(
        "type=gha,token=mine,url=here",
        variables={"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_CACHE_URL": CACHE},
    )

    assert found.attributes == {"token": "mine", "url": "here"}


@pytest.mark.parametrize(
    "variables", [{}, {"ACTIONS_RUNTIME_TOKEN": "t"}, {"ACTIONS_CACHE_URL": CACHE}]
)
def test_outside_of_github_actions_there_is_no_such_cache(variables: dict[str, str]) -> None:
    found = Prepared("type=gha", variables=variables)

    assert found.entries == ()
    assert [warning.split(":")[0] for warning in found.warnings] == [
        "cache import from gha skipped",
        "cache export to gha skipped",
    ]


@pytest.mark.parametrize("kind", ["gha", "s3"])
def test_a_buildkit_without_the_cache_is_told_by_name(kind: str) -> None:
    found = Prepared(f"type={kind},token=t,url=x", "a/b", able=frozenset())

    assert [entry.type for entry in found.entries] == ["registry"]
    assert f"BuildKit lacks cache.{kind}" in found.warnings[0]
    assert found.asked == 1


def test_a_bucket_gets_credentials() -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "t",
    }

    assert Prepared("type=s3,bucket=b", variables=variables).attributes == {
        "bucket": "b",
        "access_key_id": "id",
        "secret_access_key": "secret",
        "session_token": "t",
    }
    some = Prepared("type=s3,access_key_id=mine", variables=variables).attributes
    assert some["access_key_id"] == "mine"
    assert some["secret_access_key"] == "secret"


def test_a_bucket_with_credentials_gets_no_others() -> None:
    found = Prepared(
        "type=s3,access_key_id=a,secret_access_key=b",
        variables={
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "t",
        },
    )

    assert found.attributes == {"access_key_id": "a", "secret_access_key": "b"}


def test_a_bucket_without_credentials_is_left_to_the_daemon() -> None:
    found = Prepared("type=s3,bucket=b")

    assert found.attributes == {"bucket": "b"}
    assert found.warnings == []


def test_credentials_that_cannot_be_had_are_told() -> None:
    found = Prepared("type=s3,bucket=b", variables={"AWS_PROFILE": "nosuch"})

    assert found.attributes == {"bucket": "b"}
    assert "there is no profile nosuch" in found.warnings[0]


def test_a_cache_does_not_show_its_credentials() -> None:
    keys = ("token", "ghtoken", "access_key_id", "secret_access_key", "session_token")
    entry = CacheEntry(type="s3", attributes={**dict.fromkeys(keys, "hush"), "bucket": "b"})

    assert "hush" not in repr(BuildRequest(cache_to=(entry,)))
    assert "'bucket': 'b'" in repr(entry)
