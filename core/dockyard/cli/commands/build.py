"""``build``: flags to a request, the build itself with its display, and what is left behind."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.errors import DaemonError, DockyardError, InputError
from dockyard.fsutil.name import reason

if TYPE_CHECKING:
    from dockyard.builder.builder import Builder
    from dockyard.building.workbench import Workbench
    from dockyard.driver import BuildRequest, BuildResult

_IGNORED_LEGACY = ("compress", "force-rm", "rm")
_WARNED_LEGACY = {
    "isolation": "isolation flag is deprecated with BuildKit.",
    "security-opt": 'security-opt flag is deprecated. "RUN --security=insecure" should be used '
    "with BuildKit.",
    "squash": "experimental flag squash is removed with BuildKit. You should squash inside build "
    "using a multi-stage Dockerfile for efficiency.",
}


def _flags(parser: CommandParser) -> None:
    parser.texts("add-host", help='Add a custom host-to-IP mapping (format: "host:ip")')
    parser.texts("build-arg", help="Set build-time variables")
    parser.texts("cache-from", help='External cache sources (e.g., "user/app:cache")')
    parser.texts("cache-to", help='Cache export destinations (e.g., "user/app:cache")')
    parser.text("cgroup-parent", help="Set the parent cgroup for the RUN instructions")
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
    parser.text(
        "progress",
        default="auto",
        help='Set type of progress output ("auto", "none", "plain", "quiet", "rawjson", "tty")',
    )
    parser.switch("pull", help="Always attempt to pull all referenced images")
    parser.switch("push", help='Shorthand for "--output=type=registry"')
    parser.switch("quiet", short="q", help="Suppress the build output and print image ID")
    parser.text("shm-size", value="bytes", help="Shared memory size for build containers")
    parser.texts("tag", short="t", help='Image identifier (format: "[registry/]repository[:tag]")')
    parser.text("target", help="Set the target build stage to build")
    parser.texts("ulimit", value="ulimit", help="Ulimit options")
    for name in _IGNORED_LEGACY:
        parser.switch(name, help="Accepted and without effect", hidden=True)
    parser.text("isolation", help="Accepted and without effect", hidden=True)
    parser.texts("security-opt", help="Accepted and without effect", hidden=True)
    parser.switch("squash", help="Accepted and without effect", hidden=True)


def _run(invocation: Invocation, options: Options) -> int:
    mode = _progress_mode(options)
    _warn_of_legacy(invocation, options)
    request = _request(invocation, options)
    iidfile = _empty_iidfile(options, request)
    from dockyard.building.run import open_builder
    from dockyard.building.workbench import Workbench

    workbench = Workbench.of(invocation.environment, invocation.manager)
    builder = open_builder(workbench, invocation.builder, sticky_key=request.build_context)
    try:
        result = _build(invocation, workbench, builder, request, mode)
        _write_files(iidfile, options.metadata_file, result)
    except DockyardError as error:
        raise _prefixed(error) from error
    if mode == "quiet":
        invocation.echo(result.image_id)
    return 0


COMMAND = Command(usage="[OPTIONS] PATH | URL | -", arguments=(1, 1), flags=_flags, run=_run)


# --- before ---------------------------------------------------------------------------------


def _progress_mode(options: Options) -> str:
    from dockyard.progress import MODES

    mode: str = options.progress
    if mode not in MODES:
        raise InputError(f"invalid progress mode {mode}", hint=f"the modes are {', '.join(MODES)}")
    if options.quiet:
        if mode not in {"auto", "quiet"}:
            raise InputError(f"progress={mode} and quiet cannot be used together")
        return "quiet"
    return mode


def _warn_of_legacy(invocation: Invocation, options: Options) -> None:
    for name, words in _WARNED_LEGACY.items():
        if getattr(options, name.replace("-", "_")):
            invocation.warn(words)


def _request(invocation: Invocation, options: Options) -> BuildRequest:
    from dockyard.building.option import parse_assignments, parse_labels
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
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        stdin=invocation.stdin.buffer,
        stdout=invocation.stdout.buffer,
        working_directory=environment.working_directory,
    )
    return make_request(options.arguments[0], given, terminal=invocation.stdout.isatty())


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


def _write_files(iidfile: Path | None, metadata_file: str, result: BuildResult) -> None:
    if iidfile is not None:
        _replace(iidfile, result.image_id)
    if metadata_file:
        import json

        _replace(
            Path(metadata_file),
            json.dumps(result.metadata, indent=2, sort_keys=True, ensure_ascii=False),
        )


def _replace(path: Path, content: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {reason(error)}") from error


def _prefixed(error: DockyardError) -> DockyardError:
    """Say where it failed, in the words that the reference has for it."""
    by_daemon = isinstance(error, DaemonError)
    error.message = f"failed to build: {'failed to solve: ' if by_daemon else ''}{error.message}"
    return error
