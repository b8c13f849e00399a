"""Git addresses with a query as inputs of a build, for frontends that don't understand them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from dockyard.building.inputs.named import CAPS
from dockyard.building.inputs.source import GIT
from dockyard.config import Environment
from dockyard.driver import boolean

VARIABLE = "BUILDX_SEND_GIT_QUERY_AS_INPUT"
_CAPABILITY = "moby.buildkit.frontend.gitquerystring"
_KEEP = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_MAIN = "context"
_NAMED = "context:"


class WithInputs(NamedTuple):
    """What the frontend is told, and what it is given, by name."""

    attributes: dict[str, str]
    inputs: dict[str, bytes]
    """Definitions of what is to be fetched."""


def is_wanted(environment: Environment) -> bool:
    """Say whether somebody asks for it; what makes no sense counts as not said."""
    return _is_true(environment.get(VARIABLE))


def keeps_git_dir(build_args: Mapping[str, str]) -> bool:
    """Say whether a context out of git shall have ``.git``."""
    return _is_true(build_args.get(_KEEP, ""))


def as_inputs(attributes: Mapping[str, str]) -> WithInputs:
    """Take the addresses with a query out of what the frontend is told, and give them as inputs.

    Args:
        attributes: All that the frontend shall be told.

    Raises:
        InputError: An address makes no sense.
    """
    done = WithInputs(dict(attributes), {})
    keep = _is_true(attributes.get(f"build-arg:{_KEEP}", ""))
    for key, url in attributes.items():
        if key == _MAIN or key.startswith(_NAMED):
            _move(done, key, url, keep=keep and key == _MAIN)
    if done.inputs:
        left = [cap for cap in done.attributes.pop(CAPS, "").split(",") if cap]
        left = [cap for cap in left if not cap.startswith(_CAPABILITY)]
        if left:
            done.attributes[CAPS] = ",".join(left)
    return done


def _move(done: WithInputs, key: str, url: str, *, keep: bool) -> None:
    from dockyard.buildkit.git_source import git_source, has_query
    from dockyard.wire.codec import encode
    from dockyard.wire.messages import DEFINITION

    if not re.match(GIT, url) or not has_query(url):
        return
    definition = encode(DEFINITION, git_source(url, keep_git_dir=keep).definition())
    done.attributes[f"input:{key}"] = url
    if key != _MAIN:
        done.inputs[f"git_state_{key}"] = definition
        done.attributes[key] = f"input:git_state_{key}"
        return
    del done.attributes[key]
    done.inputs[key] = definition
    if "dockerfilekey" not in done.attributes:  # the Dockerfile lies there, too
        done.inputs["dockerfile"] = definition


def _is_true(value: str) -> bool:
    try:
        return bool(value) and boolean(value)
    except ValueError:
        return False
