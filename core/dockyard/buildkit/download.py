"""A Dockerfile from a URL, fetched by the daemon."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.buildkit.address import without_credentials
from dockyard.buildkit.client import Client
from dockyard.buildkit.remote_file import RemoteFile, read_remote
from dockyard.buildkit.source import http_source
from dockyard.cancellation import Cancellation
from dockyard.errors import ContextError
from dockyard.events import StatusUpdate

LIMIT = 2 << 20
"""Bytes that a Dockerfile may have."""
_NAME = "Dockerfile"


def download(
    client: Client, url: str, on_update: Callable[[StatusUpdate], None], cancel: Cancellation
) -> bytes:
    """Have a Dockerfile fetched, and give its content.

    Raises:
        ContextError: It is too long, or not there after all.
        BuildError: The daemon cannot fetch it.
        ConnectionLostError: The connection broke.
        CanceledError: ``cancel`` was turned.
    """
    source = http_source(url, _NAME, without_credentials(url))
    content = read_remote(client, RemoteFile(source.definition(), _NAME, LIMIT), on_update, cancel)
    if content is None:
        raise ContextError(f"the daemon fetched {without_credentials(url)}, and has no such file")
    if len(content) > LIMIT:
        raise ContextError(
            f"failed to solve: Dockerfile {without_credentials(url)} bigger than allowed max size "
            "(2.097MB)"
        )
    return content
