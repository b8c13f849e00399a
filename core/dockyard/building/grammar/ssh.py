"""The grammar of ``--ssh``, and the agent that a git context over ssh gets without asking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dockyard.driver import SshAgent

_GIT_OVER_SSH = r"ssh://|[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:"
_SOCKET = "SSH_AUTH_SOCK"


def parse_ssh(
    values: Iterable[str | SshAgent], variables: Mapping[str, str], build_context: str
) -> tuple[SshAgent, ...]:
    """Turn ``ID[=PATH[,PATH]]`` into agents.

    Args:
        values: What was given; what is an agent already stays as it is.
        variables: The environment, which names the user's own agent.
        build_context: One that git fetches over ssh gets the agent ``default`` if no other is
            given.
    """
    given = [value for value in values if value]
    if not given and re.match(_GIT_OVER_SSH, build_context):
        given = ["default"]
    return tuple(
        value if isinstance(value, SshAgent) else _parse(value, variables) for value in given
    )


def _parse(value: str, variables: Mapping[str, str]) -> SshAgent:
    name, _, paths = value.partition("=")
    name = name or "default"
    if not paths:
        return SshAgent(id=name, socket=variables.get(_SOCKET, ""))
    return SshAgent(id=name, keys=tuple(paths.split(",")))
