"""Images in an engine's store: look them up, take them out, and put archives in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import SILENCE, download, request, upload
from dockyard.errors import EngineError

_MAX_MESSAGE = 1 << 20


class StoredImage(NamedTuple):
    """An image that an engine has."""

    id: str
    names: tuple[str, ...] = ()


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
        if not isinstance(message, dict):
            raise EngineError("the docker engine reports something else than JSON objects")
        failure = message.get("error")
        if failure:
            raise EngineError(" ".join(str(failure).split()))
        self._on_message(message)


def find_image(
    engine: EngineEndpoint, reference: str, *, cancel: Cancellation | None = None
) -> StoredImage:
    """Give the image that an engine knows by a name or an id.

    Raises:
        EngineError: It knows none (``status`` 404), or refuses.
        EngineUnreachableError: No engine answers.
    """
    answer = request(engine, "GET", f"/images/{_quoted(reference)}/json", cancel=cancel).json()
    if not isinstance(answer, dict) or not isinstance(answer.get("Id"), str):
        raise EngineError(f"the docker engine does not tell the id of image {reference}")
    names = answer.get("RepoTags") or ()
    return StoredImage(id=answer["Id"], names=tuple(name for name in names if name))


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


def _quoted(reference: str) -> str:
    from urllib.parse import quote

    return quote(reference, safe="/:@")
