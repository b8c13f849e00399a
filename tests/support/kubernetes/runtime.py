"""The engine whose containers the pods are, spoken to over its API."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from support.kubernetes.resource import Json

SECONDS = 120
_AGAIN_SECONDS = 30.0
"""For how long the engine is asked again for what it does a moment later."""
_PAUSE = 0.05
_JSON = {"Content-Type": "application/json"}


class RuntimeFailure(Exception):  # noqa: N818  # told as an event, as the real one's
    """The engine did not do it."""


class Command(NamedTuple):
    """A command that runs in a container."""

    identity: str
    stream: socket.socket
    """Takes its standard input, and gives its output in the engine's frames."""
    early: bytes
    """What of its output came with the answer."""


class _Connection(HTTPConnection):
    """A connection to a socket file, where the engine has one."""

    def __init__(self, host: str, timeout: float | None) -> None:
        self._place = urlsplit(host)
        super().__init__(self._place.hostname or "localhost", self._place.port, timeout=timeout)

    def connect(self) -> None:
        if self._place.scheme != "unix":
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._place.path)


class Runtime:
    """One cluster's part of an engine: all that it makes carries the cluster's label."""

    def __init__(self, host: str, cluster: str) -> None:
        self._host = host
        self._label = {"dockyard.test.cluster": cluster}

    def has_image(self, image: str) -> bool:
        return (
            self._call("GET", f"/images/{quote(image, safe='/:@')}/json", ok=(200, 404))[0] == 200
        )

    def pull(self, image: str) -> str:
        """Pull an image; gives why it failed, or nothing."""
        code, data = self._call("POST", f"/images/create?fromImage={quote(image, safe='')}", ok=())
        if code != 200:
            return _message(data)
        errors = [json.loads(line).get("error") for line in data.splitlines() if line.strip()]
        return next((error for error in errors if error), "")

    def create(self, name: str, settings: Json) -> None:
        body = {**settings, "Labels": self._label}
        self._call("POST", f"/containers/create?name={name}", body, ok=(201,))

    def put(self, name: str, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Put files into a container, by their absolute paths, with their modes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, (data, mode) in files.items():
                info = tarfile.TarInfo(path.lstrip("/"))
                info.size, info.mode = len(data), mode
                tar.addfile(info, io.BytesIO(data))
        headers = {"Content-Type": "application/x-tar"}
        self._send("PUT", f"/containers/{name}/archive?path=/", buffer.getvalue(), headers, (200,))

    def start(self, name: str) -> None:
        self._call("POST", f"/containers/{name}/start", ok=(204, 304))

    def wait(self, name: str) -> int:
        """Wait until a container ends, and give its exit code; 137 when it is gone."""
        code, data = self._call("POST", f"/containers/{name}/wait", ok=(200, 404), seconds=None)
        return int(json.loads(data)["StatusCode"]) if code == 200 else 137

    def stop(self, name: str, grace: int) -> None:
        path = f"/containers/{name}/stop?t={grace}"
        self._call("POST", path, ok=(204, 304, 404), seconds=grace + SECONDS)

    def kill(self, name: str) -> None:
        self._call("POST", f"/containers/{name}/kill", ok=(204, 404, 409))

    def inspect(self, name: str) -> Json:
        code, data = self._call("GET", f"/containers/{name}/json", ok=(200, 404))
        found: Json = json.loads(data) if code == 200 else {}
        return found

    def remove(self, name: str) -> None:
        self._remove(f"/containers/{name}?force=1&v=1")

    def logs(self, name: str, tail: str = "all", *, stamps: bool = False) -> bytes:
        path = f"/containers/{name}/logs?stdout=1&stderr=1&tail={tail}&timestamps={int(stamps)}"
        code, data = self._call("GET", path, ok=(200, 404, 409))
        return b"".join(payload for _, payload in frames(data)) if code == 200 else b""

    def make_volume(self, name: str) -> None:
        self._call("POST", "/volumes/create", {"Name": name, "Labels": self._label}, ok=(201,))

    def remove_volume(self, name: str) -> None:
        self._remove(f"/volumes/{name}?force=1")

    def _remove(self, path: str) -> None:
        """Remove something, as soon as the engine is done with it."""
        deadline = time.monotonic() + _AGAIN_SECONDS
        while True:
            code, data = self._call("DELETE", path, ok=())
            if code in (204, 404):
                return
            if time.monotonic() > deadline:
                raise RuntimeFailure(_message(data))
            time.sleep(_PAUSE)  # a poll with a deadline

    def names(self) -> tuple[list[str], list[str]]:
        """Give the containers and the volumes that are there."""
        key, value = next(iter(self._label.items()))
        chosen = quote(json.dumps({"label": [f"{key}={value}"]}))
        _, data = self._call("GET", f"/containers/json?all=1&filters={chosen}")
        containers = [item["Names"][0].lstrip("/") for item in json.loads(data)]
        _, data = self._call("GET", f"/volumes?filters={chosen}")
        return containers, [item["Name"] for item in json.loads(data)["Volumes"] or []]

    def clean(self) -> None:
        """Remove everything that was made."""
        containers, volumes = self.names()
        for name in containers:
            self.remove(name)
        for name in volumes:
            self.remove_volume(name)

    def command(self, name: str, command: list[str], *, stdin: bool, tty: bool = False) -> Command:
        """Start a command in a container."""
        body = {
            "Cmd": command,
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
        }
        _, data = self._call("POST", f"/containers/{name}/exec", body, ok=(201,))
        identity = json.loads(data)["Id"]
        with ExitStack() as opened:
            stream, early = self._begin(identity, tty, opened)
            opened.pop_all()
        return Command(identity, stream, early)

    def _begin(self, identity: str, tty: bool, opened: ExitStack) -> tuple[socket.socket, bytes]:
        """Let a command that was made begin; gives its stream, and what came of it already."""
        place = urlsplit(self._host)
        if place.scheme == "unix":
            stream = opened.enter_context(socket.socket(socket.AF_UNIX))
            stream.connect(place.path)
        else:
            address = (place.hostname or "", place.port or 2375)
            stream = opened.enter_context(socket.create_connection(address))
        text = json.dumps({"Detach": False, "Tty": tty})
        stream.sendall(
            f"POST /exec/{identity}/start HTTP/1.1\r\nHost: docker\r\n"
            "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            piece = stream.recv(1 << 16)
            if not piece:
                raise RuntimeFailure("the engine hung up")
            head += piece
        head, _, early = head.partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise RuntimeFailure(_message(early))
        return stream, early

    def exit_code(self, identity: str) -> int | None:
        """Give how a command ended whose output is over; None if it runs on all the same.

        The engine may be told of the end a moment later than the output is.
        """
        deadline = time.monotonic() + _AGAIN_SECONDS
        while True:
            _, data = self._call("GET", f"/exec/{identity}/json")
            found = json.loads(data)
            code: int | None = found["ExitCode"]
            if not found["Running"] or time.monotonic() > deadline:
                return code
            time.sleep(_PAUSE)  # a poll with a deadline

    def run(self, name: str, command: list[str]) -> tuple[int, bytes]:
        """Run a command to its end; gives its exit code and what it wrote."""
        started = self.command(name, command, stdin=False)
        data = started.early
        with started.stream as stream:
            stream.settimeout(SECONDS)
            while piece := stream.recv(1 << 16):
                data += piece
        code = self.exit_code(started.identity)
        return 1 if code is None else code, b"".join(payload for _, payload in frames(data))

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        ok: tuple[int, ...] = (200,),
        seconds: float | None = SECONDS,
    ) -> tuple[int, bytes]:
        data = json.dumps(body).encode() if body is not None else b""
        return self._send(method, path, data, _JSON if data else {}, ok, seconds)

    def _send(
        self,
        method: str,
        path: str,
        data: bytes,
        headers: Mapping[str, Any],
        ok: tuple[int, ...],
        seconds: float | None = SECONDS,
    ) -> tuple[int, bytes]:
        connection = _Connection(self._host, seconds)
        try:
            connection.request(method, path, data, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            raise RuntimeFailure(f"the engine does not answer: {error}") from error
        finally:
            connection.close()
        if ok and answer.status not in ok:
            raise RuntimeFailure(_message(text))
        return answer.status, text


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split what a command wrote into its streams; 1 is standard output, 2 standard error."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "big")
        yield data[place], data[place + 8 : place + 8 + size]
        place += 8 + size


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()
