"""Credentials that a program gives: ``exec`` in a kubeconfig, as clouds and single sign-on use it.

The program is somebody else's: it may be missing, fail, hang or print without end. What it
prints on its standard output is never shown, as that has the secret; what it says on its
standard error is.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import field, frozen

from dockyard.engine.exec import shown_lines
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_kubernetes.credential import Pem, Shown
from dockyard_kubernetes.failure import KubeconfigError

if TYPE_CHECKING:
    import subprocess

TIMEOUT = 60.0
"""Seconds that a program may take that talks to nobody."""
LOGIN_TIMEOUT = 300.0
"""Seconds that one may take that may be talking to a person."""

_API = "client.authentication.k8s.io/"
_VERSIONS = (f"{_API}v1", f"{_API}v1beta1", f"{_API}v1alpha1")
_MODES = ("Never", "IfAvailable", "Always")
_EXTENSION = "client.authentication.k8s.io/exec"
_CLUSTER_FIELDS = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)
_MOST_OUTPUT = 1 << 20
_LAST_LINES = 5
_KEPT_WORDS = 8 << 10
"""Bytes of what it says that are kept."""
_PIECE = 64 << 10
_MOST_PIECES = 16
"""A pipe has 1 MiB at most."""
_SHOWN_WITHIN = 5.0
"""Seconds that a terminal may take to show it."""
_LOOK_AGAIN = 0.1
_EARLY = 10.0
"""Seconds before its end that a credential counts as over."""


@frozen(kw_only=True)
class Settings:
    """What the ``exec`` of a user says."""

    command: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    version: str
    cluster: Mapping[str, Any] | None
    """What the program is told of the cluster."""
    mode: str
    hint: str
    file: Path


class _Given(NamedTuple):
    shown: Shown
    until: float
    """By the clock on the wall; infinite for as long as it is accepted."""


def plugin_of(
    content: Mapping[str, Any], file: Path, cluster: Mapping[str, Any], variables: Mapping[str, str]
) -> Plugin:
    """Read the ``exec`` of a user.

    Raises:
        KubeconfigError: It is malformed.
    """
    command, version, mode = (
        content.get("command"),
        content.get("apiVersion"),
        content.get("interactiveMode") or "IfAvailable",
    )
    arguments = content.get("args") or []
    if not isinstance(command, str) or not command:
        raise _malformed(file, "it has no command")
    if version not in _VERSIONS:
        raise _malformed(file, f"its apiVersion is none of {', '.join(_VERSIONS)}")
    if mode not in _MODES:
        raise _malformed(file, f"its interactiveMode is none of {', '.join(_MODES)}")
    if not isinstance(arguments, list):
        raise _malformed(file, "its args are no list")
    if "/" in command:
        command = str(file.parent / command)
    hint = content.get("installHint")
    return Plugin(
        Settings(
            command=(command, *map(str, arguments)),
            environment={**variables, **_environment(content, file)},
            version=version,
            cluster=_told(cluster, file) if content.get("provideClusterInfo") else None,
            mode=mode,
            hint=hint if isinstance(hint, str) else "",
            file=file,
        )
    )


class Plugin:
    """A program that says who we are. It is asked once, and again when what it gave is over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._given: _Given | None = None
        self._refused: Shown | None = None

    def show(self, wait: Wait) -> Shown:
        with wait.holding(self._lock):
            given = self._given
            is_good = given is not None and given.shown is not self._refused
            if given is None or not is_good or time.time() > given.until - _EARLY:
                given = self._given = _ask(self._settings, wait)
            return given.shown

    def refused(self, shown: Shown) -> bool:
        self._refused = shown  # not with the lock, which another thread's run may hold for long
        return True


def _ask(settings: Settings, wait: Wait) -> _Given:
    interactive = settings.mode != "Never" and os.isatty(0)
    if settings.mode == "Always" and not interactive:
        raise _failure(settings, "needs a terminal, and there is none")
    seconds = LOGIN_TIMEOUT if interactive else TIMEOUT
    process = _start(settings, interactive=interactive)
    listener = _Listener(process, aloud=interactive and os.isatty(2))
    try:
        with wait.apart(seconds) as own:
            output = _read(process, own)
            code = _exit_code(process, own) if len(output) <= _MOST_OUTPUT else 0
    except OutOfTimeError as error:
        raise _failure(settings, f"did not answer within {seconds:g} s") from error
    finally:
        _end(process, alone=not interactive)
        words = listener.finish()
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise _failure(settings, f"{how}: {words}" if words else how)
    if len(output) > _MOST_OUTPUT:
        raise _failure(settings, "printed more than 1 MiB")
    return _parse(settings, output)


def _start(settings: Settings, *, interactive: bool) -> subprocess.Popen[bytes]:
    import json
    import subprocess

    spec: dict[str, Any] = {"interactive": interactive}
    if settings.cluster is not None:
        spec["cluster"] = settings.cluster
    question = {"apiVersion": settings.version, "kind": "ExecCredential", "spec": spec}
    try:
        return subprocess.Popen(
            settings.command,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**settings.environment, "KUBERNETES_EXEC_INFO": json.dumps(question)},
            bufsize=0,
            # Who talks to a person needs the terminal; others are ended with all they started.
            start_new_session=not interactive,
        )
    except FileNotFoundError as error:
        raise _failure(settings, "is not installed", settings.hint) from error
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise _failure(settings, f"cannot be started: {words.lower()}") from error


