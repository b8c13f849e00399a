"""The command line of ``./dev``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from tools import bench, environment, example, gates, kept
from tools.engine import DEFAULT_KIND, KINDS
from tools.report import DevError, say


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    testing = arguments[:1] == ["test"]
    options = _parser().parse_args(arguments[:1] if testing else arguments)
    rest = arguments[1:] if testing else ()
    # SIGTERM takes the way of Ctrl-C, so that what was started is ended and said to be.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(options, rest)
    except DevError as problem:
        say(f"ERROR: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, rest: Sequence[str]) -> int:
    if options.command == "setup":
        environment.prepare()
    elif options.command == "example":
        example.run()
    elif options.command == "engine":
        _engine(options.action, options.which)
    elif options.command == "bench":
        bench.run(options.reference, options.workload, options.pairs)
    else:
        return gates.run(rest)
    return 0


def _engine(action: str, which: str | None) -> None:
    if action == "down":
        for name in [which] if which else KINDS:
            kept.down(KINDS[name])
        return
    kind = KINDS[which or DEFAULT_KIND]
    host = kept.up(kind) if action == "up" else kept.host(kind)
    sys.stdout.write(f"export DOCKER_HOST={host}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev", description="Everything a developer runs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("setup", help="make .venv with Dockyard, its drivers and the tools")
    commands.add_parser("example", help="set up, then build, load and run the example image")
    commands.add_parser("test", help="set up, then run every check; what follows goes to pytest")
    engine = commands.add_parser("engine", help="run a private Docker Engine by hand")
    engine.add_argument("action", choices=("up", "down", "env"))
    engine.add_argument("--which", choices=tuple(KINDS), help=f"default: {DEFAULT_KIND}; down: all")
    measure = commands.add_parser("bench", help="measure beside a reference executable")
    measure.add_argument("--reference", metavar="PATH", help="a docker-buildx to compare with")
    measure.add_argument("--pairs", type=int, default=5, help="runs of each; default: 5")
    measure.add_argument(
        "workload", nargs="*", help=f"default: all of {', '.join(bench.WORKLOADS)}"
    )
    return parser
