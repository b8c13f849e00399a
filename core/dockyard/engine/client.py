"""The ``docker`` package's client over the byte streams that everything else here uses.

Left alone, it would read the environment again, know no deadline for a connection, and want
another package for ssh. So it only gets its requests' sockets from us.

Importing this module imports ``docker``, which takes a third of a second.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from docker import APIClient  # noqa: TID253  # whoever imports this module wants it
from docker.constants import DEFAULT_DOCKER_API_VERSION  # noqa: TID253
from docker.errors import APIError, DockerException, NotFound  # noqa: TID253
from docker.utils import version_lt  # noqa: TID253
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from dockyard.cancellation import Cancellation
from dockyard.engine.dial import dial
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request
from dockyard.engine.stream import SocketStream
from dockyard.errors import EngineError

if TYPE_CHECKING:
    from dockyard.engine.credential import Credentials

_BASE = "http://docker:2375"
"""Where requests seem to go; the adapter sends them to the engine."""
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")


@contextmanager
def api_client(
    endpoint: EngineEndpoint, *, silence: float, cancel: Cancellation
) -> Iterator[APIClient]:
    """Give a client for the engine for as long as the block runs.

    Args:
        endpoint: The engine.
        silence: Seconds for which the engine may say nothing.
        cancel: Ends whatever the client waits for; what it raises then says nothing of it.

    Raises:
        EngineError: The engine cannot be reached, or is too old.
        CanceledError: ``cancel`` was turned before.
    """
    answer = request(endpoint, "GET", "/version", cancel=cancel).json()
    theirs = answer.get("ApiVersion") if isinstance(answer, Mapping) else None
    version = DEFAULT_DOCKER_API_VERSION
    if isinstance(theirs, str) and _VERSION.fullmatch(theirs) and version_lt(theirs, version):
        version = theirs
    pool = _EnginePool(endpoint, silence, cancel)
    with _client(version, silence) as client:
        client.trust_env = False
        client.mount(_BASE, _EngineAdapter(pool, silence))
        remove = cancel.on_cancel(pool.abort)
        try:
            yield client
        finally:
            remove()


@contextmanager
def translated(cancel: Cancellation, what: str) -> Iterator[None]:
    """Turn what the client raises into our errors.

    Args:
        cancel: What the client was given.
        what: The work, as it is named when the engine breaks it off, for example ``the push``.

    Raises:
        EngineError: The engine refused, in its own words and with its ``status``, or broke off.
        CanceledError: ``cancel`` was turned.
    """
    try:
        yield
    except APIError as error:
        words = " ".join(str(error.explanation or error).split())
        raise EngineError(words, status=error.status_code) from error
    except (DockerException, RequestException, HTTPError, OSError, ValueError) as error:
        cancel.check()
        raise EngineError(f"the docker engine broke off {what}: {error}") from error


def login_for(credentials: Credentials, name: str, cancel: Cancellation) -> dict[str, str]:
    """Give what the engine shall log in to an image name's registry with; empty for nobody.

    Raises:
        CredentialError: The credential helper cannot give it.
        ConfigError: Docker's configuration makes no sense.
        CanceledError: ``cancel`` was turned.
    """
    host, slash, _ = name.partition("/")
    named = slash and (host == "localhost" or "." in host or ":" in host)
    host = host if named and host != "index.docker.io" else "docker.io"
    found = credentials.lookup(host, cancel=cancel)
    if not found:
        return {}
    login = {"serveraddress": "https://index.docker.io/v1/" if host == "docker.io" else host}
    if found.identity_token:
        login["identitytoken"] = found.identity_token
    elif found.registry_token:
        login["registrytoken"] = found.registry_token
    else:
        login |= {"username": found.username, "password": found.secret}
    return login


def _client(version: str, silence: float) -> APIClient:
    try:
        return _Client(base_url=_BASE, version=version, timeout=int(silence))
    except DockerException as error:
        raise EngineError(f"the docker engine cannot be used: {error}") from error


class _Client(APIClient):
    def _raise_for_status(self, response: requests.Response) -> None:
        try:
            super()._raise_for_status(response)  # type: ignore[misc]  # not in the stubs
        except (KeyError, TypeError, AttributeError) as error:
            # The package trips over refusals in JSON that is not an engine's, such as a proxy's.
            kind = NotFound if response.status_code == 404 else APIError
            words = f"the docker engine answers with status {response.status_code}"
            raise kind(words, response=response, explanation=words) from error


class _EngineConnection(urllib3.connection.HTTPConnection):
    def __init__(self, endpoint: EngineEndpoint, silence: float, cancel: Cancellation) -> None:
        super().__init__("docker", timeout=silence)
        self._endpoint = endpoint
        self._cancel = cancel
        self._stream: SocketStream | None = None

    def connect(self) -> None:
        self._stream = dial(self._endpoint, cancel=self._cancel)
        self.sock = self._stream.socket
        self.sock.settimeout(self.timeout)
        self._cancel.check()  # whoever canceled before found no socket to shut down

    def close(self) -> None:
        super().close()
        if self._stream is not None:
            self._stream.close()


class _EnginePool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, endpoint: EngineEndpoint, silence: float, cancel: Cancellation) -> None:
        super().__init__("docker", timeout=silence)
        self._endpoint = endpoint
        self._cancel = cancel
        self._silence = silence
        self._made: list[_EngineConnection] = []

    def abort(self) -> None:
        """Wake whoever reads from the engine, in another thread."""
        for connection in self._made:
            with suppress(OSError, AttributeError):  # it is closed already, or not open yet
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        for connection in self._made:
            connection.close()  # also one whose answer was not read to its end

    def _new_conn(self) -> _EngineConnection:
        self._made.append(_EngineConnection(self._endpoint, self._silence, self._cancel))
        return self._made[-1]


class _EngineAdapter(HTTPAdapter):
    def __init__(self, pool: _EnginePool, silence: float) -> None:
        super().__init__()
        self._engine_pool = pool
        self._silence = silence

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ANN401  # as requests has it
        *arguments: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> requests.Response:
        # For a pull, the package would wait for ever.
        return super().send(request, stream, timeout or self._silence, *arguments, **more)

    def get_connection_with_tls_context(
        self, *_: object, **__: object
    ) -> urllib3.connectionpool.HTTPConnectionPool:
        return self._engine_pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ANN401
        return request.path_url

    def close(self) -> None:
        super().close()
        self._engine_pool.close()
