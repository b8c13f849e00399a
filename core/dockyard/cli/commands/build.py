"""``build``: flags to a request, the build itself with its display, and what is left behind."""

from __future__ import annotations

import os
from contextlib import suppress
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
from dockyard.fsutil.name import reason

if TYPE_CHECKING:
    from dockyard.builder.builder import Builder
    from dockyard.building.call.grammar import Call
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
    parser.texts("add-host", help='Add a custom host-to-IP mapping (format: "host:ip")')
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
    parser.texts("no-cache-filter", csv=True, help="Do not cache specified stages")
    parser.texts("output", short="o", help='Output destination (format: "type=local,dest=path")')
    parser.texts("platform", csv=True, help="Set target platform for build")
    parser.texts("policy", help='Policy configuration (format: "disabled=true")')
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
    parser.text("shm-size", value="bytes", help="Shared memory size for build containers")
    parser.texts(
        "ssh",
        help="SSH agent socket or keys to expose to the build "
        '(format: "default|<id>[=<socket>|<key>[,<key>]]")',
    )
    parser.texts("tag", short="t", help='Image identifier (format: "[registry/]repository[:tag]")')
    parser.text("target", help="Set the target build stage to build")
    parser.texts("ulimit", value="ulimit", help="Ulimit options")
    from dockyard.building.grammar.resource import NAMES

    for name in NAMES:
        short = _LEGACY_SHORTS.get(name, "")
        parser.text(name, short=short, help="Shorthand for --resource", hidden=True)
    for name in _IGNORED_LEGACY:
        parser.switch(name, help="Accepted and without effect", hidden=True)
    parser.text("isolation", help="Accepted and without effect", hidden=True)
    parser.text("print", help="An older name of --call", hidden=True)
    parser.texts("security-opt", help="Accepted and without effect", hidden=True)
    parser.switch("squash", help="Accepted and without effect", hidden=True)


def _run(invocation: Invocation, options: Options) -> int:
    mode = _progress_mode(options)
    _warn_of_legacy(invocation, options)
    call = _call(options)
    request = _request(invocation, options)
    if call is not None:
        from dockyard.building.call.lead import as_call

        request = as_call(request, call.name)
    iidfile = _empty_iidfile(options, request)
    from dockyard.building.run import open_builder, sticky_key
    from dockyard.building.workbench import Workbench

    workbench = Workbench.of(invocation.environment, invocation.manager)
    builder = open_builder(workbench, invocation.builder, sticky_key=sticky_key(request))
    try:
        result = _build(invocation, workbench, builder, request, mode)
        _write_files(invocation, iidfile, options.metadata_file, result)
    except DockyardError as error:
        _tell_programs(invocation, mode, error)
        raise _prefixed(error) from error
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


def _progress_mode(options: Options) -> str:
    from dockyard.progress import MODES

    mode: str = options.progress or "auto"
    if mode not in MODES:
        raise InputError(f"invalid progress mode {mode}", hint=f"the modes are {', '.join(MODES)}")
    if options.quiet:
        if mode not in {"auto", "quiet"}:
            raise InputError(f"progress={mode} and quiet cannot be used together")
        return "quiet"
    return mode


def _call(options: Options) -> Call | None:
    from dockyard.building.call.grammar import parse_call

    text = ""
    for name in options.given:  # the last one counts
        if name == "check":
            text = "check" if options.check else text
        elif name in {"call", "print"}:
            text = getattr(options, name)
    return parse_call(text)


def _warn_of_legacy(invocation: Invocation, options: Options) -> None:
    for name, words in _WARNED_LEGACY.items():
        if getattr(options, name.replace("-", "_")):
            invocation.warn(words)


def _request(invocation: Invocation, options: Options) -> BuildRequest:
    from dockyard.building.grammar.option import parse_assignments, parse_labels
    from dockyard.building.request import BuildOptions, make_request

    environment = invocation.environment
    default_platform = environment.get("DOCKER_DEFAULT_PLATFORM")
    given = BuildOptions(
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
        add_hosts=options.add_host,
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
        stdin=invocation.stdin.buffer,
        stdout=invocation.stdout.buffer,
        working_directory=environment.working_directory,
    )
    return make_request(
        options.arguments[0],
        given,
        terminal=invocation.stdout.isatty(),
        variables=environment.variables,
    )


def _resources(options: Options) -> list[str]:
    """Give the limits, those first that were said by flags of their own."""
    from dockyard.building.grammar.resource import NAMES

    named = ((name, getattr(options, name.replace("-", "_"))) for name in NAMES)
    return [*(f"{name}={value}" for name, value in named if value), *options.resource]


def _metadata_provenance(invocation: Invocation, options: Options) -> str:
    if not options.metadata_file:
        return ""
    from dockyard.building.results.provenance import provenance_mode

    return provenance_mode(invocation.environment.get("BUILDX_METADATA_PROVENANCE"))


def _empty_iidfile(options: Options, request: BuildRequest) -> Path | None:
    """Remove an earlier build's image id, so that a failed build leaves none."""
    if not options.iidfile:
        return None
    if any(output.type in {"local", "tar"} for output in request.outputs):
        raise InputError("local and tar exporters are incompatible with image ID file")
    path = Path(request.working_directory, str(options.iidfile))
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"removing image ID file {path}: {reason(error)}") from error
    return path


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


def _write_files(
    invocation: Invocation, iidfile: Path | None, metadata_file: str, result: BuildResult
) -> None:
    if iidfile is not None:
        _replace(iidfile, _image_id(result))
    if metadata_file:
        import json

        metadata = result.metadata
        if result.warnings and _with_warnings(invocation):
            from dockyard.progress.rawjson import warning_values

            metadata["buildx.build.warnings"] = [warning_values(each) for each in result.warnings]
        text = json.dumps(metadata, indent=2, sort_keys=True, ensure_ascii=False)
        _replace(Path(metadata_file), text)


def _with_warnings(invocation: Invocation) -> bool:
    try:
        return boolean(invocation.environment.get("BUILDX_METADATA_WARNINGS"))
    except ValueError:
        return False


def _replace(path: Path, content: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.parent / f".{path.name[:200]}.{os.urandom(6).hex()}"
    try:
        # Half a character, as JSON may have it, is escaped as JSON has it.
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {reason(error)}") from error


def _image_id(result: BuildResult) -> str:
    """Give what the daemon says the image is called, which programs will believe."""
    if not result.image_id.isascii() or not result.image_id.isprintable():
        raise ProtocolError("the daemon gives the image an id that makes no sense")
    return result.image_id


def _readable(text: str) -> str:
    """Leave out what a terminal would not show, but obey."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")


def _tell_programs(invocation: Invocation, mode: str, error: DockyardError) -> None:
    """Add the error to the progress, if that is for programs."""
    from dockyard.progress import resolve_mode

    variables = invocation.environment.variables
    if resolve_mode(mode, variables, terminal=invocation.stderr.isatty()) == "rawjson":
        from dockyard.progress.failure import error_line

        invocation.note(error_line(error))


def _prefixed(error: DockyardError) -> DockyardError:
    """Say where it failed, in the words that the reference has for it."""
    by_daemon = isinstance(error, DaemonError) and not isinstance(error, CapabilityError)
    error.message = f"failed to build: {'failed to solve: ' if by_daemon else ''}{error.message}"
    return error
