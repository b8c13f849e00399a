"""What BuildKit is told about the GitHub Actions run that it is booted in, for provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dockyard.driver.option import boolean
from dockyard.errors import BootstrapError

_FILE = "provenance.d/github_actions_context.json"

_GROUPS = (
    ("GITHUB_ACTOR", "GITHUB_ACTOR_ID", "GITHUB_TRIGGERING_ACTOR"),
    ("GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_REF_PROTECTED", "GITHUB_REF_TYPE"),
    (
        "GITHUB_REPOSITORY",
        "GITHUB_REPOSITORY_ID",
        "GITHUB_REPOSITORY_OWNER",
        "GITHUB_REPOSITORY_OWNER_ID",
    ),
    (
        "GITHUB_JOB",
        "GITHUB_RUN_ATTEMPT",
        "GITHUB_RUN_ID",
        "GITHUB_RUN_NUMBER",
        "GITHUB_SERVER_URL",
        "GITHUB_WORKFLOW",
        "GITHUB_WORKFLOW_REF",
        "GITHUB_WORKFLOW_SHA",
    ),
    (
        "ImageOS",
        "ImageVersion",
        "RUNNER_ARCH",
        "RUNNER_ENVIRONMENT",
        "RUNNER_NAME",
        "RUNNER_OS",
        "RUNNER_TRACKING_ID",
    ),
)
"""Variables that are told together, or not at all when one of them is missing."""


_KEYS = {"ImageOS": "github_runner_image_os", "ImageVersion": "github_runner_image_version"}
"""The keys that are not made of their variable's name alone."""

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def provenance_files(variables: Mapping[str, str]) -> dict[str, bytes]:
    """Give the file about the run, by its path below BuildKit's configuration directory.

    Args:
        variables: The environment. Outside of a run there is no file.

    Raises:
        BootstrapError: The event that started the run cannot be read.
    """
    if not _is_run(variables):
        return {}
    name, path = variables.get("GITHUB_EVENT_NAME"), variables.get("GITHUB_EVENT_PATH")
    if not name or not path:
        return {}
    import json

    facts = {"github_event_name": name, "github_event_payload": _event(path), **_run(variables)}
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return {_FILE: text.translate(_ESCAPED).encode(errors="replace")}


def _is_run(variables: Mapping[str, str]) -> bool:
    try:
        return boolean(variables.get("GITHUB_ACTIONS", ""))
    except ValueError:
        return False


def _event(path: str) -> dict[str, object]:
    import json

    hint = "--driver-opt provenance-add-gha=false does without"
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        words = f'failed to read GITHUB_EVENT_PATH "{path}": {reason.lower()}'
        raise BootstrapError(words, hint=hint) from error
    words = f'failed to unmarshal GitHub event payload from "{path}"'
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BootstrapError(f"{words}: {error}", hint=hint) from error
    if not isinstance(event, dict):
        raise BootstrapError(f"{words}: it is no JSON object", hint=hint)
    return event


def _run(variables: Mapping[str, str]) -> dict[str, str]:
    names = (group for group in _GROUPS if all(variables.get(name) for name in group))
    return {_key(name): variables[name] for group in names for name in group}


def _key(variable: str) -> str:
    return _KEYS.get(variable) or f"github_{variable.lower().removeprefix('github_')}"
