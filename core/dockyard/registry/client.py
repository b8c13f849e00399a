"""Talks to registries: manifests to and from them, with the login that docker has for each.

Which registry speaks plain HTTP is found out by asking it, without any secret, and only where that
was allowed or where it is this machine itself.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.errors import CredentialError, DockyardError, OutputError
from dockyard.registry.challenge import Challenge, read_challenge
from dockyard.registry.descriptor import INDEXES, MANIFESTS, Descriptor, check
from dockyard.registry.reference import Reference
from dockyard.registry.setting import RegistrySettings
from dockyard.registry.transport import Response, Transport

if TYPE_CHECKING:
    from dockyard.engine.credential import Credential, Credentials

SettingsFor = Callable[[str], RegistrySettings]
"""Gives how a registry is reached, by its name."""

_LARGEST = 4 << 20
"""Bytes of a manifest, an index or a configuration: what registries themselves allow."""
_SHORT = 64 << 10
"""Bytes of an answer that is read for what went wrong only."""
_ACTIONS = "pull,push"
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that may be others a moment later."""


class _Server(NamedTuple):
    """A registry's server as it turned out to be."""

    url: str
    transport: Transport
    plain_allowed: bool
    """Whether somebody said that plain HTTP will do."""


class RegistryClient:
    """Access to all registries that one build needs. May be used from several threads."""

    def __init__(
        self,
        credentials: Credentials,
        settings: SettingsFor,
        *,
        variables: Mapping[str, str],
        cancel: Cancellation,
        deadline: float = 60.0,
        pauses: Sequence[float] = (0.5, 2.0),
    ) -> None:
        """Take what is needed to reach registries; none is contacted yet.

        Args:
            credentials: What docker's configuration knows about them.
            settings: Says how each is reached.
            variables: Where the proxies stand.
            cancel: Ends whatever is under way.
            deadline: Seconds that one exchange may take.
            pauses: Seconds to wait before each further attempt, when a registry is busy or the
                connection broke.
        """
        self._credentials = credentials
        self._settings = settings
        self._variables = variables
        self._cancel = cancel
        self._deadline = deadline
        self._pauses = pauses
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._logins: dict[Reference, str] = {}
        self._secrets: tuple[str, ...] = ()

    def describe(self, reference: Reference) -> Descriptor:
        """Give the descriptor of a manifest or an index that is in a registry.

        Raises:
            OutputError: The registry does not have it, or cannot be reached.
            CredentialError: It wants another login.
        """
        response = self._manifest(reference)
        kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip()
        found = Descriptor.of(kind, response.body)
        if reference.digest:
            asked = Descriptor(kind, reference.digest, found.size)
            self._checked(reference, asked, response.body)
            return asked
        return found

    def manifest(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """Give a manifest or an index, checked against its digest; raises as ``describe``."""
        reference = reference._replace(tag="", digest=descriptor.digest)
        return self._checked(reference, descriptor, self._manifest(reference).body)

    def blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """Give a small blob, such as a configuration; raises as ``describe``."""
        reference = reference._replace(tag="", digest=descriptor.digest)
        response = self._ask(reference, "GET", f"blobs/{descriptor.digest}", {}, limit=_LARGEST)
        return self._checked(reference, descriptor, response.body)

    def put(self, reference: Reference, descriptor: Descriptor, data: bytes) -> None:
        """Put a manifest or an index into a repository, under a tag or its digest.

        Raises:
            OutputError: The registry does not take it, or cannot be reached.
            CredentialError: It wants another login.
        """
        headers = {"Content-Type": descriptor.media_type}
        response = self._ask(reference, "PUT", f"manifests/{reference.target}", headers, body=data)
        stored = response.headers.get("Docker-Content-Digest")
        if stored and stored != descriptor.digest:
            raise _wrong(reference, f"it has stored {stored[:80]} in place of {descriptor.digest}")

    def _manifest(self, reference: Reference) -> Response:
        headers = {"Accept": ", ".join(sorted(INDEXES | MANIFESTS))}
        return self._ask(reference, "GET", f"manifests/{reference.target}", headers, limit=_LARGEST)

    def _checked(self, reference: Reference, descriptor: Descriptor, data: bytes) -> bytes:
        try:
            return check(descriptor, data)
        except DockyardError as error:
            raise _wrong(reference, error.message) from error

    # --- asking -----------------------------------------------------------------------------

    def _ask(
        self,
        reference: Reference,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bytes | None = None,
        limit: int = _SHORT,
    ) -> Response:
        """Ask a registry about a repository, with a login if it wants one."""
        server = self._server(reference)
        url = f"{server.url}/v2/{reference.repository}/{path}"
        repository = Reference(reference.registry, reference.repository)
        with self._lock:
            login = self._logins.get(repository, "")
        response = self._send(reference, server, method, url, _with(headers, login), body, limit)
        # Who a redirect led to has no business asking for the registry's password.
        if response.status == 401 and response.url.startswith(f"{server.url}/"):
            login = self._login(repository, server, response)
            with self._lock:
                self._logins[repository] = login
            headers = _with(headers, login)
            response = self._send(reference, server, method, url, headers, body, limit)
        if not response.ok:
            secrets = (*self._secrets, login.partition(" ")[2]) if login else self._secrets
            raise _refused(reference, response, secrets)
        return response

    def _send(
        self,
        reference: Reference,
        server: _Server,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int,
    ) -> Response:
        for pause in (*self._pauses, None):
            try:
                response = server.transport.exchange(
                    method, url, headers=headers, body=body, limit=limit, cancel=self._cancel
                )
            except ConnectionResetError as error:
                if pause is None:
                    raise _wrong(reference, _reason(error)) from error
            except OSError as error:
                raise _wrong(reference, _reason(error)) from error
            else:
                if response.status not in _BUSY or pause is None:
                    break
            _wait(pause, self._cancel)
        return response

    # --- which server -----------------------------------------------------------------------

    def _server(self, reference: Reference) -> _Server:
        """Find out how a registry's server speaks, once."""
        with self._lock:
            known = self._servers.get(reference.host)
        if known is None:
            known = self._find_server(reference)
            with self._lock:
                self._servers[reference.host] = known
        return known

    def _find_server(self, reference: Reference) -> _Server:
        settings = self._settings(reference.registry)
        transport = Transport(
            variables=self._variables,
            tls=settings.tls(),
            deadline=self._deadline,
            patience=self._deadline,
        )
        failure: OSError | None = None
        for scheme in _schemes(reference.host, settings):
            url = f"{scheme}://{reference.host}"
            try:
                response = transport.exchange(
                    "GET", f"{url}/v2/", headers={}, limit=_SHORT, cancel=self._cancel
                )
            except OSError as error:
                failure = _telling(failure, error)
                continue
            if scheme == "http" and response.status == 400 and b"HTTPS" in response.body:
                failure = failure or OSError("it speaks HTTPS, and was asked over HTTP")
                continue
            return _Server(url, transport, bool(settings.http or settings.insecure))
        assert failure is not None
        raise _wrong(reference, _reason(failure)) from failure

    # --- logins -----------------------------------------------------------------------------

    def _login(self, repository: Reference, server: _Server, response: Response) -> str:
        """Make the header that answers a registry's challenge."""
        from base64 import b64encode

        challenge = read_challenge(response.headers.get_all("WWW-Authenticate", []))
        credential = self._credentials.lookup(repository.host, cancel=self._cancel)
        self._secrets += _secrets(credential)
        if challenge is None:
            raise _refused(repository, response, self._secrets)
        if challenge.scheme == "bearer":
            return f"Bearer {self._token(repository, server, challenge, credential)}"
        if not credential.secret:
            raise CredentialError(
                f"{_named(repository)}: no basic auth credentials",
                hint=f"docker login {repository.registry}",
            )
        pair = f"{credential.username}:{credential.secret}".encode()
        return f"Basic {b64encode(pair).decode()}"

    def _token(
        self,
        repository: Reference,
        server: _Server,
        challenge: Challenge,
        credential: Credential,
    ) -> str:
        from dockyard.session.token import TokenRequest, fetch_token

        if challenge.realm.lower().startswith("http:") and not _may_be_open(server, challenge):
            raise CredentialError(f"{_named(repository)}: its token server has no https address")
        wanted = TokenRequest(
            realm=challenge.realm,
            service=challenge.service,
            scopes=(f"repository:{repository.repository}:{_ACTIONS}",),
        )
        try:
            found = fetch_token(wanted, credential, server.transport, cancel=self._cancel)
        except CredentialError as error:
            raise CredentialError(f"{_named(repository)}: {error.message}") from error
        if not (found.token.isascii() and found.token.isprintable()):
            raise CredentialError(f"{_named(repository)}: its token server gave no usable token")
        return found.token


def _schemes(host: str, settings: RegistrySettings) -> tuple[str, ...]:
    """Give how to try to reach a server, in order."""
    if settings.http:
        return ("http",)
    if settings.http is None and _is_loopback(host):
        return ("http", "https")
    return ("https", "http") if settings.insecure else ("https",)


def _may_be_open(server: _Server, challenge: Challenge) -> bool:
    """Say whether a token server may be sent secrets over plain HTTP.

    A registry that is reached safely has no business asking for that. One on this machine, which
    nobody said anything about, may have its token server there as well.
    """
    from urllib.parse import urlsplit

    if server.url.startswith("https:"):
        return False
    try:
        return server.plain_allowed or _is_loopback(urlsplit(challenge.realm).hostname or "")
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    import ipaddress

    name, _, port = host.rpartition(":")
    name = (name if port.isdigit() and name else host).strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _wait(seconds: float, cancel: Cancellation) -> None:
    """Wait, but not when nobody waits for us any more."""
    over = threading.Event()
    forget = cancel.on_cancel(over.set)
    over.wait(seconds)
    forget()
    cancel.check()


def _telling(first: OSError | None, second: OSError) -> OSError:
    """Give the failure that says more: an untrusted certificate, else what came first."""
    if isinstance(second, ssl.SSLCertVerificationError):
        return second
    return first or second


def _with(headers: Mapping[str, str], login: str) -> dict[str, str]:
    return {**headers, "Authorization": login} if login else dict(headers)


def _secrets(credential: Credential) -> tuple[str, ...]:
    found = (credential.secret, credential.identity_token, credential.registry_token)
    return tuple(filter(None, found))


def _named(reference: Reference) -> str:
    return f"registry {reference.registry}, repository {reference.repository}"


def _wrong(reference: Reference, why: str) -> OutputError:
    return OutputError(f"{_named(reference)}: {why}")


def _refused(reference: Reference, response: Response, secrets: tuple[str, ...]) -> DockyardError:
    """Say what a registry refused, in its own words where they give nothing away."""
    words = f"{_named(reference)}: {response.status}"
    for mark, said in ((" ", _line(response.reason)), (": ", _said(response.body))):
        if said and not any(secret in said for secret in secrets):
            words += f"{mark}{said}"
    if response.status == 401:
        return CredentialError(words, hint=f"docker login {reference.registry}")
    return OutputError(words)


def _said(body: bytes) -> str:
    """Give the messages of a registry's errors."""
    import json

    try:
        errors = json.loads(body)["errors"]
        found = [f"{each['code']}: {each['message']}".strip(": ") for each in errors]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return _line("; ".join(found))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _line(f"its certificate is not trusted: {error.verify_message}")
    if isinstance(error, TimeoutError) and not str(error).startswith("no whole"):
        return "it does not answer"
    return _line((error.strerror or str(error) or type(error).__name__).lower())


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:300]
