from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.buildkit.git_source import git_source, has_query
from dockyard.errors import InputError

HTTP = "https://host/a/b.git"
SECRETS = {"git.authtokensecret": "GIT_AUTH_TOKEN", "git.authheadersecret": "GIT_AUTH_HEADER"}


@pytest.mark.parametrize(
    ("url", "identifier"),
    [
        (f"{HTTP}?ref=v1", "git://host/a/b.git#v1"),
        (f"{HTTP}?tag=v1", "git://host/a/b.git#refs/tags/v1"),
        (f"{HTTP}?tag=refs/tags/v1", "git://host/a/b.git#refs/tags/v1"),
        (f"{HTTP}?branch=main&subdir=sub/x", "git://host/a/b.git#refs/heads/main:sub/x"),
        (f"{HTTP}?subdir=x", "git://host/a/b.git#:x"),
        (f"{HTTP}?mtime=commit#main:x/../y/", "git://host/a/b.git#main:y"),
        (f"{HTTP}?ref=main#main", "git://host/a/b.git#main"),
        (f"{HTTP}?submodules=0", "git://host/a/b.git"),
        ("https://me:token@host:8443/a/b.git?ref=a%20b", "git://host:8443/a/b.git#a b"),
        ("github.com/a/b?ref=x", "git://github.com/a/b#x"),
        ("git@host:a/b.git?ref=x", "git://host/a/b.git#x"),
        ("ssh://git@host:22/a/b?ref=x", "git://host:22/a/b#x"),
    ],
)
def test_what_is_checked_out_is_in_the_identifier(url: str, identifier: str) -> None:
    assert has_query(url)
    assert git_source(url).identifier == identifier


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("ref=x", {}),
        ("checksum=abc", {"git.checksum": "abc"}),
        ("commit=abc", {"git.checksum": "abc"}),
        ("keep-git-dir=1", {"git.keepgitdir": "true"}),
        ("keep-git-dir", {"git.keepgitdir": "true"}),
        ("keep-git-dir=false", {}),
        ("submodules=false", {"git.skipsubmodules": "true"}),
        ("submodules", {}),
        ("mtime=commit", {"git.mtime": "commit"}),
        ("fetch-by-commit=true", {"git.fetchbycommit": "true"}),
    ],
)
def test_what_a_query_wants_is_a_setting_and_needed_of_the_daemon(
    query: str, settings: dict[str, str]
) -> None:
    source = git_source(f"{HTTP}?{query}")

    assert source.attributes == {"git.fullurl": HTTP, **settings, **SECRETS}
    names = ["git", "git.fullurl", *settings]
    assert sorted(source.capabilities) == sorted(f"source.{name}" for name in names)


def test_git_gets_the_address_without_its_query_and_people_see_no_password() -> None:
    source = git_source("https://me:hush@host/a.git?ref=x#x")

    assert source.attributes["git.fullurl"] == "https://me:hush@host/a.git"
    assert source.name == "git source https://xxxxx:xxxxx@host/a.git?ref=x#x"


@pytest.mark.parametrize(
    ("url", "remote"),
    [("git@host:a.git?ref=x", "git@host:a.git"), ("ssh://git@host/a?ref=x", "ssh://git@host/a")],
)
def test_ssh_uses_the_agent_that_the_build_is_given(url: str, remote: str) -> None:
    source = git_source(url)

    assert source.attributes["git.mountsshsock"] == "default"
    assert source.attributes["git.fullurl"] == remote
    assert "source.git.mountsshsock" in source.capabilities


def test_a_build_argument_keeps_the_history() -> None:
    source = git_source(f"{HTTP}?ref=x", keep_git_dir=True)

    assert source.attributes["git.keepgitdir"] == "true"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("?foo=1", 'unexpected query "foo"'),
        ("?ref=", 'query "ref" has no value'),
        ("?ref=a&ref=b", 'query "ref" has multiple values'),
        ("?mtime=never", 'invalid mtime value: "never"'),
        ("?submodules=perhaps", 'invalid submodules value: "perhaps"'),
        ("?tag=a&branch=b", "branch conflicts with tag"),
        ("?ref=a&tag=a", 'ref conflicts: "a" vs "refs/tags/a"'),
        ("?ref=a#b", 'ref conflicts: "b" vs "a"'),
        ("?subdir=a#b:c", 'subdir conflicts: "c" vs "a"'),
    ],
)
def test_a_query_that_makes_no_sense_is_named(rest: str, words: str) -> None:
    with pytest.raises(InputError, match="https://xxxxx:xxxxx@host/a.git") as caught:
        git_source(f"https://me:hush@host/a.git{rest}")

    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_address_without_query_has_none() -> None:
    assert not has_query(f"{HTTP}#main:x")
    assert not has_query("git@host:a.git#x?y")
    assert not has_query(f"{HTTP}?")


@given(st.sampled_from(["https://", "ssh://", "git@h:", "github.com/"]), st.text(max_size=40))
def test_whatever_follows_is_understood_or_refused(start: str, rest: str) -> None:
    with suppress(InputError):
        assert git_source(start + rest).identifier.startswith("git://")
