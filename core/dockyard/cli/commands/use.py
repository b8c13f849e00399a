"""``use``: select a builder."""

from __future__ import annotations

from dockyard.builder.name import is_valid
from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.engine.context import DEFAULT
from dockyard.errors import BuilderError, InvalidNameError, StoreError


def _flags(parser: CommandParser) -> None:
    parser.switch("default", help="Set builder as default for current context")
    parser.switch("global", help="Builder persists context changes")


def _run(invocation: Invocation, options: Options) -> int:
    name = options.arguments[0] if options.arguments else invocation.builder
    contexts = invocation.contexts
    key = contexts.endpoint_key()
    with invocation.store.locked() as records:
        if records.group(name) is not None:
            everywhere = vars(options)["global"]
            records.select(key, name, everywhere=everywhere, default=options.default)
            return 0
        if name == contexts.current_name:
            records.select(key, "")
            return 0
    if name == DEFAULT:
        raise BuilderError("run `docker context use default` to switch to default context")
    if contexts.exists(name):
        raise BuilderError(f"run `docker context use {name}` to switch to context {name}")
    file = invocation.store.path / "instances" / name.lower()
    why = f"open {file}: no such file or directory"
    raise StoreError(
        f'failed to find instance "{name}": {why if is_valid(name) else InvalidNameError(name)}'
    )


COMMAND = Command(run=_run, usage="[OPTIONS] NAME", arguments=(0, 1), flags=_flags)
