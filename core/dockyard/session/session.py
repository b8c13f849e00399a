"""A session: the stream on which the daemon calls the client, for as long as a build runs.

The daemon is the client of the connection on it. The stream is one of its own, where the node's
driver offers that, or runs inside a call of BuildKit's control API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dockyard.buildkit.client import Client
from dockyard.buildkit.request import new_id
from dockyard.driver import Headers
from dockyard.errors import DockyardError
from dockyard.session.health import Health
from dockyard.session.service import Attachable
from dockyard.wire.errors import WireError
from dockyard.wire.grpc import Handler, Server
from dockyard.wire.loop import Loop

_METHOD = "/moby.buildkit.v1.Control/Session"
_DRAIN = 2.0
"""Seconds that a session's end may take to be sent."""

_MAX_KEY = 200


class Session:
    """One session, opened once and closed once. Belongs to the client's thread."""

    def __init__(self, *, shared_key: str = "", attachables: Sequence[Attachable] = ()) -> None:
        """Prepare a session.

        Args:
            shared_key: By what the daemon recognises the directories that it got before.
            attachables: The services; health is served always.
        """
        self.id = new_id()
        self.shared_key = printable(shared_key)
        self.on_close: Callable[[DockyardError], None] | None = None
        """Called in the loop when the stream breaks: a build on it cannot end well any more."""
        self.lost: DockyardError | None = None
        """How the stream broke; None when it did not, or was closed by us."""
        self._attachables = (Health(), *attachables)
        self._client: Client | None = None
        self._server: Server | None = None
        self._ended = False

    @property
    def failed(self) -> BaseException | None:
        """The first error of our own services; says more than what the daemon made of it."""
        return next((each.failed for each in self._attachables if each.failed is not None), None)

    def open(self, client: Client) -> None:
        """Open the stream and begin to serve. The calls are answered while the loop runs.

        Raises:
            ConnectError: A stream of its own cannot be opened.
        """
        if self._server is not None:
            raise RuntimeError("a session is opened once")
        loop = client.loop
        self._client = client
        handlers = self._handlers(loop)
        headers = self.headers(handlers)
        if client.connection.open_session is not None:
            self._server = Server(loop, client.connection.open_session(headers), handlers)
            self._server.on_close = self._closed
        else:
            from dockyard.wire.tunnel import serve_in_call

            self._server = serve_in_call(
                loop, client.channel, _METHOD, headers, handlers, on_close=self._closed
            )

    def close(self) -> None:
        """End the session. Calls that still run are canceled; what they had begun is removed.

        Runs the loop until the daemon can know, for a short while at most.
        """
        if self._server is None or self._client is None:
            return
        self.on_close = None
        if not self._ended:
            self._server.close()
            sent: list[bool] = []
            self._client.loop.call_soon(lambda: sent.append(True))  # behind the farewell
            self._client.loop.run(lambda: self._ended and bool(sent), timeout=_DRAIN)

    def headers(self, methods: Iterable[str]) -> Headers:
        """Give the metadata that announce the session and the methods that it serves."""
        return (
            ("x-docker-expose-session-uuid", self.id),
            ("x-docker-expose-session-sharedkey", self.shared_key),
            *(("x-docker-expose-session-grpc-method", method) for method in methods),
        )

    def _handlers(self, loop: Loop) -> dict[str, Handler]:
        found: dict[str, Handler] = {}
        for attachable in self._attachables:
            for method, handler in attachable.handlers(loop).items():
                if method in found:
                    raise ValueError(f"two attachables serve {method}")
                found[method] = handler
        return found

    def _closed(self, error: WireError | None) -> None:
        self._ended = True
        if error is None or self._client is None:
            return
        self.lost = self._client.error(error, during=" for the session")
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(self.lost)


def printable(key: str) -> str:
    """Make a key that can travel as a header: printable ASCII, not too long, unlike any other.

    A key that is so already stays as it is. The daemon compares keys and shows them nowhere.
    """
    if len(key) <= _MAX_KEY and key.isascii() and key.isprintable() and key == key.strip():
        return key
    import hashlib

    data = key.encode("utf-8", "surrogatepass")
    ascii_part = "".join(char for char in key if char.isascii() and char.isalnum())[:40]
    return f"{ascii_part}-{hashlib.sha256(data).hexdigest()[:32]}"
