from __future__ import annotations

import pytest

from dockyard.building.grammar.ssh import parse_ssh
from dockyard.driver import SshAgent

VARIABLES = {"SSH_AUTH_SOCK": "/run/agent"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("default", SshAgent(socket="/run/agent")),
        ("", None),
        ("=", SshAgent(socket="/run/agent")),
        ("git", SshAgent(id="git", socket="/run/agent")),
        ("git=", SshAgent(id="git", socket="/run/agent")),
        ("git=key", SshAgent(id="git", keys=("key",))),
        ("git=a,b=c,d", SshAgent(id="git", keys=("a", "b=c", "d"))),
    ],
)
def test_an_agent_is_the_users_own_or_what_paths_name(
    value: str, expected: SshAgent | None
) -> None:
    assert parse_ssh([value], VARIABLES, ".") == ((expected,) if expected else ())


def test_no_agent_in_the_environment_is_left_to_be_found_out() -> None:
    assert parse_ssh(["default"], {}, ".") == (SshAgent(),)


def test_an_agent_stays_as_it_is() -> None:
    agent = SshAgent(id="x", socket="/s")

    assert parse_ssh([agent], VARIABLES, ".") == (agent,)


@pytest.mark.parametrize(
    ("build_context", "added"),
    [
        ("git@github.com:a/b.git", True),
        ("git@github.com:a/b.git#main:sub", True),
        ("ssh://git@example.com/a/b", True),
        ("https://git@github.com/a/b.git", False),
        ("https://github.com/a/b.git", False),
        ("git://example.com/a", False),
        (".", False),
        ("-", False),
        ("a/b@c", False),
    ],
)
def test_git_over_ssh_gets_the_default_agent(build_context: str, added: bool) -> None:
    found = parse_ssh([], VARIABLES, build_context)

    assert found == ((SshAgent(socket="/run/agent"),) if added else ())


def test_git_over_ssh_gets_no_second_agent() -> None:
    found = parse_ssh(["x=key"], VARIABLES, "git@github.com:a/b.git")

    assert found == (SshAgent(id="x", keys=("key",)),)
