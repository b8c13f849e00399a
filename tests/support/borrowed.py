"""The command line with the driver ``borrowed`` installed beside the real ones."""

from __future__ import annotations

from pathlib import Path

from support.cli import Cli
from support.distribution import install

SOURCE = Path(__file__).with_name("dockyard_borrowed.py")


def install_borrowed(cli: Cli, endpoint: str, *, name: str = "borrowed") -> None:
    """Install the driver for a command line, and make a builder of it the selected one.

    Args:
        cli: The command line; what it keeps lies in its home.
        endpoint: The engine whose BuildKit is borrowed.
        name: The builder's name.
    """
    site = cli.home / "site"
    install(
        site,
        "dockyard-borrowed",
        {"dockyard": {"borrowed": "dockyard_borrowed"}},
        version="2.1",
        dockyard_borrowed=SOURCE.read_text(),
    )
    cli.variables["PYTHONPATH"] = str(site)
    cli.variables["BORROWED_LOG"] = str(cli.home / "borrowed.log")
    cli.ok("create", "--name", name, "--driver", "borrowed", "--use", endpoint)
