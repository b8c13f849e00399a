"""From a command line to a command, and from what it raises to an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.cli.invocation import Invocation, Mode
from dockyard.cli.parser import Command, CommandParser, Options, flag_lines
from dockyard.errors import BuildError, CanceledError, DockyardError, FlagError, UsageError

if TYPE_CHECKING:
    from dockyard.config import Environment, TLSFlags

SUMMARY = "Image builds with BuildKit, on drivers that you pip install"

COMMANDS: Mapping[str, tuple[str, str]] = {
    "build": ("build", "Start a build"),
    "create": ("create", "Create a new builder instance"),
    "dial-stdio": ("dial_stdio", "Proxy current stdio streams to builder instance"),
    "drivers": ("drivers", "Show the installed drivers and what they can do"),
    "inspect": ("inspect", "Inspect current builder instance"),
    "install": ("install", "Install Dockyard as docker's plugin for docker buildx"),
    "ls": ("ls", "List builder instances"),
    "rm": ("rm", "Remove one or more builder instances"),
    "stop": ("stop", "Stop builder instance"),
    "uninstall": ("uninstall", "Remove Dockyard from docker's plugins"),
    "update": ("update", "Change a builder's settings and keep its build cache"),
    "use": ("use", "Set the current builder instance"),
    "version": ("version", "Show version information"),
}
"""What each command's module is called, and its line in the help."""

_ALIASES = {"b": "build"}
_DEPRECATED_AS_BUILDX = frozenset({"install", "uninstall"})


class _Job(NamedTuple):
    """What a command line asks for."""

    run: Callable[[], int]
    """Does it; gives the exit code."""
    debug: bool = False
    """Whether an error is shown with everything that led to it."""


class _Globals(NamedTuple):
    """What stood on the command line before the command."""

    builder: str | None = None
    """None where nothing was said; empty is the selected one, whatever the environment says."""
    debug: bool = False
    docker_debug: bool = False
    """Whether docker itself was told to debug, of which we are a plugin."""
    help: bool = False
    docker_config: str | None = None
    host: str | None = None
    docker_context: str | None = None
    tls: TLSFlags | None = None


def run(line: Sequence[str], mode: Mode) -> int:
    """Run a command line; gives the exit code. Every error becomes a line on ``stderr``."""
    debug = False
    try:
        job = _read(line, mode)
        debug = job.debug
        code = job.run()
        sys.stdout.flush()
    except DockyardError as error:
        return _fail(error, mode, debug=debug)
    except KeyboardInterrupt:
        return _fail(CanceledError(), mode, debug=False)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Say nothing, also not when streams are flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _read(line: Sequence[str], mode: Mode) -> _Job:
    """Find out what a command line asks for.

    Raises:
        UsageError: It cannot be understood.
    """
    settings, rest = _split(line, mode)
    if not rest or settings.help or rest[0] == "help":
        return _Job(lambda: _help(rest, mode))
    if rest[0] in {"__complete", "__completeNoDesc"}:
        return _Job(lambda: _complete(rest[1:]))
    name = _ALIASES.get(rest[0], rest[0])
    if name not in COMMANDS:
        sys.stdout.write(_root_help(mode))
        sys.stdout.flush()
        raise UsageError(f'unknown command: "{rest[0]}"')
    command = _command(name)
    parser = _parser(name, command, mode)
    try:
        options = parser.parse(rest[1:], command.arguments)
    except FlagError as error:
        if mode is Mode.PLUGIN:
            raise _with_usage(error, parser) from error
        raise
    if options.help:
        return _Job(lambda: _show(parser.help_text()))
    debug = options.debug or settings.debug
    # A plugin's own flag shows what led to an error, and only docker's expands warnings.
    expand = settings.docker_debug if mode is Mode.PLUGIN else debug
    return _Job(lambda: _run(command, options, settings, mode, debug=expand), debug)


def _with_usage(error: FlagError, parser: CommandParser) -> FlagError:
    return FlagError(f"{error}\n\n{parser.short_usage()}", hint=error.hint)