class _Listener:
    """Reads what the program says on its standard error, and shows it to whoever logs in."""

    def __init__(self, process: subprocess.Popen[bytes], *, aloud: bool) -> None:
        assert process.stderr is not None
        self._pipe = process.stderr
        os.set_blocking(self._pipe.fileno(), False)
        self._aloud = aloud
        self._lock = threading.Lock()
        self._said = bytearray()
        threading.Thread(target=self._listen, name="dockyard-login", daemon=True).start()

    def finish(self) -> str:
        """Give the last of what the program, which has ended, has said."""
        # The thread may be late, and a child that was left behind may hold the pipe for long.
        if self._lock.acquire(timeout=_SHOWN_WITHIN):
            try:
                if not self._pipe.closed:
                    self._take()
            finally:
                self._lock.release()
        return "; ".join(shown_lines(bytes(self._said))[-_LAST_LINES:])

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._pipe.fileno(), select.POLLIN)
        is_open = True
        while is_open:
            poll.poll()
            with self._lock:
                is_open = self._take()
                if not is_open:
                    self._pipe.close()

    def _take(self) -> bool:
        """Read what is there; False at the end."""
        for _ in range(_MOST_PIECES):
            try:
                data = os.read(self._pipe.fileno(), _PIECE)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._said += data
            del self._said[:-_KEPT_WORDS]
            if self._aloud:
                with contextlib.suppress(OSError):
                    os.write(2, data)
        return True


def _read(process: subprocess.Popen[bytes], wait: Wait) -> bytes:
    """Read the answer until its end, or the program's, or until it is too long."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    output = bytearray()
    while len(output) <= _MOST_OUTPUT:
        if not wait.until_ready(descriptor, select.POLLIN, _LOOK_AGAIN):
            if process.poll() is not None:
                break  # it left a child that holds its pipe
            continue
        data = os.read(descriptor, 1 << 16)
        if not data:
            break
        output += data
    return bytes(output)


def _exit_code(process: subprocess.Popen[bytes], wait: Wait) -> int:
    pause = 0.001
    while (code := process.poll()) is None:
        wait.pause(pause)
        pause = min(2 * pause, _LOOK_AGAIN)
    return code


def _end(process: subprocess.Popen[bytes], *, alone: bool) -> None:
    import signal

    with contextlib.suppress(ProcessLookupError, PermissionError):
        if alone:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _parse(settings: Settings, output: bytes) -> _Given:
    """Read an ``ExecCredential``. Its content is a secret, so that no error quotes it."""
    import json

    try:
        answer = json.loads(output)
    except (ValueError, RecursionError):
        raise _failure(settings, "printed no JSON") from None
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise _failure(settings, "printed no ExecCredential")
    if answer.get("apiVersion") != settings.version:
        raise _failure(settings, f"answered in another version than {settings.version}")
    status = answer.get("status")
    status = status if isinstance(status, dict) else {}
    token, certificate, key = (
        _text(settings, status, name)
        for name in ("token", "clientCertificateData", "clientKeyData")
    )
    if not token and not certificate:
        raise _failure(settings, "gave no token and no certificate")
    if bool(certificate) != bool(key):
        raise _failure(settings, "gave a certificate without its key, or a key without it")
    source = f"the credential plugin {settings.command[0]}"
    shown = Shown(f"Bearer {token}" if token else "")
    if certificate:
        shown = shown._replace(
            certificate=Pem("clientCertificateData", source, certificate.encode()),
            key=Pem("clientKeyData", source, key.encode()),
        )
    return _Given(shown, _until(settings, _text(settings, status, "expirationTimestamp")))


def _text(settings: Settings, status: Mapping[str, Any], name: str) -> str:
    value = status.get(name)
    if value is not None and not isinstance(value, str):
        raise _failure(settings, f"gave a {name} that is no text")
    return value or ""


def _until(settings: Settings, text: str) -> float:
    from datetime import UTC, datetime

    if not text:
        return float("inf")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _failure(settings, "gave an expirationTimestamp that is no time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _environment(content: Mapping[str, Any], file: Path) -> dict[str, str]:
    added = {}
    entries = content.get("env") or []
    for entry in entries if isinstance(entries, list) else [None]:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str) or not name:
            raise _malformed(file, "its env is no list of names and values")
        added[name] = str(entry.get("value") or "")
    return added


def _told(cluster: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Give what a program is told of the cluster, if it asks for that."""
    import base64

    told = {name: cluster[name] for name in _CLUSTER_FIELDS if cluster.get(name)}
    authority = cluster.get("certificate-authority")
    if isinstance(authority, str) and "certificate-authority-data" not in told:
        with contextlib.suppress(OSError):  # who connects says it
            data = (file.parent / authority).read_bytes()
            told["certificate-authority-data"] = base64.b64encode(data).decode()
    extensions = cluster.get("extensions")
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == _EXTENSION:
            told["config"] = extension.get("extension")
    return told


def _malformed(file: Path, words: str) -> KubeconfigError:
    return KubeconfigError(
        f"the credential plugin in kubeconfig {file} cannot be used: {words}",
        hint="kubectl config view shows what is in it",
    )


def _failure(settings: Settings, words: str, hint: str = "") -> KubeconfigError:
    name = os.path.basename(settings.command[0])  # noqa: PTH119  # text, not a path of ours
    return KubeconfigError(
        f"the credential plugin {name} {words}",
        hint="; ".join(shown_lines(hint.encode()))
        or f"kubeconfig {settings.file} names it; try kubectl get pods, which uses it too",
    )
