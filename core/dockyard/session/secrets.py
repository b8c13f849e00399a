"""Secrets for ``RUN --mount=type=secret``, given to the daemon when a step asks for one."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Mapping
from pathlib import Path

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import CanceledError, DockyardError, InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line
from dockyard.session.service import Worker
from dockyard.wire.codec import decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler
from dockyard.wire.loop import Loop
from dockyard.wire.messages import GET_SECRET_REQUEST, GET_SECRET_RESPONSE

MAX_SECRET = 500 << 10
"""Bytes of one secret; the daemon's own limit."""
_PATIENCE = 30.0
"""Seconds for which a secret that is a pipe may keep a step waiting."""


class Secrets:
    """Serves secrets by their ids. Their values are in no ``repr`` and no error."""

    def __init__(self, secrets: Mapping[str, str | bytes], here: Path | None = None) -> None:
        """Take the secrets: values as bytes, files as paths.

        Files are looked at now and read when a step asks for them.

        Args:
            secrets: By their ids.
            here: What relative paths are relative to.

        Raises:
            InputError: A file is missing, or a secret is too large.
        """
        self.failed: BaseException | None = None
        self._secrets = dict(secrets)
        self._here = here or Path()
        for name, secret in self._secrets.items():
            _check(name, secret, self._here)

    def __repr__(self) -> str:
        return f"Secrets({sorted(self._secrets)})"

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        worker = Worker(loop)
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": worker.unary(self._get)}

    def _get(self, request: bytes, cancel: Cancellation) -> bytes:
        name = decode(GET_SECRET_REQUEST, request).get("ID", "")
        try:
            secret = self._secrets[name]
        except KeyError:
            # Any other code would fail steps for which the secret is optional.
            raise CallError(Code.NOT_FOUND, f"secret {name}: not found") from None
        try:
            data = secret if isinstance(secret, bytes) else self._read(name, secret, cancel)
        except CanceledError:
            raise
        except DockyardError as error:
            self.failed = self.failed or error
            raise
        return encode(GET_SECRET_RESPONSE, {"data": data})

    def _read(self, name: str, path: str, cancel: Cancellation) -> bytes:
        """Read a file, which may be a pipe, and may have changed since it was looked at."""
        try:
            with Wait(_PATIENCE, cancel) as wait:
                data = _content(self._here / path, wait)
        except OutOfTimeError as error:
            raise InputError(f"secret {name}: nobody writes to {path}") from error
        except OSError as error:
            raise InputError(
                f"secret {name} cannot be read from {path}: {reason(error)}"
            ) from error
        if len(data) > MAX_SECRET:
            raise _too_big(name)
        return data


def _content(path: Path, wait: Wait) -> bytes:
    """Read to the end, or as far as is enough to know that it is too much."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    data = bytearray()
    try:
        while len(data) <= MAX_SECRET:
            wait.until_ready(descriptor, select.POLLIN)
            piece = os.read(descriptor, MAX_SECRET + 1 - len(data))
            if not piece:
                break
            data += piece
    finally:
        os.close(descriptor)
    return bytes(data)


def _check(name: str, secret: str | bytes, here: Path) -> None:
    if not name:
        raise InputError("secret missing ID")
    if isinstance(secret, bytes):
        size = len(secret)
    else:
        try:
            found = (here / secret).stat()
        except (OSError, ValueError) as error:
            shown = in_line(secret)
            raise InputError(f"failed to stat {shown}: stat {shown}: {reason(error)}") from error
        if stat.S_ISDIR(found.st_mode):
            raise InputError(f"secret {in_line(name)}: {in_line(secret)} is a directory")
        size = found.st_size
    if size > MAX_SECRET:
        raise _too_big(name)


def _too_big(name: str) -> InputError:
    return InputError(f"secret {in_line(name)} too big. max size {MAX_SECRET >> 10}KiB")
