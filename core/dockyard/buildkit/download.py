"""A file from a URL, fetched by the daemon: what it can reach counts, not what we can."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.buildkit.address import without_credentials
from dockyard.buildkit.client import Client
from dockyard.buildkit.gateway import Ask, Talk
from dockyard.buildkit.request import SolveRequest, new_id
from dockyard.buildkit.solve import solve
from dockyard.buildkit.source import OneSource
from dockyard.cancellation import Cancellation
from dockyard.errors import ContextError
from dockyard.events import StatusUpdate
from dockyard.wire.messages import (
    GATEWAY_SOLVE_REQUEST,
    GATEWAY_SOLVE_RESPONSE,
    READ_FILE_REQUEST,
    READ_FILE_RESPONSE,
    STAT_FILE_REQUEST,
    STAT_FILE_RESPONSE,
)

LIMIT = 2 << 20
"""Bytes that a Dockerfile may have."""
_NAME = "Dockerfile"


def download(
    client: Client, url: str, on_update: Callable[[StatusUpdate], None], cancel: Cancellation
) -> bytes:
    """Have a Dockerfile fetched, and give its content.

    Raises:
        ContextError: It is too long.
        BuildError: The daemon cannot fetch it.
        ConnectionLostError: The connection broke.
        CanceledError: ``cancel`` was turned.
    """
    found: list[bytes] = []
    request = SolveRequest(ref=new_id(), frontend="", internal=True)
    solve(client, request, on_update, cancel, talk=_fetch(url, found.append))
    return found[0]


def _fetch(url: str, on_content: Callable[[bytes], None]) -> Talk:
    source = OneSource(url, {"http.filename": _NAME}, ["source.http"], without_credentials(url))
    solved = yield Ask(
        "Solve",
        (GATEWAY_SOLVE_REQUEST, GATEWAY_SOLVE_RESPONSE),
        {
            "Definition": source.definition(),
            "allowResultReturn": True,
            "allowResultArrayRef": True,
        },
    )
    ref = solved.get("result", {}).get("ref", {}).get("id", "")
    stat = yield Ask(
        "StatFile", (STAT_FILE_REQUEST, STAT_FILE_RESPONSE), {"Ref": ref, "Path": _NAME}
    )
    if stat.get("stat", {}).get("size", 0) > LIMIT:
        raise _too_long(url)
    read = yield Ask(
        "ReadFile",
        (READ_FILE_REQUEST, READ_FILE_RESPONSE),
        {"Ref": ref, "FilePath": _NAME, "Range": {"Offset": 0, "Length": LIMIT + 1}},
    )
    content: bytes = read.get("Data", b"")
    if len(content) > LIMIT:
        raise _too_long(url)
    on_content(content)
    return {}


def _too_long(url: str) -> ContextError:
    return ContextError(
        f"failed to solve: Dockerfile {without_credentials(url)} bigger than allowed max size "
        "(2.097MB)"
    )
