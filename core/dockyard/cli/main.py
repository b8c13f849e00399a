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
    _replace_closed()
    line = sys.argv[1:] if arguments is None else list(arguments)
    if line == ["version"]:
        return _write(f"{VERSION_LINE}\n")
    _collect_rarely()
    from dockyard.cli.dispatch import run
    from dockyard.cli.invocation import Mode

    code = run(line, Mode.DOCKYARD)
    if arguments is None:
        _leave(code)
    return code


def docker_buildx(arguments: Sequence[str] | None = None) -> int:
    """Run as ``docker-buildx``, by itself or called by docker; gives the exit code."""
    _replace_closed()
    line = sys.argv[1:] if arguments is None else list(arguments)
    if line[:1] == ["docker-cli-plugin-metadata"]:
        return _write(_METADATA)
    if line in (["version"], ["buildx", "version"]):
        return _write(f"{VERSION_LINE}\n")
    _collect_rarely()
    import os

    from dockyard.cli.dispatch import run
    from dockyard.cli.invocation import Mode

    called_by_docker = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" in os.environ
    code = run(line, Mode.PLUGIN if called_by_docker else Mode.STANDALONE)
    if arguments is None:
        _leave(code)
    return code


def _replace_closed() -> None:
    """Have somewhere to write to also when whoever started us has closed our output."""
    import io

    if sys.stdout is None:
        sys.stdout = io.StringIO()
    if sys.stderr is None:
        sys.stderr = io.StringIO()


def _collect_rarely() -> None:
    """Have the garbage collector look less often than after every 700 new objects.

    What imports make stays, so looking through it finds nothing: it was 6 ms of ``ls``.
    """
    import gc

    gc.set_threshold(100_000, 20, 20)


def _leave(code: int) -> None:
    """End the process at once, unless somebody still has something to do at its end.

    Taking the interpreter apart takes 9 ms, to free memory that the system takes back anyway.
    Commands have ended what they began when they return: threads that are left are meant to be
    left. Whoever does need the end, such as a temporary directory or a measurement of coverage,
    has registered for it; child processes are ended by their owners, which may be freed last.
    """
    import atexit
    import os

    if atexit._ncallbacks() or "subprocess" in sys.modules:  # noqa: SLF001
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the interpreter reports this in its own way
    os._exit(code)


def _write(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()  # or the interpreter complains of the pipe when it ends
    return 0
