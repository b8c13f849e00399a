"""The ``docker`` package's client over the byte streams that everything else here uses.

Left alone, it would read the environment again, know no deadline for a connection, and want
another package for ssh. So it only gets its requests' sockets from us.

Importing this module imports ``docker``, which takes a third of a second.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import requests
import urllib3
from docker import APIClient  # noqa: TID253  # whoever imports this module wants it
from docker.constants import DEFAULT_DOCKER_API_VERSION  # noqa: TID253
from docker.utils import version_lt  # noqa: TID253
from requests.adapters import HTTPAdapter

from dockyard.cancellation import Cancellation
from dockyard.engine.dial import dial
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request
from dockyard.engine.stream import SocketStream

_BASE = "http://docker:2375"
"""Where requests seem to go; the adapter sends them to the engine."""


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
        EngineError: The engine cannot be reached or does not tell its version.
        CanceledError: ``cancel`` was turned before.
    """
    answer = request(endpoint, "GET", "/version", cancel=cancel).json()
    theirs = answer.get("ApiVersion") if isinstance(answer, Mapping) else None
    version = DEFAULT_DOCKER_API_VERSION
    if isinstance(theirs, str) and version_lt(theirs, version):
        version = theirs
    pool = _EnginePool(endpoint, silence)
    with APIClient(base_url=_BASE, version=version, timeout=int(silence)) as client:
        client.trust_env = False
        client.mount(_BASE, _EngineAdapter(pool))
        remove = cancel.on_cancel(pool.abort)
        try:
            yield client
        finally:
            remove()


class _EngineConnection(urllib3.connection.HTTPConnection):
    def __init__(self, endpoint: EngineEndpoint, silence: float) -> None:
        super().__init__("docker", timeout=silence)
        self._endpoint = endpoint
        self._stream: SocketStream | None = None

    def connect(self) -> None:
        self._stream = dial(self._endpoint)
        self.sock = self._stream.socket
        self.sock.settimeout(self.timeout)

    def close(self) -> None:
        super().close()
        if self._stream is not None:
            self._stream.close()


class _EnginePool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, endpoint: EngineEndpoint, silence: float) -> None:
        super().__init__("docker", timeout=silence)
        self._endpoint = endpoint
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
        self._made.append(_EngineConnection(self._endpoint, self._silence))
        return self._made[-1]


class _EngineAdapter(HTTPAdapter):
    def __init__(self, pool: _EnginePool) -> None:
        super().__init__()
        self._engine_pool = pool

    def get_connection_with_tls_context(
        self, *_: object, **__: object
    ) -> urllib3.connectionpool.HTTPConnectionPool:
        return self._engine_pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ANN401
        return request.path_url

    def close(self) -> None:
        super().close()
        self._engine_pool.close()
