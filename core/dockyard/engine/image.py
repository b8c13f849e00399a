"""Images in an engine's store: look them up, name them, take them out, and put archives in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import SILENCE, download, request, upload
from dockyard.errors import EngineError

_MAX_MESSAGE = 1 << 20
_CONTAINERD = "io.containerd.snapshotter.v1"


class StoredImage(NamedTuple):
    """An image that an engine has."""

    id: str
    names: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    """The digests of what its layers unpack to, from the bottom up."""
    whole: bool = True
    """False when the engine says that it lacks a part; only new ones do, and only when asked."""


class ImageStore(NamedTuple):
    """What kind of store an engine keeps its images in."""

    engine: str
    """The engine's own name for itself."""
    containerd: bool
    """Whether it is containerd's, which knows an image by its manifest, and layers as blobs."""


class MessageReader:
    """Take the stream of JSON messages apart that engines report progress with."""

    def __init__(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Begin.

        Args:
            on_message: Takes each message.
        """
        self._on_message = on_message
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take what was received.

        Raises:
            EngineError: A message says that the engine failed, or is none.
        """
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > _MAX_MESSAGE:
            raise EngineError("the docker engine reports in a line longer than 1 MiB")
        for line in lines:
            self._take(line)

    def end(self) -> None:
        """Take the stream's end.

        Raises:
            EngineError: The last message says that the engine failed, or is none.
        """
        last, self._buffer = self._buffer, b""
        self._take(last)

    def _take(self, line: bytes) -> None:
        import json

        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"the docker engine reports malformed JSON: {error}") from error
        self._on_message(checked(message))


def checked(message: object) -> dict[str, Any]:
    """Give one of the messages that an engine reports progress with.

    Raises:
        EngineError: It says that the engine failed, or is none.
    """
    if not isinstance(message, dict):
        raise EngineError("the docker engine reports something else than JSON objects")
    if message.get("error"):
        raise EngineError(" ".join(str(message["error"]).split()))
    return message


def find_image(
    engine: EngineEndpoint,
    reference: str,
    *,
    ask_whole: bool = False,
    cancel: Cancellation | None = None,
) -> StoredImage:
    """Give the image that an engine knows by a name or an id.

    Args:
        engine: The engine.
        reference: The name or id.
        ask_whole: Ask whether the engine has all parts of the image, which takes it longer.
        cancel: Ends it.

    Raises:
        EngineError: It knows none (``status`` 404), or refuses.
        EngineUnreachableError: No engine answers.
    """
    query = "?manifests=1" if ask_whole else ""
    path = f"/images/{_quoted(reference)}/json{query}"
    answer = request(engine, "GET", path, cancel=cancel).json()
    if not isinstance(answer, dict) or not isinstance(answer.get("Id"), str):
        raise EngineError(f"the docker engine does not tell the id of image {reference}")
    manifests = answer.get("Manifests")
    parts = manifests if isinstance(manifests, list) else []
    return StoredImage(
        id=answer["Id"],
        names=_texts(answer.get("RepoTags")),
        layers=_texts(_table(answer.get("RootFS")).get("Layers")),
        whole=not any(_table(part).get("Available") is False for part in parts),
    )


def find_store(engine: EngineEndpoint, *, cancel: Cancellation | None = None) -> ImageStore:
    """Ask an engine what kind of image store it has.

    Raises:
        EngineError: It does not tell.
        EngineUnreachableError: No engine answers.
    """
    answer = _table(request(engine, "GET", "/info", cancel=cancel).json())
    status = answer.get("DriverStatus")
    containerd = isinstance(status, list) and ["driver-type", _CONTAINERD] in status
    return ImageStore(engine=str(answer.get("ID") or ""), containerd=containerd)


def name_image(
    engine: EngineEndpoint, reference: str, name: str, *, cancel: Cancellation | None = None
) -> None:
    """Give an image that an engine has a name, taking it from another image if need be.

    Raises:
        EngineError: The engine has no such image, or refuses the name.
        EngineUnreachableError: No engine answers.
    """
    from urllib.parse import quote

    repository, _, tag = tagged(name).rpartition(":")
    query = f"repo={quote(repository, safe='')}&tag={quote(tag, safe='')}"
    request(engine, "POST", f"/images/{_quoted(reference)}/tag?{query}", cancel=cancel)


def tagged(name: str) -> str:
    """Give an image's name with its tag, which may be left out where it is ``latest``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def remove_image(
    engine: EngineEndpoint, reference: str, *, cancel: Cancellation | None = None
) -> None:
    """Remove an image that nothing uses.

    Raises:
        EngineError: The engine has none (``status`` 404), or it is in use (409).
        EngineUnreachableError: No engine answers.
    """
    request(engine, "DELETE", f"/images/{_quoted(reference)}", cancel=cancel)


def save_images(
    engine: EngineEndpoint, references: Sequence[str], *, cancel: Cancellation | None = None
) -> BinaryIO:
    """Give images as a Docker archive to read from. It has to be closed.

    Raises:
        EngineError: The engine has not all of them, or refuses.
        EngineUnreachableError: No engine answers.
    """
    from urllib.parse import quote

    query = "&".join(f"names={quote(reference, safe='')}" for reference in references)
    return download(engine, f"/images/get?{query}", cancel=cancel)


def load_archive(
    engine: EngineEndpoint,
    source: BinaryIO,
    *,
    on_message: Callable[[dict[str, Any]], None],
    cancel: Cancellation | None = None,
    silence: float = SILENCE,
) -> None:
    """Put the images of a Docker or OCI archive into an engine's store.

    Args:
        engine: The engine.
        source: The archive, read to its end.
        on_message: Takes each of the engine's progress messages.
        cancel: Ends it.
        silence: Seconds that the engine may be silent while it unpacks.

    Raises:
        EngineError: The engine refuses the archive; says why.
        EngineUnreachableError: No engine answers.
        CanceledError: ``cancel`` was turned.
    """
    reader = MessageReader(on_message)
    upload(
        engine,
        "/images/load?quiet=0",
        source,
        on_data=reader.feed,
        headers=(("Content-Type", "application/x-tar"),),
        silence=silence,
        cancel=cancel,
    )
    reader.end()


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(values: object) -> tuple[str, ...]:
    found = values if isinstance(values, list) else ()
    return tuple(value for value in found if value and isinstance(value, str))


def _quoted(reference: str) -> str:
    from urllib.parse import quote

    return quote(reference, safe="/:@")
