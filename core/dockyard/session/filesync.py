"""Local directories for the daemon: the build context, the Dockerfile's folder, named contexts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dockyard.errors import DockyardError
from dockyard.fsutil import Root
from dockyard.fsutil.send import Sender
from dockyard.wire.grpc import Code, Handler, ServerCall
from dockyard.wire.loop import Loop

_SERVICE = "/moby.filesync.v1.FileSync/"


class LocalSources:
    """Serves directories by name. The daemon gets at nothing else."""

    def __init__(self, dirs: Mapping[str, Root]) -> None:
        self.failed: BaseException | None = None
        self._dirs = dict(dirs)

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        return {
            _SERVICE + "DiffCopy": partial(self._send, loop),
            _SERVICE + "TarStream": _refuse,
        }

    def _send(self, loop: Loop, call: ServerCall) -> None:
        names = values(call, "dir-name")
        name = names[0] if names else ""
        root = self._dirs.get(name)
        if root is None:
            call.finish(Code.NOT_FOUND, f'no access allowed to dir "{name}"')
            return
        sender = Sender(
            call,
            root,
            include=values(call, "include-patterns"),
            exclude=values(call, "exclude-patterns"),
            follow=values(call, "followpaths"),
            loop=loop,
        )
        sender.on_error = self._on_error
        sender.start()

    def _on_error(self, error: DockyardError) -> None:
        self.failed = self.failed or error


def values(call: ServerCall, key: str) -> list[str]:
    """Give all values of a metadata key, in their order, as the daemon meant them.

    Keys can hold ASCII only. A daemon that has more to say escapes all values of the key, as in
    a URL's query, and says so in another key.
    """
    found = call.get_all(key)
    if call.get(f"{key}-encoded") != "1":
        return found
    from urllib.parse import unquote_plus

    return [unquote_plus(value) for value in found]


def _refuse(call: ServerCall) -> None:
    call.finish(Code.UNIMPLEMENTED, f"unknown method {call.method.rpartition('/')[2]}")
