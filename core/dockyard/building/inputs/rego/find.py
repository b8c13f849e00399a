"""Finding a build's policies: those that were named, and the one beside the Dockerfile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.inputs.rego.option import FileSet, is_disabled, parse_policies, plan
from dockyard.building.inputs.source import Source
from dockyard.building.job import Job
from dockyard.building.need import Need, require
from dockyard.config import Environment
from dockyard.driver import BuildRequest, boolean
from dockyard.errors import InputError
from dockyard.platforms import Platform

if TYPE_CHECKING:
    from dockyard.building.inputs.rego.policy import Policies

CAPABILITY = "source.policy.session"
_PROXY = "exec.meta.network.proxy"
_DEFAULT = "BUILDX_DEFAULT_POLICY"


class Found(NamedTuple):
    """A build's policies."""

    policies: Policies
    proxy: bool
    """Whether they want the build to run behind the daemon's proxy."""


def find_policies(request: BuildRequest, source: Source, job: Job) -> Found | None:
    """Find and read a build's policies; None if there are none.

    Raises:
        InputError: One cannot be read, or makes no sense.
        UnsupportedFeatureError: The daemon is too old to ask.
    """
    options = parse_policies(request.policies)
    if is_disabled(options):
        return None
    _check_default(job.workbench.environment)
    automatic = _automatic(source)
    sets = plan(options, automatic)
    if not sets:
        return None
    strict = "strict policy is" if any(each.strict for each in sets) else "a policy in Rego is"
    needs = [Need(strict, CAPABILITY, "v0.27")]
    require(needs, job.client.capabilities, job.node.driver)
    found = _read(sets, automatic, request, source, job)
    proxy = found.wants_proxy(job.cancel)
    if proxy:
        needs = [Need("network proxy requested by policy is", _PROXY, "v0.31")]
        require(needs, job.client.capabilities, job.node.driver)
    return Found(found, proxy)


def _check_default(environment: Environment) -> None:
    """Refuse to act as if there were a policy that cannot be had here."""
    value = environment.get(_DEFAULT)
    try:
        wanted = bool(value) and boolean(value)
    except ValueError:
        wanted = False
    if wanted:
        raise InputError(
            f"the default policy, which {_DEFAULT} asks for, cannot be used here: signatures of "
            "sigstore cannot be verified",
            hint=f"unset {_DEFAULT}, or build with --policy disabled=true",
        )


def _automatic(source: Source) -> FileSet | None:
    """Give the policy beside the Dockerfile."""
    folder = source.directories.get("dockerfile")
    if not isinstance(folder, Path):
        return None
    path = folder / f"{source.attributes['filename']}.rego"
    return FileSet((str(path),)) if os.path.lexists(path) else None


def _read(
    sets: list[FileSet],
    automatic: FileSet | None,
    request: BuildRequest,
    source: Source,
    job: Job,
) -> Policies:
    from dockyard.building.inputs.rego.files import PolicyFiles, read_file
    from dockyard.building.inputs.rego.log import PolicyLog
    from dockyard.building.inputs.rego.policy import Policies, Policy

    context = source.directories.get("context")
    files = PolicyFiles(
        context if isinstance(context, Path) else None, Path(request.working_directory)
    )
    made, names = [], []
    for each in sets:
        own = automatic is not None and each.files == automatic.files
        shown = [_shown(name, files.context) if own else name for name in each.files]
        contents = [read_file(Path(name), name) if own else files.read(name) for name in each.files]
        names += shown
        made.append(Policy(list(zip(shown, contents, strict=True)), files, each.log_level))
    filename = source.attributes.get("filename", "Dockerfile")
    return Policies(
        made, request, Path(filename).name, _platform(job), PolicyLog(job.progress, names)
    )


def _shown(path: str, context: Path | None) -> str:
    if context is not None and Path(path).is_relative_to(context):
        return str(Path(path).relative_to(context))
    return path


def _platform(job: Job) -> Platform:
    """Give the platform that the daemon builds for by itself."""
    workers = job.client.workers()
    platforms = workers[0].platforms if workers else ()
    return platforms[0] if platforms else Platform.host()
