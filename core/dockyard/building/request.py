"""Make a request of what was said, on the command line or in Python, everything in it checked.

It happens in three steps, because buildx finds some mistakes before it chooses a builder, some
when it begins to build, and some only when it knows the node: what it says differs by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, TypedDict

from attrs import evolve

from dockyard.building.grammar.annotation import parse_annotations
from dockyard.building.grammar.attestation import parse_attestations
from dockyard.building.grammar.entitlement import check_deletion, parse_allow
from dockyard.building.grammar.option import (
    check_hosts,
    check_network,
    parse_add_host,
    parse_cache,
    parse_size,
    parse_ulimits,
)
from dockyard.building.grammar.output import check_outputs, parse_outputs, with_shorthands
from dockyard.building.grammar.reference import check_tag
from dockyard.building.grammar.resource import parse_resources
from dockyard.building.grammar.secret import parse_secrets
from dockyard.building.grammar.ssh import parse_ssh
from dockyard.building.inputs.named import parse_build_contexts
from dockyard.building.inputs.rego.option import check_policies
from dockyard.building.results.provenance import check_mode
from dockyard.driver import BuildRequest, Output, SshAgent
from dockyard.errors import InputError
from dockyard.platforms import parse_all


class BuildOptions(TypedDict, total=False):
    """What can be said of a build beside its context; the words of the command line's flags."""

    dockerfile: str | Path | None
    """A path, or ``-`` for ``stdin``; ``Dockerfile`` in the context by default."""
    tags: Iterable[str]
    """Names for the image."""
    outputs: Iterable[str | Output]
    """As with ``-o``: ``"type=local,dest=out"``, or :class:`Output` values."""
    load: bool
    """Put the image into the Docker Engine of the current docker context."""
    push: bool
    """Push the image to its registry."""
    target: str
    """The stage to build."""
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    platforms: Iterable[str]
    """Such as ``linux/arm64``."""
    no_cache: bool
    """Build every step anew."""
    no_cache_filter: Iterable[str]
    """Build the steps of these stages anew."""
    pull: bool
    """Ask for newer base images."""
    add_hosts: Iterable[str]
    """``name:address`` or ``name=address[,address]`` each; ``host-gateway`` is an address, too."""
    network: str
    """``default``, ``none`` or ``host``, for ``RUN``."""
    shm_size: int | str
    """Bytes, or text such as ``64m``."""
    ulimits: Iterable[str]
    """``name=soft[:hard]`` each."""
    cgroup_parent: str
    resources: Iterable[str]
    """Limits for ``RUN``, such as ``memory=1g``, as with ``--resource``."""
    allow: Iterable[str]
    """What the build may do, such as ``network.host``, as with ``--allow``."""
    attest: Iterable[str]
    """What to attest of the image, as with ``--attest``: ``"type=sbom"``."""
    provenance: str | bool
    """Whether and how to attest where the image comes from: ``"mode=max"``."""
    sbom: str | bool
    """Whether and how to attest what is in the image."""
    annotations: Iterable[str]
    """``[type[platform]:]key=value`` each, as with ``--annotation``."""
    metadata_provenance: str
    """How much provenance the result's metadata shall have: ``min`` or ``max``."""
    cache_from: Iterable[str]
    """Caches to read, as with ``--cache-from``."""
    cache_to: Iterable[str]
    """Caches to write, as with ``--cache-to``."""
    secrets: Iterable[str] | Mapping[str, str | bytes]
    """``id=ID[,src=FILE][,env=NAME]`` each, as with ``--secret``; or by id, values as bytes and
    paths as text."""
    ssh: Iterable[str | SshAgent]
    """``ID[=SOCKET|KEY[,KEY]]`` each, as with ``--ssh``; or :class:`SshAgent` values."""
    build_contexts: Iterable[str] | Mapping[str, str]
    """``NAME=VALUE`` each, as with ``--build-context``; or values by name."""
    policies: Iterable[str]
    """Which policies in Rego decide on what the build may use, as with ``--policy``."""
    stdin: BinaryIO | None
    """What ``-`` reads from."""
    stdout: BinaryIO | None
    """Where an output to ``-`` goes."""
    working_directory: str | Path
    """What relative paths are relative to."""


def make_request(
    build_context: str | Path,
    options: BuildOptions,
    *,
    terminal: bool,
    variables: Mapping[str, str],
) -> BuildRequest:
    """Make a request, all steps at once.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: What else was said.
        terminal: Whether an output to ``-`` would go to a terminal, which gets no archives.
        variables: The environment, from which secrets and the ssh agent may come.

    Raises:
        InputError: A value cannot be used; says which and why.
    """
    request = read_options(build_context, options, variables)
    request = fit_options(request, options, terminal=terminal, variables=variables)
    check_request(request)
    return request


