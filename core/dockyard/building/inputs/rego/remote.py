"""Policies in a context that only the daemon can get at: a git repository, an archive at a URL."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from dockyard.building.inputs.git_query import keeps_git_dir
from dockyard.building.inputs.source import GIT
from dockyard.building.job import Job
from dockyard.session.service import Attachable
from dockyard.session.session import Session

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client
    from dockyard.buildkit.source import Definition
    from dockyard.events import StatusUpdate

_ARCHIVE = "context"
"""What the frontend calls the file at a URL that is the context."""

Services = Callable[[], Sequence[Attachable]]
"""Makes what the daemon may ask for to get at the context: secrets and ssh agents."""


class RemoteContext:
    """Reads files of one build's context; each is read once. Threads may share it."""

    def __init__(self, job: Job, url: str, services: Services) -> None:
        """Say what the context is.

        Raises:
            InputError: The address makes no sense.
        """
        self._job = job
        self._services = services
        self._definition = _definition(url, keep=keeps_git_dir(job.request.build_args))
        self._known: dict[tuple[str, int], bytes | None] = {}

    def look(self, name: str, limit: int) -> bytes | None:
        """Read a file over the build's own connection, before that is used to build.

        Args:
            name: Its path in the context.
            limit: Bytes that it may have; one more is read if it is longer.

        Returns:
            Its content; None if there is none.

        Raises:
            DockyardError: The daemon cannot get at the context, or it is no file.
        """
        job = self._job
        return self._read(job.client, name, limit, job.progress.update)

    def read(self, name: str, limit: int) -> bytes | None:
        """Read a file at any time, as :meth:`look` does, over a connection of its own."""
        from dockyard.buildkit.client import Client

        if (name, limit) in self._known:
            return self._known[name, limit]
        connection = self._job.workbench.manager.connect(self._job.node, self._job.cancel)
        with closing(Client(connection)) as client:
            return self._read(client, name, limit, lambda _update: None)

    def _read(
        self, client: Client, name: str, limit: int, on_update: Callable[[StatusUpdate], None]
    ) -> bytes | None:
        from dockyard.buildkit.remote_file import RemoteFile, read_remote

        path = posixpath.normpath(f"/{name}").lstrip("/")
        file = RemoteFile(self._definition, path, limit)
        session = Session(attachables=self._services())
        try:
            session.open(client)
            content = read_remote(client, file, on_update, self._job.cancel, session=session.id)
        finally:
            session.close()
        self._known[name, limit] = content
        return content


def _definition(url: str, *, keep: bool) -> Definition:
    """Describe the build that consists of a context, as the frontend makes it."""
    if re.match(GIT, url):
        from dockyard.buildkit.git_source import git_source

        return git_source(url, keep_git_dir=keep).definition()
    from dockyard.buildkit.source import http_source

    return http_source(url, _ARCHIVE, "remote build context").unpacked(_ARCHIVE)
