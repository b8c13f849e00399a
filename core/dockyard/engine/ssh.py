"""The command that runs a program on the machine that an ``ssh://`` address names."""

from __future__ import annotations

from dockyard.engine.context import split_tcp
from dockyard.errors import EndpointError


def ssh_login(address: str, *, timeout: float) -> tuple[list[str], str]:
    """Give the ssh command up to the remote program's name, and the address's path.

    Args:
        address: ``ssh://[USER@]HOST[:PORT][/PATH]``.
        timeout: Seconds that ssh may take to connect.

    Raises:
        EndpointError: The address has parts that ssh cannot be given, such as a password.
    """
    import math

    def refuse(reason: str) -> EndpointError:
        return EndpointError(f"invalid ssh address {shown}: {reason}")

    user, at, rest = address.removeprefix("ssh://").rpartition("@")
    shown = f"ssh://{rest}"
    if ":" in user:
        raise refuse("a password cannot be given; use keys or an agent")
    for character, what in (("?", "a query"), ("#", "a fragment")):
        if character in address:
            raise refuse(f"{what} makes no sense in it")
    try:
        name, port, path = split_tcp(rest)
    except ValueError as error:
        raise refuse(str(error)) from error
    if not name or (at and not user):
        raise refuse("the host or the user is missing")
    command = ["ssh", "-T", "-o", f"ConnectTimeout={math.ceil(timeout)}"]
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    return [*command, "--", name], path if path.strip("/") else ""