def _run(command: Command, options: Options, settings: _Globals, mode: Mode, *, debug: bool) -> int:
    from dockyard.config import Environment

    environment = Environment.from_process(
        docker_config=settings.docker_config,
        host=settings.host,
        docker_context=settings.docker_context,
        tls=settings.tls,
    )
    invocation = Invocation(
        mode=mode,
        environment=environment,
        builder=_builder(options, settings, environment),
        debug=debug,
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
    return command.run(invocation, options)


def _builder(options: Options, settings: _Globals, environment: Environment) -> str:
    name: str | None = options.builder if "builder" in options.given else settings.builder
    return environment.get("BUILDX_BUILDER") if name is None else name


def _split(line: Sequence[str], mode: Mode) -> tuple[_Globals, list[str]]:
    """Read the flags before the command, docker's own and ours; give the rest of the line.

    Raises:
        FlagError: A flag is unknown or lacks its value.
    """
    if mode is not Mode.PLUGIN:
        return _take_flags(line, _root_parser(mode))
    # As a plugin we get docker's whole command line; its flags stand before the word buildx.
    theirs, rest = _take_flags(line, _docker_parser())
    if rest[:1] != ["buildx"]:
        return theirs, rest
    parser = _root_parser(mode)
    try:
        ours, rest = _take_flags(rest[1:], parser)
    except FlagError as error:
        raise _with_usage(error, parser) from error
    return theirs._replace(
        builder=ours.builder,
        debug=ours.debug or theirs.debug,
        docker_debug=theirs.debug,
        help=ours.help or theirs.help,
    ), rest


def _take_flags(line: Sequence[str], parser: CommandParser) -> tuple[_Globals, list[str]]:
    head, rest = parser.split_head(line)
    options = vars(parser.parse(head))
    hosts = options.get("host") or [None]
    settings = _Globals(
        builder=options["builder"] if "builder" in options["given"] else None,
        debug=options.get("debug", False),
        help=options["help"],
        docker_config=options.get("config") or None,
        host=hosts[-1],
        docker_context=options.get("context") or None,
        tls=_tls(options),
    )
    return settings, rest


def _tls(options: Mapping[str, Any]) -> TLSFlags | None:
    """Give what the flags say of TLS; None when none of them was given."""
    if not any(name.startswith("tls") for name in options["given"]):
        return None
    from dockyard.config import TLSFlags

    return TLSFlags(
        enabled=options.get("tls"),
        verify=options.get("tlsverify"),
        ca=options.get("tlscacert") or None,
        cert=options.get("tlscert") or None,
        key=options.get("tlskey") or None,
    )


def _root_parser(mode: Mode) -> CommandParser:
    parser = CommandParser(mode.value, "[OPTIONS] COMMAND", summary=SUMMARY)
    _add_root_flags(parser, hidden=False)
    return parser


def _docker_parser() -> CommandParser:
    parser = CommandParser("docker", "[OPTIONS] COMMAND")
    parser.switch("debug", short="D", help="")
    parser.text("config", help="")
    parser.text("log-level", short="l", help="")
    parser.texts("host", short="H", help="")
    parser.text("context", short="c", help="")
    parser.switch("tls", help="", default=None)
    parser.switch("tlsverify", help="", default=None)
    for name in ("tlscacert", "tlscert", "tlskey"):
        parser.text(name, help="")
    return parser


def _add_root_flags(parser: CommandParser, *, hidden: bool) -> None:
    parser.text("builder", help="Override the configured builder instance", hidden=hidden)
    parser.switch("debug", short="D", help="Enable debug logging", hidden=hidden)


def _command(name: str) -> Command:
    module = importlib.import_module(f"dockyard.cli.commands.{COMMANDS[name][0]}")
    command: Command = module.COMMAND
    return command


def _parser(name: str, command: Command, mode: Mode) -> CommandParser:
    parser = CommandParser(f"{mode.value} {name}", command.usage, summary=COMMANDS[name][1])
    _add_root_flags(parser, hidden=not command.has_builder_flag)
    command.flags(parser)
    return parser


# --- help ------------------------------------------------------------------------------------


def _help(rest: Sequence[str], mode: Mode) -> int:
    # Docker hands "docker help buildx ls" on as it is.
    names = [word for word in rest if word not in {"help", "buildx"}]
    if not names:
        return _show(_root_help(mode))
    name = _ALIASES.get(names[0], names[0])
    if name not in COMMANDS:
        sys.stdout.write(_root_help(mode))
        sys.stdout.flush()
        raise UsageError(f'unknown command: "{names[0]}"')
    return _show(_parser(name, _command(name), mode).help_text())


def _show(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _root_help(mode: Mode) -> str:
    shown = {
        name: summary
        for name, (_, summary) in COMMANDS.items()
        if mode is Mode.DOCKYARD or name not in _DEPRECATED_AS_BUILDX
    }
    width = max(map(len, shown)) + 3
    return "\n".join(
        [
            f"Usage:  {mode.value} [OPTIONS] COMMAND",
            "",
            SUMMARY,
            "",
            "Options:",
            *flag_lines(_root_parser(mode).shown_flags()),
            "",
            "Commands:",
            *(f"  {name.ljust(width)}{summary}" for name, summary in shown.items()),
            "",
            f"Run '{mode.value} COMMAND --help' for more information on a command.",
            "",
        ]
    )


def _complete(words: Sequence[str]) -> int:
    """Offer the commands to a shell that completes the first word; leave the rest to the shell."""
    words = words[1:] if words[:1] == ["buildx"] else words
    if len(words) == 1:
        for name, (_, summary) in COMMANDS.items():
            if name.startswith(words[0]):
                sys.stdout.write(f"{name}\t{summary}\n")
    sys.stdout.write(":4\n" if len(words) == 1 else ":0\n")
    return 0


# --- errors ----------------------------------------------------------------------------------


def _fail(error: DockyardError, mode: Mode, *, debug: bool) -> int:
    text = _text(error, mode)
    if debug:
        import traceback

        text += "".join(traceback.format_exception(error))
        text += "".join(f"{stack}\n" for stack in getattr(error, "stacks", ()))
    try:
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _exit_code(error, mode)


def _text(error: DockyardError, mode: Mode) -> str:
    excerpts = "".join(
        f"{excerpt}\n" for excerpt in (error.excerpts if isinstance(error, BuildError) else ())
    )
    hint = f"{error.hint}\n" if error.hint else ""
    if isinstance(error, FlagError) and mode is Mode.PLUGIN:
        return f"{error}\n{hint}"
    return f"{excerpts}ERROR: {error}\n{hint}"


def _exit_code(error: DockyardError, mode: Mode) -> int:
    if mode is not Mode.DOCKYARD and isinstance(error, UsageError):
        return 125 if mode is Mode.PLUGIN and isinstance(error, FlagError) else 1
    return error.exit_code
