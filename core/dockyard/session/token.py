"""Get a registry's bearer token from its token server (wire.md 4.3).

First the OAuth way, by POST, when there is a password or a refresh token; the older way, by GET,
when the server does not know the first, or when nothing is known about the registry.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from attrs import field, frozen

from dockyard.cancellation import Cancellation
from dockyard.engine.credential import Credential
from dockyard.errors import CredentialError
from dockyard.session.http import Answer, HttpClient, plain

_SECONDS_IF_UNSAID = 60
_MAX_SECONDS = 1 << 31
_CLIENT_ID = "buildkit-client"


class TokenRequest(NamedTuple):
    """What a daemon wants a token for."""

    realm: str
    """The token server's address."""
    service: str = ""
    scopes: tuple[str, ...] = ()
    """Each like ``repository:library/alpine:pull``."""


@frozen(kw_only=True)
class Token:
    """A bearer token."""

    token: str = field(repr=False)
    expires_in: int = _SECONDS_IF_UNSAID
    """Seconds from ``issued_at``."""
    issued_at: int = 0
    """Seconds since the epoch; 0 when the server did not say."""


def fetch_token(
    request: TokenRequest, credential: Credential, client: HttpClient, *, cancel: Cancellation
) -> Token:
    """Get a token with what is known about the registry. Blocks.

    Raises:
        CredentialError: The server gave none; says why, without the secret.
        CanceledError: ``cancel`` was turned.
    """
    if credential.registry_token:
        return Token(token=credential.registry_token)
    username, secret = credential.username, credential.secret
    if credential.identity_token:
        username, secret = "", credential.identity_token
    kind = "oauth" if secret else "anonymous"
    try:
        if secret:
            answer = _post(request, username, secret, client, cancel)
            # Some registries know only GET: 404 (GCR), 401 (Artifactory), 405 where there is a
            # user to fall back with.
            if not (answer.status in (404, 401) or (answer.status == 405 and username)):
                return _token("POST", request, answer, ("access_token",), secret)
        answer = _get(request, username, secret, client, cancel)
        return _token("GET", request, answer, ("access_token", "token"), secret)
    except CredentialError as error:
        raise CredentialError(f"failed to fetch {kind} token: {error.message}") from error


def _post(
    request: TokenRequest, username: str, secret: str, client: HttpClient, cancel: Cancellation
) -> Answer:
    from urllib.parse import urlencode

    form = {"service": request.service, "client_id": _CLIENT_ID}
    if request.scopes:
        form["scope"] = " ".join(request.scopes)
    if username:
        form |= {"grant_type": "password", "username": username, "password": secret}
    else:
        form |= {"grant_type": "refresh_token", "refresh_token": secret}
    return client.send(
        "POST",
        request.realm,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=urlencode(form).encode(),
        cancel=cancel,
    )


def _get(
    request: TokenRequest, username: str, secret: str, client: HttpClient, cancel: Cancellation
) -> Answer:
    from base64 import b64encode
    from urllib.parse import urlencode

    query = [("service", request.service)] if request.service else []
    query += [("scope", scope) for scope in request.scopes]
    url = request.realm.partition("#")[0]
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query)
    headers = {}
    if secret:
        headers["Authorization"] = "Basic " + b64encode(f"{username}:{secret}".encode()).decode()
    return client.send("GET", url, headers=headers, cancel=cancel)


def _token(
    method: str, request: TokenRequest, answer: Answer, keys: tuple[str, ...], secret: str
) -> Token:
    """Take the token out of an answer."""
    if not answer.ok:
        if said := _registry_errors(answer, secret):
            raise CredentialError(said)
        raise CredentialError(
            f"unexpected status from {method} request to {plain(request.realm)}: "
            f"{answer.status} {answer.reason}{_details(answer, secret)}"
        )
    values = _object(answer.body)
    if values is None:
        raise CredentialError(f"{plain(request.realm)} answered with something that is no token")
    token = next((found for key in keys if (found := values.get(key))), None)
    if not isinstance(token, str):
        raise CredentialError(f"{plain(request.realm)} did not include a token in its answer")
    return Token(
        token=token,
        expires_in=_seconds(values.get("expires_in")),
        issued_at=_time(values.get("issued_at")),
    )


def _object(body: bytes) -> dict[str, Any] | None:
    import json

    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _details(answer: Answer, secret: str) -> str:
    """Give the server's own words, when it is one of those that say something."""
    values = _object(answer.body) or {}
    for key in ("details", "error_description", "message"):
        text = values.get(key)
        if isinstance(text, str) and text and not (secret and secret in text):
            return f": {_line(text)}"
    return ""


def _registry_errors(answer: Answer, secret: str) -> str:
    """Give what the answer says in the form that registries have for errors, if it has it."""
    found = (_object(answer.body) or {}).get("errors")
    texts = [_registry_error(each) for each in found] if isinstance(found, list) else []
    said = _line("; ".join(filter(None, texts)))
    return "" if secret and secret in said else said


def _registry_error(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    code, message, detail = (values.get(key) for key in ("code", "message", "detail"))
    if not isinstance(code, str) or not isinstance(message, str) or not message:
        return ""
    more = f" - {detail}" if isinstance(detail, str) and detail else ""
    return f"{code.lower().replace('_', ' ')}: {message}{more}"


def _line(text: str) -> str:
    """Make one line that is not too long of a stranger's words."""
    return "".join(char for char in text if char.isprintable())[:200]


def _seconds(value: object) -> int:
    if isinstance(value, int) and 0 < value < _MAX_SECONDS:
        return int(value)
    return _SECONDS_IF_UNSAID


def _time(value: object) -> int:
    """Read an RFC 3339 time; 0 when it is none."""
    from datetime import UTC, datetime

    if not isinstance(value, str):
        return 0
    try:
        time = datetime.fromisoformat(value)
        return max(int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()), 0)
    except (ValueError, OverflowError):
        return 0
