"""Secrets for ``RUN --mount=type=secret``, given to the daemon when a step asks for one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dockyard.cancellation import Cancellation
from dockyard.errors import DockyardError, InputError
from dockyard.session.service import Worker
from dockyard.wire.codec import decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler
from dockyard.wire.loop import Loop
from dockyard.wire.messages import GET_SECRET_REQUEST, GET_SECRET_RESPONSE

MAX_SECRET = 500 << 10
"""Bytes of one secret; the daemon's own limit."""


class Secrets:
    """Serves secrets by their ids. Their values are in no ``repr`` and no error."""

    def __init__(self, secrets: Mapping[str, str | bytes]) -> None:
        """Take the secrets: values as bytes, files as paths.

        Files are looked at now and read when a step asks for them.

        Raises:
            InputError: A file is missing, or a secret is too large.
        """
        self.failed: BaseException | None = None
        self._secrets = dict(secrets)
        for name, secret in self._secrets.items():
            _check(name, secret)

    def __repr__(self) -> str:
        return f"Secrets({sorted(self._secrets)})"

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        worker = Worker(loop)
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": worker.unary(self._get)}

    def _get(self, request: bytes, _cancel: Cancellation) -> bytes:
        name = decode(GET_SECRET_REQUEST, request).get("ID", "")
        try:
            secret = self._secrets[name]
        except KeyError:
            # Any other code would fail steps for which the secret is optional.
            raise CallError(Code.NOT_FOUND, f"secret {name}: not found") from None
        try:
            data = secret if isinstance(secret, bytes) else _read(name, Path(secret))
        except DockyardError as error:
            self.failed = self.failed or error
            raise
        return encode(GET_SECRET_RESPONSE, {"data": data})


def _check(name: str, secret: str | bytes) -> None:
    if isinstance(secret, bytes):
        size = len(secret)
    else:
        try:
            size = os.stat(secret).st_size  # noqa: PTH116  # the text goes into the message as it is
        except (OSError, ValueError) as error:
            raise InputError(f"failed to stat {secret}: stat {secret}: {_why(error)}") from error
        if Path(secret).is_dir():
            raise InputError(f"secret {name}: {secret} is a directory")
    if size > MAX_SECRET:
        raise InputError(
            f"secret {name} is too large: {size} bytes; at most {MAX_SECRET} are allowed"
        )


def _read(name: str, path: Path) -> bytes:
    """Read a file, which may be a pipe, and may have changed since it was looked at."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise InputError(f"secret {name} cannot be read from {path}: {_why(error)}") from error
    if len(data) > MAX_SECRET:
        raise InputError(f"secret {name} is too large; at most {MAX_SECRET} bytes are allowed")
    return data


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
