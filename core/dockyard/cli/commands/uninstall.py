"""``uninstall``: take back what ``install`` did."""

from __future__ import annotations

from dockyard.cli.alias import remove_alias
from dockyard.cli.invocation import Invocation, Mode
from dockyard.cli.parser import Command, Options
from dockyard.cli.plugin_file import plugin_path, uninstall


def _run(invocation: Invocation, options: Options) -> int:
    if invocation.mode is not Mode.DOCKYARD:
        invocation.note('Command "uninstall" is deprecated')
        remove_alias(invocation.environment)
        return 0
    path = uninstall(invocation.environment)
    if path is None:
        invocation.note(f"nothing to remove: {plugin_path(invocation.environment)} does not exist")
    else:
        invocation.echo(f"removed {path}")
    return 0


COMMAND = Command(usage="", run=_run, has_builder_flag=False)
