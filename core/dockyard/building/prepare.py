"""From a request to all that a daemon is asked for: checked, filled in, nothing sent yet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dockyard.building.ability import Ability
from dockyard.building.caches.local import LocalCaches, check_caches, with_inline_cache
from dockyard.building.caches.remote import RemoteCaches
from dockyard.building.export import ExportPlan, plan_exports
from dockyard.building.frontend import check_text, frontend_attributes, frontend_for
from dockyard.building.inputs import git_query
from dockyard.building.inputs.extras import Inputs, open_inputs, with_source_policy
from dockyard.building.inputs.named import join_caps
from dockyard.building.inputs.rego.find import Found, find_policies
from dockyard.building.inputs.source import Source, open_source
from dockyard.building.job import Job
from dockyard.driver import BuildRequest

_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
}


class Work(NamedTuple):
    """What is asked for, however often it is attempted."""

    request: BuildRequest
    """With caches as the daemon has to be told of them."""
    source: Source
    inputs: Inputs
    caches: LocalCaches
    plan: ExportPlan
    frontend: str
    attributes: Mapping[str, str]
    definitions: Mapping[str, bytes] = MappingProxyType({})
    """What the frontend is given as inputs, by name."""
    policies: Found | None = None
    """What decides on the sources that the build may use."""


def prepare(job: Job, caches: LocalCaches) -> Work:
    """Find and check everything that a build needs.

    Args:
        job: The build.
        caches: Takes the caches that are directories of this machine.

    Raises:
        InputError: Something cannot be used, or is not there.
        UnsupportedFeatureError: The daemon is too old for the request.
    """
    request = with_inline_cache(job.request)
    if check_caches(request):
        request = caches.prepare(request, job.progress.warn)
    link = job.link
    capabilities = link.client.capabilities
    environment = job.workbench.environment
    remote = RemoteCaches(
        environment.variables, environment.home, capabilities, job.progress.warn, job.cancel
    )
    request = remote.prepare(request)
    source = open_source(request, lambda url: _fetch(job, url), job.cancel)
    inputs = open_inputs(with_source_policy(request, environment))
    inputs.check(capabilities, job.node.driver)
    found = find_policies(source, inputs, job)
    ability = Ability(link, job.node.driver, environment)
    plan = ability.fitted(plan_exports(request, link.features))
    ability.check(request, plan)
    for lost in ability.losses(request):
        job.progress.warn(lost)
    frontend, attributes = _frontend(job, request)
    attributes |= join_caps(source.attributes, inputs.contexts.attributes)
    attributes |= ability.attributes(request)
    definitions: dict[str, bytes] = {}
    if git_query.is_wanted(environment):
        attributes, definitions = git_query.as_inputs(attributes)
    check_text(attributes)
    return Work(request, source, inputs, caches, plan, frontend, attributes, definitions, found)


def _frontend(job: Job, request: BuildRequest) -> tuple[str, dict[str, str]]:
    """Name the frontend, and give what it is told beside the source."""
    frontend, attributes = frontend_for(request)
    told = frontend_attributes(
        request,
        job.link.features,
        driver=job.node.driver,
        proxies=_proxies(job),
        source_date_epoch=job.workbench.environment.get("SOURCE_DATE_EPOCH"),
    )
    return frontend, {**attributes, **request.git, **told}


def _fetch(job: Job, url: str) -> bytes:
    """Have the node fetch a Dockerfile."""
    from dockyard.buildkit.download import download

    return download(job.client, url, job.progress.update, job.cancel)


def _proxies(job: Job) -> dict[str, str]:
    host = job.node.engine.host if job.node.engine else job.node.endpoint
    configured = job.workbench.environment.docker.proxies(host)
    return {arg: configured[key] for key, arg in _PROXIES.items() if configured.get(key)}
