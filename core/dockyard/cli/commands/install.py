"""``install``: become docker's plugin; as ``docker buildx`` the older thing, docker's alias."""

from __future__ import annotations

from dockyard.cli.alias import set_alias
from dockyard.cli.invocation import Invocation, Mode
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.cli.plugin_file import install


def _flags(parser: CommandParser) -> None:
    parser.switch("force", short="f", help="Replace another program's plugin")


def _run(invocation: Invocation, options: Options) -> int:
    if invocation.mode is not Mode.DOCKYARD:
        invocation.note(
            "Command \"install\" is deprecated, use 'docker buildx' directly, "
            "without relying on the 'docker builder' alias"
        )
        set_alias(invocation.environment)
        return 0
    path = install(invocation.environment, force=options.force)
    invocation.echo(f"installed {path}")
    return 0


COMMAND = Command(flags=_flags, run=_run, has_builder_flag=False)
