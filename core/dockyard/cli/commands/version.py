"""``version``: which Dockyard this is."""

from __future__ import annotations

from dockyard.cli.invocation import Invocation
from dockyard.cli.main import VERSION_LINE
from dockyard.cli.parser import Command, Options


def _run(invocation: Invocation, options: Options) -> int:
    invocation.echo(VERSION_LINE)
    return 0


COMMAND = Command(run=_run, usage="", has_builder_flag=False)
