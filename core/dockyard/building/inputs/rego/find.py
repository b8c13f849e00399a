"""Finding a build's policies: those that were named, and the one beside the Dockerfile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.inputs.extras import Inputs
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
    from dockyard.building.inputs.rego.remote import RemoteContext

CAPABILITY = "source.policy.session"
_PROXY = "exec.meta.network.proxy"
_DEFAULT = "BUILDX_DEFAULT_POLICY"


class Found(NamedTuple):
    """A build's policies."""

    policies: Policies
    proxy: bool
    """Whether they want the build to run behind the daemon's proxy."""


def find_policies(source: Source, inputs: Inputs, job: Job) -> Found | None:
    """Find and read a build's policies; None if there are none.

    Args:
        source: Context and Dockerfile. The daemon is asked what lies in a remote context.
        inputs: What it may need to get at that.
        job: The build.

    Raises:
        InputError: One cannot be read, or makes no sense.
        UnsupportedFeatureError: The daemon is too old to ask.
        DockyardError: The daemon cannot get at the remote context.
    """
    options = parse_policies(inputs.request.policies)
    if is_disabled(options):
        return None
    _check_default(job.workbench.environment)
    context = _context(source, inputs, job)
    alone = any(option.reset for option in options)
    automatic = None if alone else _automatic(source, context)
    sets = plan(options, automatic)
    if not sets:
        return None
    strict = "strict policy is" if any(each.strict for each in sets) else "a policy in Rego is"
    needs = [Need(strict, CAPABILITY, "v0.27")]
    require(needs, job.client.capabilities, job.node.driver)
    found = _read(sets, automatic, context, inputs.request, source, job)
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


def _context(source: Source, inputs: Inputs, job: Job) -> Path | RemoteContext | None:
    """Say where files of the context are read; None if that is an archive, which is read once."""
    context = source.directories.get("context")
    url = source.attributes.get("context")
    if url is None:
        return context if isinstance(context, Path) else None
    from dockyard.building.inputs.rego.remote import RemoteContext

    return RemoteContext(job, url, lambda: inputs.attachables(job.progress.warn))


def _automatic(source: Source, context: Path | RemoteContext | None) -> FileSet | None:
    """Give the policy beside the Dockerfile; its name is absolute if it is of this machine."""
    name = f"{source.attributes['filename']}.rego"
    folder = source.directories.get("dockerfile")
    if isinstance(folder, Path):
        path = folder / name
        return FileSet((str(path),)) if os.path.lexists(path) else None
    if folder is not None or context is None or isinstance(context, Path):
        return None
    from dockyard.building.inputs.rego.files import POLICY_LIMIT
    from dockyard.buildkit.gateway import GatewayMissingError

    try:
        return None if context.look(name, POLICY_LIMIT) is None else FileSet((name,))
    except GatewayMissingError:  # such a daemon asks nobody, either
        return None


def _read(
    sets: list[FileSet],
    automatic: FileSet | None,
    context: Path | RemoteContext | None,
    request: BuildRequest,
    source: Source,
    job: Job,
) -> Policies:
    from dockyard.building.inputs.rego.files import PolicyFiles, read_file
    from dockyard.building.inputs.rego.log import PolicyLog
    from dockyard.building.inputs.rego.policy import Policies, Policy

    files = PolicyFiles(context, Path(request.working_directory))

    def read(name: str) -> tuple[str, bytes]:
        # The one beside the Dockerfile may lie outside of the context.
        if automatic is not None and automatic.files == (name,) and Path(name).is_absolute():
            return _shown(name, context), read_file(Path(name), name)
        return name, files.read(name)

    contents = [[read(name) for name in each.files] for each in sets]
    log = PolicyLog(job.progress, [name for each in contents for name, _ in each])
    made = [
        Policy(content, files, each.log_level) for each, content in zip(sets, contents, strict=True)
    ]
    filename = source.attributes.get("filename", "Dockerfile")
    return Policies(made, request, Path(filename).name, _platform(job), log)


def _shown(path: str, context: Path | RemoteContext | None) -> str:
    if isinstance(context, Path) and Path(path).is_relative_to(context):
        return str(Path(path).relative_to(context))
    return path


def _platform(job: Job) -> Platform:
    """Give the platform that the daemon builds for by itself."""
    workers = job.client.workers()
    platforms = workers[0].platforms if workers else ()
    return platforms[0] if platforms else Platform.host()
