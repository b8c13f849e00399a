"""Registry credentials for the daemon: tokens that are fetched here, or user and password.

A daemon that meets a registry first asks for a public key (GetTokenAuthority); with one it lets
us fetch every token, and the password never leaves this machine. It asks for user and password
only where a registry wants just these (wire.md 4.3). Nothing known is an empty answer, never an
error.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import CanceledError, DockyardError
from dockyard.session.authority import SeedStore, authority_seed
from dockyard.session.service import Worker
from dockyard.wire.codec import decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler
from dockyard.wire.loop import Loop
from dockyard.wire.messages import (
    CREDENTIALS_REQUEST,
    CREDENTIALS_RESPONSE,
    FETCH_TOKEN_REQUEST,
    FETCH_TOKEN_RESPONSE,
    GET_TOKEN_AUTHORITY_REQUEST,
    GET_TOKEN_AUTHORITY_RESPONSE,
    VERIFY_TOKEN_AUTHORITY_REQUEST,
    VERIFY_TOKEN_AUTHORITY_RESPONSE,
)

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import Progress
    from dockyard.engine.credential import Credential, Credentials
    from dockyard.session.http import HttpClient

_SERVICE = "/moby.filesync.v1.Auth/"
_TRUE = frozenset({"1", "t", "true"})


class RegistryAuth:
    """Serves what docker's configuration knows about registries."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        client: HttpClient | None = None,
    ) -> None:
        """Take the credentials.

        Args:
            credentials: Where they are looked up.
            folder: Docker's configuration folder, where the seeds of the keys are kept.
            variables: The environment: proxies, and BUILDKIT_NO_CLIENT_TOKEN.
            progress: Where ``[auth]`` steps are shown; called from other threads.
            client: What asks token servers.
        """
        self.failed: BaseException | None = None
        self._credentials = credentials
        self._seeds = SeedStore(folder)
        self._variables = variables or {}
        self._client = client
        no_tokens = self._variables.get("BUILDKIT_NO_CLIENT_TOKEN", "")
        self._client_tokens = no_tokens.lower() not in _TRUE
        self._progress = progress
        self._shown: set[str] = set()
        self._lock = threading.Lock()

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        worker = Worker(loop)
        return {
            _SERVICE + "Credentials": worker.unary(self._credentials_of),
            _SERVICE + "FetchToken": worker.unary(self._fetch_token),
            _SERVICE + "GetTokenAuthority": worker.unary(self._public_key),
            _SERVICE + "VerifyTokenAuthority": worker.unary(self._sign),
        }

    def _credentials_of(self, request: bytes, cancel: Cancellation) -> bytes:
        host = decode(CREDENTIALS_REQUEST, request).get("Host", "")
        found = self._lookup(host, cancel)
        if found.secret or found.identity_token:
            with self._step(f"[auth] sharing credentials for {host}"):
                pass
        if found.identity_token:
            answer = {"Username": "", "Secret": found.identity_token}
        else:
            answer = {"Username": found.username, "Secret": found.secret}
        return encode(CREDENTIALS_RESPONSE, answer)

    def _fetch_token(self, request: bytes, cancel: Cancellation) -> bytes:
        values = decode(FETCH_TOKEN_REQUEST, request)
        host, scopes = values.get("Host", ""), tuple(values.get("Scopes", ()))
        from dockyard.session.token import TokenRequest, fetch_token

        wanted = TokenRequest(
            realm=values.get("Realm", ""), service=values.get("Service", ""), scopes=scopes
        )
        names = " ".join(scope.removeprefix("repository:") for scope in scopes)
        found = self._lookup(host, cancel)
        if _is_asked(found):
            with self._step(f"[auth] {names} token for {host}"):
                pass  # whether it fails is said by the step that needs it
        token = fetch_token(wanted, found, self._http(), cancel=cancel)
        return encode(
            FETCH_TOKEN_RESPONSE,
            {"Token": token.token, "ExpiresIn": token.expires_in, "IssuedAt": token.issued_at},
        )

    def _http(self) -> HttpClient:
        from dockyard.session.http import HttpClient

        return self._client or HttpClient(variables=self._variables)

    def _public_key(self, request: bytes, cancel: Cancellation) -> bytes:
        from dockyard.session.ed25519 import public_key

        values = decode(GET_TOKEN_AUTHORITY_REQUEST, request)
        seed = self._seed(values, cancel)
        return encode(GET_TOKEN_AUTHORITY_RESPONSE, {"PublicKey": public_key(seed)})

    def _sign(self, request: bytes, cancel: Cancellation) -> bytes:
        from dockyard.session.ed25519 import sign

        values = decode(VERIFY_TOKEN_AUTHORITY_REQUEST, request)
        payload = values.get("Payload", b"")
        signature = sign(self._seed(values, cancel), payload)
        return encode(VERIFY_TOKEN_AUTHORITY_RESPONSE, {"Signed": signature + payload})

    def _seed(self, values: Mapping[str, object], cancel: Cancellation) -> bytes:
        """Give the seed of the key for the host and the salt of a request."""
        if not self._client_tokens:
            raise CallError(Code.UNAVAILABLE, "client side tokens disabled")
        host, salt = str(values.get("Host", "")), values.get("Salt", b"")
        assert isinstance(salt, bytes)
        found = self._lookup(host, cancel)
        known = found.secret or found.identity_token
        return authority_seed(salt, self._seeds.get(host) if known else b"")

    def _lookup(self, host: str, cancel: Cancellation) -> Credential:
        try:
            return self._credentials.lookup(host, cancel=cancel)
        except CanceledError:
            raise
        except DockyardError as error:
            self.failed = self.failed or error
            raise

    def _step(self, name: str) -> AbstractContextManager[object]:
        """Show a step, the first time that it happens."""
        with self._lock:
            new = name not in self._shown
            self._shown.add(name)
        if self._progress is None or not new:
            return nullcontext()
        return self._progress.step(name)


def _is_asked(found: Credential) -> bool:
    """Whether a token server gets to see a person's credentials, which is worth a line."""
    return bool(found.secret or found.identity_token) and not found.registry_token
