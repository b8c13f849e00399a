"""``build``: flags to a request, the build itself with its display, and what is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.driver.option import boolean
from dockyard.errors import (
    CapabilityError,
    DaemonError,
    DockyardError,
    InputError,
    ProtocolError,
)
from dockyard.quote import in_line

if TYPE_CHECKING:
    from dockyard.builder.builder import Builder
    from dockyard.building.call.grammar import Call
    from dockyard.building.request import BuildOptions
    from dockyard.building.workbench import Workbench
    from dockyard.driver import BuildRequest, BuildResult

_IGNORED_LEGACY = ("compress", "force-rm", "rm")
_LEGACY_SHORTS = {"memory": "m", "cpu-shares": "c"}
_WARNED_LEGACY = {
    "isolation": "isolation flag is deprecated with BuildKit.",
    "security-opt": 'security-opt flag is deprecated. "RUN --security=insecure" should be used '
    "with BuildKit.",
    "squash": "experimental flag squash is removed with BuildKit. You should squash inside build "
    "using a multi-stage Dockerfile for efficiency.",
}

_MESSAGE = "frontend.result.inlinemessage"
"""What a frontend has to say to whoever asked for the build."""


def _flags(parser: CommandParser) -> None:
    from dockyard.building.grammar.csvline import strings
    from dockyard.building.grammar.number import byte_count, ulimit
    from dockyard.building.grammar.resource import NAMES

    parser.texts(
        "add-host", parse=strings, help='Add a custom host-to-IP mapping (format: "host:ip")'
    )
    parser.texts(
        "allow",
        help='Allow extra privileged entitlement (e.g., "network.host", "security.insecure", '
        '"device", "buildx.local.delete")',
    )
    parser.texts("annotation", help="Add annotation to the image")
    parser.texts("attest", help='Attestation parameters (format: "type=sbom,generator=image")')
    parser.texts("build-arg", help="Set build-time variables")
    parser.texts("build-context", help='Additional build contexts (e.g., "name=path")')
    parser.texts("cache-from", help='External cache sources (e.g., "user/app:cache")')
    parser.texts("cache-to", help='Cache export destinations (e.g., "user/app:cache")')
    parser.text(
        "call",
        default="build",
        help='Set method for evaluating build ("check", "outline", "targets")',
    )
    parser.text("cgroup-parent", help="Set the parent cgroup for the RUN instructions")
    parser.switch("check", help='Shorthand for "--call=check"')
    parser.text("file", short="f", help='Name of the Dockerfile (default: "PATH/Dockerfile")')
    parser.text("iidfile", help="Write the image ID to a file")
    parser.texts("label", help="Set metadata for an image")
    parser.switch("load", help='Shorthand for "--output=type=docker"')
    parser.text("metadata-file", help="Write build result metadata to a file")
    parser.text("network", help="Set the networking mode for the RUN instructions")
    parser.switch("no-cache", help="Do not use cache when building the image")
    parser.texts("no-cache-filter", help="Do not cache specified stages")
    parser.texts("output", short="o", help='Output destination (format: "type=local,dest=path")')
    parser.texts("platform", help="Set target platform for build")
    parser.texts("policy", help='Policy configuration (format: "filename=path[,strict=true]")')
    parser.text(
        "progress",
        default="auto",
        help='Set type of progress output ("auto", "none", "plain", "quiet", "rawjson", "tty")',
    )
    parser.text("provenance", help='Shorthand for "--attest=type=provenance"')
    parser.switch("pull", help="Always attempt to pull all referenced images")
    parser.switch("push", help='Shorthand for "--output=type=registry"')
    parser.switch("quiet", short="q", help="Suppress the build output and print image ID")
    parser.texts(
        "resource",
        help='Resource limits for build containers (format: "memory=2g", "cpu-quota=50000")',
    )
    parser.text("sbom", help='Shorthand for "--attest=type=sbom"')
    parser.texts(
        "secret", help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'
    )
    parser.text(
        "shm-size", value="bytes", parse=byte_count, help="Shared memory size for build containers"
    )
    parser.texts(
        "ssh",
        help="SSH agent socket or keys to expose to the build "
        '(format: "default|<id>[=<socket>|<key>[,<key>]]")',
    )
    parser.texts("tag", short="t", help='Image identifier (format: "[registry/]repository[:tag]")')
    parser.text("target", help="Set the target build stage to build")
    parser.texts("ulimit", value="ulimit", parse=ulimit, help="Ulimit options")
    for name in NAMES:
        short = _LEGACY_SHORTS.get(name, "")
        parser.texts(name, short=short, help="Shorthand for --resource", hidden=True)
    for name in _IGNORED_LEGACY:
        parser.switch(name, help="Accepted and without effect", hidden=True)
    parser.text("isolation", help="Accepted and without effect", hidden=True)
    parser.text("print", help="An older name of --call", hidden=True)
    parser.texts("security-opt", help="Accepted and without effect", hidden=True)
    parser.switch("squash", help="Accepted and without effect", hidden=True)


def _run(invocation: Invocation, options: Options) -> int:
    _warn_of_legacy(invocation, options)
    given = _given(invocation, options)
    request, call = _read(invocation, options, given)
    here = Path(request.working_directory)
    if options.iidfile:
        from dockyard.cli.result_file import remove_image_id

        remove_image_id(here, options.iidfile)
    from dockyard.building.run import open_builder, sticky_key
    from dockyard.building.workbench import Workbench

    workbench = Workbench.of(invocation.environment, invocation.manager)
    builder = open_builder(workbench, invocation.builder, sticky_key=sticky_key(request))
    mode = _progress_mode(invocation, options)
    with _prefixing(), _telling_programs(invocation, mode):
        request = _fit(invocation, given, request, call)
        result = _build(invocation, workbench, builder, request, mode)
    with _telling_programs(invocation, mode):
        _write_files(invocation, options, here, result)
    if call is not None:
        from dockyard.cli.call import show_call

        return show_call(call, result.response, request, invocation.echo)
    if mode == "quiet":
        invocation.echo(_image_id(result))
    if _MESSAGE in result.response:
        invocation.echo(f"\n{_readable(result.response[_MESSAGE])}")
    return 0


COMMAND = Command(usage="[OPTIONS] PATH | URL | -", arguments=(1, 1), flags=_flags, run=_run)


# --- before ---------------------------------------------------------------------------------


def _progress_mode(invocation: Invocation, options: Options) -> str:
    from dockyard.progress import resolve_mode

    mode: str = options.progress
    if options.quiet:
        if mode not in {"auto", "quiet", "none"}:
            raise InputError(f"progress={in_line(mode)} and quiet cannot be used together")
        return "quiet"
    resolve_mode(mode, invocation.environment.variables, terminal=False)  # checks it
    return mode or "auto"


def _call(options: Options) -> Call | None:
    text = ""
    for name in options.given:  # the last one counts
        if name == "check":
            text = "check" if options.check else text
        elif name in {"call", "print"}:
            text = getattr(options, name)
    if not text:
        return None
    from dockyard.building.call.grammar import parse_call

    return parse_call(text)


def _warn_of_legacy(invocation: Invocation, options: Options) -> None:
    for name, words in _WARNED_LEGACY.items():
        if name in options.given:
            invocation.warn(words)


def _given(invocation: Invocation, options: Options) -> BuildOptions:
    from dockyard.building.grammar.option import parse_assignments, parse_labels
    from dockyard.building.request import BuildOptions

    environment = invocation.environment
    default_platform = environment.get("DOCKER_DEFAULT_PLATFORM")
    return BuildOptions(
        dockerfile=options.file or None,
        tags=options.tag,
        outputs=options.output,
        load=options.load,
        push=options.push,
        target=options.target,
        build_args=parse_assignments(options.build_arg, environment.variables),
        labels=parse_labels(options.label),
        platforms=options.platform or ([default_platform] if default_platform else []),
        no_cache=options.no_cache,
        no_cache_filter=options.no_cache_filter,
        pull=options.pull,
        add_hosts=[host for hosts in options.add_host for host in hosts],
        network=options.network,
        shm_size=options.shm_size or 0,
        ulimits=options.ulimit,
        cgroup_parent=options.cgroup_parent,
        resources=_resources(options),
        allow=options.allow,
        attest=options.attest,
        provenance=options.provenance,
        sbom=options.sbom,
        annotations=options.annotation,
        metadata_provenance=_metadata_provenance(invocation, options),
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        secrets=options.secret,
        ssh=options.ssh,
        build_contexts=options.build_context,
        policies=options.policy,
        stdin=getattr(invocation.stdin, "buffer", None),  # none when it is closed
        stdout=getattr(invocation.stdout, "buffer", None),
        working_directory=environment.working_directory,
    )


def _read(
    invocation: Invocation, options: Options, given: BuildOptions
) -> tuple[BuildRequest, Call | None]:
    """Read the flags that have a grammar: what is wrong with them is no build that failed."""
    from attrs import evolve

    from dockyard.building.inputs.extras import open_source_policy
    from dockyard.building.request import read_options

    environment = invocation.environment
    policy = open_source_policy(environment)
    request = read_options(
        options.arguments[0], given, environment.variables, image_id=bool(options.iidfile)
    )
    return evolve(request, source_policy=policy), _call(options)


def _fit(
    invocation: Invocation, given: BuildOptions, request: BuildRequest, call: Call | None
) -> BuildRequest:
    """Read the other flags, and make a call of the build if it is one."""
    from dockyard.building.request import fit_options

    terminal, variables = invocation.stdout.isatty(), invocation.environment.variables
    request = fit_options(request, given, terminal=terminal, variables=variables)
    if call is None:
        return request
    from dockyard.building.call.request import as_call

    return as_call(request, call.name)


def _resources(options: Options) -> list[str]:
    """Give the limits, those first that were said by flags of their own."""
    from dockyard.building.grammar.resource import NAMES

    said = {name: iter(getattr(options, name.replace("-", "_"))) for name in NAMES}
    named = [f"{name}={next(said[name])}" for name in options.given if name in said]
    return [*named, *options.resource]


def _metadata_provenance(invocation: Invocation, options: Options) -> str:
    if not options.metadata_file:
        return ""
    from dockyard.building.results.provenance import provenance_mode

    return provenance_mode(invocation.environment.get("BUILDX_METADATA_PROVENANCE"))


# --- during ---------------------------------------------------------------------------------


def _build(
    invocation: Invocation,
    workbench: Workbench,
    builder: Builder,
    request: BuildRequest,
    mode: str,
) -> BuildResult:
    """Build, and show how it goes."""
    from dockyard.building.run import run_build
    from dockyard.cli.watch import watch

    return watch(
        invocation,
        builder,
        lambda progress, cancel: run_build(
            workbench, builder, request, progress=progress, cancel=cancel
        ),
        mode=mode,
        titled=True,
    )


# --- after ----------------------------------------------------------------------------------


def _write_files(invocation: Invocation, options: Options, here: Path, result: BuildResult) -> None:
    if options.iidfile:
        from dockyard.cli.result_file import write_image_id

        write_image_id(here, options.iidfile, _image_id(result))
    if options.metadata_file:
        import json

        from dockyard.cli.result_file import write_metadata

        metadata = result.metadata
        if result.warnings and _with_warnings(invocation):
            from dockyard.progress.rawjson import warning_values

            metadata["buildx.build.warnings"] = [warning_values(each) for each in result.warnings]
        text = json.dumps(metadata, indent=2, sort_keys=True, ensure_ascii=False)
        write_metadata(here, options.metadata_file, text)


def _with_warnings(invocation: Invocation) -> bool:
    try:
        return boolean(invocation.environment.get("BUILDX_METADATA_WARNINGS"))
    except ValueError:
        return False


def _image_id(result: BuildResult) -> str:
    """Give what the daemon says the image is called, which programs will believe."""
    if not result.image_id.isascii() or not result.image_id.isprintable():
        raise ProtocolError("the daemon gives the image an id that makes no sense")
    return result.image_id


def _readable(text: str) -> str:
    """Leave out what a terminal would not show, but obey."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")


@contextmanager
def _telling_programs(invocation: Invocation, mode: str) -> Iterator[None]:
    """Add an error to the progress, if that is for programs."""
    try:
        yield
    except DockyardError as error:
        from dockyard.progress import resolve_mode

        variables = invocation.environment.variables
        if resolve_mode(mode, variables, terminal=invocation.stderr.isatty()) == "rawjson":
            from dockyard.progress.failure import error_line

            invocation.note(error_line(error))
        raise


@contextmanager
def _prefixing() -> Iterator[None]:
    """Say of an error that it is the build that failed, in the words of the reference."""
    try:
        yield
    except DockyardError as error:
        by_daemon = isinstance(error, DaemonError) and not isinstance(error, CapabilityError)
        solving = "failed to solve: " if by_daemon else ""
        error.message = f"failed to build: {solving}{error.message}"
        raise
