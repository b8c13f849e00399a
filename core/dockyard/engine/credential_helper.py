"""Ask a ``docker-credential-NAME`` program for the credentials of a registry.

A helper is somebody else's program: it may be missing, fail, hang, leave children behind or
print without end. It is run in a process group of its own, with a deadline and a bound on what
is read, and the group is gone when :func:`ask` returns. What it prints is never put into an
error as it is: its standard output carries the secret.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.cancellation import Cancellation
from dockyard.errors import ConfigError, CredentialError

if TYPE_CHECKING:
    import subprocess

_NOT_FOUND = b"credentials not found"
_MAX_OUTPUT = 1 << 20
_MAX_REASON = 200
_LOOK_AGAIN = 0.1
"""Seconds after which a helper that is silent is looked at: it may have left its pipes open."""


def ask(
    name: str,
    server: str,
    *,
    variables: Mapping[str, str],
    deadline: float,
    cancel: Cancellation,
) -> tuple[str, str]:
    """Give the user name and secret that the helper keeps for a server, empty when none.

    Blocks until the helper answered, for at most ``deadline`` seconds.

    Raises:
        CredentialError: The helper is missing, failed, hung, or answered nonsense.
        ConfigError: The name cannot be that of a helper.
        CanceledError: ``cancel`` was turned while the helper ran.
    """
    if not name or "/" in name or "\0" in name:
        raise ConfigError(f"{name!r} is no name of a credential helper")
    program = f"docker-credential-{name}"
    status, output, errors = _run(program, server, variables, deadline, cancel)
    if status == 0:
        return _parse(program, output)
    if _NOT_FOUND in output or _NOT_FOUND in errors:
        return "", ""
    raise _failure(program, status, output, errors)


def _run(
    program: str,
    server: str,
    variables: Mapping[str, str],
    deadline: float,
    cancel: Cancellation,
) -> tuple[int, bytes, bytes]:
    process = _start(program, variables)
    remove = cancel.on_cancel(lambda: _kill(process))
    try:
        _tell(process, server)
        finished, output, errors = _read(process, time.monotonic() + deadline)
    finally:
        remove()
        _kill(process)
        status = process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    cancel.check()
    if len(output) > _MAX_OUTPUT or len(errors) > _MAX_OUTPUT:
        raise CredentialError(f"credential helper {program} printed more than 1 MiB")
    if not finished:
        raise CredentialError(
            f"credential helper {program} did not answer within {deadline:g} seconds",
            hint=f"try it by hand: {program} list",
        )
    return status, output, errors


def _start(program: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    import subprocess

    try:
        return subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(variables),
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise CredentialError(
            f"credential helper {program} is not installed",
            hint="install it, or take it out of credsStore and credHelpers in docker's config.json",
        ) from error
    except OSError as error:
        raise CredentialError(
            f"credential helper {program} cannot be started: {error.strerror}"
        ) from error


def _tell(process: subprocess.Popen[bytes], server: str) -> None:
    """Write the question. It always fits into an empty pipe, so this cannot block."""
    assert process.stdin is not None
    try:
        process.stdin.write(server.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it does not read its input; its answer or its exit status will say why


def _read(process: subprocess.Popen[bytes], until: float) -> tuple[bool, bytes, bytes]:
    """Read both outputs until the helper is done; the first value is False when it is not.

    A child that the helper left behind may keep the pipes open for ever, so the helper's own end
    counts as well as the end of the pipes.
    """
    import selectors

    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while selector.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return False, bytes(output), bytes(errors)
            ended = process.poll() is not None  # before we look: then it has said everything
            ready = selector.select(0 if ended else min(left, _LOOK_AGAIN))
            if not ready and ended:
                break
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
                if len(key.data) > _MAX_OUTPUT:
                    return True, bytes(output), bytes(errors)
    return _exits(process, until), bytes(output), bytes(errors)


def _exits(process: subprocess.Popen[bytes], until: float) -> bool:
    """Wait for a helper that closed its outputs."""
    import subprocess

    try:
        process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the helper and the children that it left in its group."""
    import signal

    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _parse(program: str, output: bytes) -> tuple[str, str]:
    import json

    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
        if not isinstance(username, str) or not isinstance(secret, str):
            raise TypeError  # noqa: TRY301  # all ways to be no answer end the same
    except (ValueError, KeyError, TypeError):
        # The cause is left out on purpose: it would quote the output, and that is the secret.
        raise CredentialError(
            f"credential helper {program} answered with something that is no credential"
        ) from None
    return username, secret


def _failure(program: str, status: int, output: bytes, errors: bytes) -> CredentialError:
    """Say in one line why the helper failed, in its own words where they hold no secret."""
    how = f"was killed by signal {-status}" if status < 0 else f"failed with exit code {status}"
    reason = _line(errors) or ("" if b"{" in output else _line(output))
    return CredentialError(
        f"credential helper {program} {how}" + (f": {reason}" if reason else ""),
        hint=f"try it by hand: {program} list",
    )


def _line(text: bytes) -> str:
    """Give the last line that says something, without control characters, cut when long."""
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    clean = "".join(char for char in lines[-1] if char.isprintable()) if lines else ""
    return clean.strip()[:_MAX_REASON]
