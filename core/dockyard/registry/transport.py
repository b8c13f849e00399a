"""One HTTP exchange with a registry: bounded in time and size, and cancelable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from email.message import Message
from functools import partial
from typing import NamedTuple, TypeVar

from attrs import define

from dockyard.cancellation import Cancellation
from dockyard.errors import CredentialError
from dockyard.session.http import Answer, HttpClient, plain

_Found = TypeVar("_Found")
_BROKEN = "the connection broke in the middle of the answer"


class Response(NamedTuple):
    """What a registry answered."""

    status: int
    reason: str
    headers: Message
    body: bytes = b""
    url: str = ""
    """Who it came from, after all redirects."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@define(eq=False, kw_only=True)
class Transport(HttpClient):
    """Sends single requests to registries."""

    deadline: float = 60.0
    """Seconds that one exchange may take from its beginning to its end."""

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit: int,
        cancel: Cancellation,
    ) -> Response:
        """Send one request and read the answer, whatever its status.

        Headers are not repeated to a server that the answer redirects to.

        Args:
            method: HTTP's.
            url: Where to.
            headers: Beside those that every request has.
            body: What to send.
            limit: Bytes that the answer may have.
            cancel: Ends it.

        Raises:
            OSError: It failed. ``ssl.SSLError`` where TLS did, ``TimeoutError`` where time ran out.
            CanceledError: ``cancel`` was turned.
        """
        return self._in_time(
            lambda over: self._exchange(method, url, headers, body, limit, over), cancel
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        cancel: Cancellation,
    ) -> Answer:
        """Do the same for a token server, within the same time; raises as ``HttpClient.send``."""
        sending = partial(HttpClient.send, self, method, url, headers=headers, body=body)
        try:
            return self._in_time(lambda over: sending(cancel=over), cancel)
        except TimeoutError as error:
            raise CredentialError(f"{method} {plain(url)}: {error}") from error

    def _in_time(self, work: Callable[[Cancellation], _Found], cancel: Cancellation) -> _Found:
        """Do something in a thread, which is left alone when it takes too long or is canceled.

        To look up a name and to shake hands know neither a deadline nor a cancellation.
        """
        results: list[_Found] = []
        errors: list[Exception] = []
        over = Cancellation()
        done = threading.Event()

        def run() -> None:
            try:
                results.append(work(over))
            except Exception as error:  # noqa: BLE001  # raised again below
                errors.append(error)
            finally:
                done.set()

        cancel.check()
        forget = cancel.on_cancel(done.set)
        try:
            threading.Thread(target=run, name="dockyard-registry", daemon=True).start()
            in_time = done.wait(self.deadline)
        finally:
            forget()
            over.cancel()
        cancel.check()
        if not in_time:  # what the thread says of it now is only that it was ended
            raise TimeoutError(f"no whole answer within {self.deadline:g} seconds")
        if errors:
            raise errors[0]
        return results[0]

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int,
        over: Cancellation,
    ) -> Response:
        import http.client
        import urllib.error
        import urllib.request

        try:
            request = urllib.request.Request(url, data=body, method=method)
            for name, value in headers.items():
                request.add_unredirected_header(name, value)
            with ExitStack() as stack:
                opener = self._opener(request, over, stack)
                answer = stack.enter_context(opener.open(request, timeout=self.patience))
                data = answer.read(limit + 1)
        except urllib.error.HTTPError as error:  # a redirect that may not be followed
            with error:
                return Response(error.code, str(error.msg), error.headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _plain(error) from error
        if len(data) > limit:
            raise OSError(f"the answer is larger than {limit} bytes")
        if answer.length:  # so many bytes were announced and did not come
            raise ConnectionResetError(_BROKEN)
        return Response(answer.status, str(answer.reason), answer.headers, data, answer.url)


def _plain(error: Exception) -> OSError:
    """Give what really went wrong."""
    import http.client

    if isinstance(error, http.client.IncompleteRead):
        return ConnectionResetError(_BROKEN)
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        return inner
    if isinstance(error, OSError):
        return error
    return OSError(f"the answer is not HTTP: {' '.join(str(error).split())[:200]}")