def read_options(
    build_context: str | Path,
    options: BuildOptions,
    variables: Mapping[str, str],
    *,
    image_id: bool = False,
) -> BuildRequest:
    """Read the values that have a grammar of their own; :func:`fit_options` reads the others.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: What else was said.
        variables: The environment, from which secrets and the ssh agent may come.
        image_id: Whether the image's ID is wanted, which not every output has.

    Raises:
        InputError: A value does not follow its grammar.
    """
    dockerfile = options.get("dockerfile")
    return BuildRequest(
        build_context=str(build_context),
        dockerfile=None if dockerfile is None else str(dockerfile),
        tags=tuple(options.get("tags", ())),
        target=options.get("target", ""),
        build_args=dict(options.get("build_args", {})),
        labels=dict(options.get("labels", {})),
        no_cache=options.get("no_cache", False),
        no_cache_filter=tuple(options.get("no_cache_filter", ())),
        pull=options.get("pull", False),
        add_hosts=tuple(
            pair for value in options.get("add_hosts", ()) for pair in parse_add_host(value)
        ),
        network=options.get("network", ""),
        shm_size=parse_size(str(options.get("shm_size", 0)), "shm-size"),
        ulimits=parse_ulimits(options.get("ulimits", ())),
        cgroup_parent=options.get("cgroup_parent", ""),
        policies=check_policies(options.get("policies", ())),
        attestations=parse_attestations(
            options.get("attest", ()),
            provenance=options.get("provenance", ""),
            sbom=options.get("sbom", ""),
        ),
        build_contexts=parse_build_contexts(options.get("build_contexts", ())),
        outputs=_outputs(options, image_id=image_id),
        cache_from=parse_cache(options.get("cache_from", ())),
        cache_to=parse_cache(options.get("cache_to", ())),
        secrets=parse_secrets(options.get("secrets", ()), variables),
        ssh=parse_ssh(options.get("ssh", ()), variables, str(build_context)),
        metadata_provenance=check_mode(options.get("metadata_provenance", "")),
        stdin=options.get("stdin"),
        stdout=options.get("stdout"),
        working_directory=str(Path(options.get("working_directory", ".")).absolute()),
    )


def fit_options(
    request: BuildRequest,
    options: BuildOptions,
    *,
    terminal: bool,
    variables: Mapping[str, str],
) -> BuildRequest:
    """Add the other values to a request, and make sure that all of it can be had on this machine.

    Args:
        request: From :func:`read_options`.
        options: What it was read from.
        terminal: Whether an output to ``-`` would go to a terminal, which gets no archives.
        variables: The environment.

    Raises:
        InputError: A value cannot be used, or not beside another.
    """
    if request.no_cache and request.no_cache_filter:
        raise InputError("--no-cache and --no-cache-filter cannot currently be used together")
    resources = parse_resources(options.get("resources", ()))
    platforms = parse_all(options.get("platforms", ()))
    here = Path(request.working_directory)
    outputs = with_shorthands(
        request.outputs, push=options.get("push", False), load=options.get("load", False)
    )
    fitted = check_outputs(outputs, working_directory=here, terminal=terminal)
    allow = parse_allow(options.get("allow", ()))
    if any(output.deletes for output in outputs):  # fitted before paths are followed
        outputs = check_deletion(outputs, allow, here, variables.get("HOME", ""))
        fitted = check_outputs(outputs, working_directory=here, terminal=terminal)
    return evolve(
        request,
        outputs=fitted,
        resources=resources,
        platforms=platforms,
        allow=allow,
        annotations=parse_annotations(options.get("annotations", ())),
    )


def check_request(request: BuildRequest) -> None:
    """Make sure of values that any daemon would refuse, or worse, take for something else.

    Raises:
        InputError: One cannot be used.
    """
    check_tags(request)
    check_network_and_hosts(request)


def check_tags(request: BuildRequest) -> None:
    """Make sure of the image's names.

    Raises:
        InputError: One cannot be used.
    """
    for tag in request.tags:
        check_tag(tag)


def check_network_and_hosts(request: BuildRequest) -> None:
    """Make sure of what is said of the build's network; the context is looked at before it.

    Raises:
        InputError: It cannot be used.
    """
    check_network(request.network)
    check_hosts(request.add_hosts)


def _outputs(options: BuildOptions, *, image_id: bool) -> tuple[Output, ...]:
    given = tuple(options.get("outputs", ()))
    ready = (output for output in given if isinstance(output, Output))
    outputs = (*ready, *parse_outputs(output for output in given if isinstance(output, str)))
    if image_id and any(output.type in {"local", "tar"} for output in outputs):
        raise InputError("local and tar exporters are incompatible with image ID file")
    return outputs
