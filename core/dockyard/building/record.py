"""The record of a build in the builder's state, as buildx keeps it: where it was made from."""

from __future__ import annotations

from pathlib import Path

from dockyard.builder.store import BuildRecord
from dockyard.building.inputs.place import is_directory
from dockyard.building.inputs.source import is_url
from dockyard.building.job import Job
from dockyard.buildkit.address import without_credentials
from dockyard.driver import BuildRequest


def save_record(job: Job, ref: str) -> str:
    """Note that a build happens, unless it is a call; give the id of this machine.

    Args:
        job: The build.
        ref: Its name on the daemon.
    """
    with job.workbench.store.locked() as records:
        if not job.request.call:
            records.save_build(job.node.builder, job.node.name, ref, _record(job.request))
        return records.node_id()


def record_name(job: Job, ref: str) -> str:
    """Give the name by which people find the record; empty when there is none."""
    return "" if job.request.call else f"{job.node.builder}/{job.node.name}/{ref}"


def _record(request: BuildRequest) -> BuildRecord:
    place = request.build_context
    dockerfile = request.dockerfile or "Dockerfile"
    directory = Path(request.working_directory, place)
    if place != "-" and is_directory(directory):
        place = str(directory.resolve())
        if request.dockerfile is None:
            dockerfile = str(Path(place, dockerfile))
        elif dockerfile != "-" and not is_url(dockerfile):
            dockerfile = str(Path(request.working_directory, dockerfile))
    return BuildRecord(
        target=request.target or "default",
        build_context=without_credentials(place),
        dockerfile=without_credentials(dockerfile),
    )
