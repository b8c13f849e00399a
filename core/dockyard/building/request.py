"""Make a request of what was said, on the command line or in Python, everything in it checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, TypedDict

from dockyard.building.grammar.annotation import parse_annotations
from dockyard.building.grammar.attestation import parse_attestations
from dockyard.building.grammar.entitlement import check_deletion, parse_allow
from dockyard.building.grammar.option import (
    parse_add_host,
    parse_cache,
    parse_network,
    parse_size,
    parse_ulimit,
)
from dockyard.building.grammar.output import check_outputs, parse_outputs
from dockyard.building.grammar.reference import check_tag
from dockyard.building.grammar.resource import parse_resources
from dockyard.building.grammar.secret import parse_secrets
from dockyard.building.grammar.ssh import parse_ssh
from dockyard.building.inputs.named import parse_build_contexts
from dockyard.building.inputs.rego import parse_policies
from dockyard.building.results.provenance import check_mode
from dockyard.driver import BuildRequest, Output, SshAgent
from dockyard.errors import InputError
from dockyard.platforms import parse_list


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
    """``name:address`` each; the address may be ``host-gateway``."""
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
    """``disabled=true`` builds in spite of a policy in Rego, which is refused otherwise."""
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
    """Make a request.

    Args:
        build_context: A directory, ``-`` for ``stdin``, or a git or HTTP URL.
        options: What else was said.
        terminal: Whether an output to ``-`` would go to a terminal, which gets no archives.
        variables: The environment, from which secrets and the ssh agent may come.

    Raises:
        InputError: A value cannot be used; says which and why.
    """
    no_cache = options.get("no_cache", False)
    no_cache_filter = tuple(options.get("no_cache_filter", ()))
    if no_cache and no_cache_filter:
        raise InputError("--no-cache and --no-cache-filter cannot currently be used together")
    dockerfile = options.get("dockerfile")
    here = Path(options.get("working_directory", ".")).absolute()
    return BuildRequest(
        build_context=str(build_context),
        dockerfile=None if dockerfile is None else str(dockerfile),
        tags=tuple(check_tag(tag) for tag in options.get("tags", ())),
        outputs=_outputs(options, here, terminal=terminal, home=variables.get("HOME", "")),
        target=options.get("target", ""),
        build_args=dict(options.get("build_args", {})),
        labels=dict(options.get("labels", {})),
        platforms=parse_list(options.get("platforms", ())),
        no_cache=no_cache,
        no_cache_filter=no_cache_filter,
        pull=options.get("pull", False),
        add_hosts=tuple(
            pair
            for value in filter(None, options.get("add_hosts", ()))
            for pair in parse_add_host(value)
        ),
        network=parse_network(options.get("network", "")),
        shm_size=parse_size(str(options.get("shm_size", 0)), "shm-size"),
        ulimits=tuple(parse_ulimit(value) for value in options.get("ulimits", ())),
        cgroup_parent=options.get("cgroup_parent", ""),
        resources=parse_resources(options.get("resources", ())),
        allow=parse_allow(options.get("allow", ())),
        attestations=parse_attestations(
            options.get("attest", ()),
            provenance=options.get("provenance", ""),
            sbom=options.get("sbom", ""),
        ),
        annotations=parse_annotations(options.get("annotations", ())),
        metadata_provenance=check_mode(options.get("metadata_provenance", "")),
        cache_from=parse_cache(options.get("cache_from", ())),
        cache_to=parse_cache(options.get("cache_to", ())),
        secrets=parse_secrets(options.get("secrets", ()), variables),
        ssh=parse_ssh(options.get("ssh", ()), variables, str(build_context)),
        build_contexts=parse_build_contexts(options.get("build_contexts", ())),
        policies_disabled=parse_policies(options.get("policies", ())),
        stdin=options.get("stdin"),
        stdout=options.get("stdout"),
        working_directory=str(here),
    )


def _outputs(options: BuildOptions, here: Path, *, terminal: bool, home: str) -> tuple[Output, ...]:
    given = tuple(options.get("outputs", ()))
    parsed = parse_outputs(
        [output for output in given if isinstance(output, str)],
        push=options.get("push", False),
        load=options.get("load", False),
    )
    ready = (output for output in given if isinstance(output, Output))
    outputs = (*ready, *parsed)
    check_outputs(outputs, working_directory=here, terminal=terminal)  # before paths are followed
    outputs = check_deletion(outputs, tuple(options.get("allow", ())), here, home)
    return check_outputs(outputs, working_directory=here, terminal=terminal)
