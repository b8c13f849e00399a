"""A file out of something that the daemon fetches: what it can reach counts, not what we can."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dockyard.buildkit.client import Client
from dockyard.buildkit.gateway import Ask, Talk
from dockyard.buildkit.request import SolveRequest, new_id
from dockyard.buildkit.solve import solve
from dockyard.buildkit.source import Definition
from dockyard.cancellation import Cancellation
from dockyard.errors import ContextError
from dockyard.events import StatusUpdate
from dockyard.wire.errors import CallError
from dockyard.wire.messages import (
    GATEWAY_SOLVE_REQUEST,
    GATEWAY_SOLVE_RESPONSE,
    READ_FILE_REQUEST,
    READ_FILE_RESPONSE,
    STAT_FILE_REQUEST,
    STAT_FILE_RESPONSE,
)

_NOT_REGULAR = 0x8F280000
"""The bits of a mode, as Go has them, none of which a regular file has."""


class RemoteFile(NamedTuple):
    """A file that the daemon can get at."""

    definition: Definition
    """The build whose result it lies in."""
    path: str
    limit: int
    """Bytes that it may have."""


def read_remote(
    client: Client,
    file: RemoteFile,
    on_update: Callable[[StatusUpdate], None],
    cancel: Cancellation,
    *,
    session: str = "",
) -> bytes | None:
    """Give a file's content, one byte more than the limit if it is longer; None if it is missing.

    Args:
        client: The daemon.
        file: What to read.
        on_update: Is called for each message of progress.
        cancel: Ends it.
        session: Names the session with what the daemon needs to get at it.

    Raises:
        BuildError: The daemon cannot get at it.
        ConnectionLostError: The connection broke.
        CanceledError: ``cancel`` was turned.
        ContextError: It is no file.
    """
    found: list[bytes] = []
    request = SolveRequest(ref=new_id(), session=session, frontend="", internal=True)
    solve(client, request, on_update, cancel, talk=_read(file, found.append))
    return found[0] if found else None


def _read(file: RemoteFile, on_content: Callable[[bytes], None]) -> Talk:
    solved = yield Ask(
        "Solve",
        (GATEWAY_SOLVE_REQUEST, GATEWAY_SOLVE_RESPONSE),
        {"Definition": file.definition, "allowResultReturn": True, "allowResultArrayRef": True},
    )
    ref = solved.get("result", {}).get("ref", {}).get("id", "")
    try:
        stat = yield Ask(
            "StatFile", (STAT_FILE_REQUEST, STAT_FILE_RESPONSE), {"Ref": ref, "Path": file.path}
        )
    except CallError as error:
        if _is_missing(error, file.path):
            return {}
        raise
    if stat.get("stat", {}).get("mode", 0) & _NOT_REGULAR:
        raise ContextError(f"failed to read {file.path}: not a regular file")
    part = {"Offset": 0, "Length": file.limit + 1}
    read = yield Ask(
        "ReadFile",
        (READ_FILE_REQUEST, READ_FILE_RESPONSE),
        {"Ref": ref, "FilePath": file.path, "Range": part},
    )
    on_content(read.get("Data", b"")[: file.limit + 1])
    return {}


def _is_missing(error: CallError, path: str) -> bool:
    """Say whether it is this file that is not there, and not something on the way to it."""
    ends = rf"\bl?stat (?:\S*/)?{re.escape(path)}: no such file or directory\Z"
    return re.search(ends, error.message) is not None
