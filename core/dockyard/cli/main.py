"""Where the executables begin: ``dockyard`` and ``docker-buildx``.

Docker runs a plugin's metadata command on nearly everything it does, and scripts ask for versions,
so those two are answered here without importing anything. All the rest is in ``dispatch``.
"""

from __future__ import annotations

import sys

from dockyard import __version__

TYPE_CHECKING = False  # importing typing would cost more than everything else here
if TYPE_CHECKING:
    from collections.abc import Sequence

_METADATA = f"""{{
     "SchemaVersion": "0.1.0",
     "Vendor": "Dockyard",
     "Version": "{__version__}",
     "ShortDescription": "Image builds with BuildKit, by Dockyard"
}}
"""

VERSION_LINE = f"dockyard {__version__}"


def dockyard(arguments: Sequence[str] | None = None) -> int:
    """Run as ``dockyard``; gives the exit code."""
    line = sys.argv[1:] if arguments is None else list(arguments)
    if line == ["version"]:
        return _write(f"{VERSION_LINE}\n")
    from dockyard.cli.dispatch import run
    from dockyard.cli.invocation import Mode

    return run(line, Mode.DOCKYARD)


def docker_buildx(arguments: Sequence[str] | None = None) -> int:
    """Run as ``docker-buildx``, by itself or called by docker; gives the exit code."""
    line = sys.argv[1:] if arguments is None else list(arguments)
    if line[:1] == ["docker-cli-plugin-metadata"]:
        return _write(_METADATA)
    if line in (["version"], ["buildx", "version"]):
        return _write(f"{VERSION_LINE}\n")
    import os

    from dockyard.cli.dispatch import run
    from dockyard.cli.invocation import Mode

    called_by_docker = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" in os.environ
    return run(line, Mode.PLUGIN if called_by_docker else Mode.STANDALONE)


def _write(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()  # or the interpreter complains of the pipe when it ends
    return 0
