"""Single sign-on with OpenID Connect: ``auth-provider: oidc`` in a kubeconfig.

The token in the file is shown until it is over; then the issuer is asked for a new one, and both
are written back, because many issuers take a refresh token only once.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from dockyard.engine.wait import Wait
from dockyard_kubernetes.credential import Credential, Pem, Shown, basic, read_pem
from dockyard_kubernetes.failure import ClusterUnreachableError, KubeconfigError, one_line

TIMEOUT = 30.0
"""Seconds that an issuer may take."""

_EARLY = 10.0
_LOCK_SECONDS = 5.0
_LOCK_PAUSE = 0.05
_FORM = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
_HINT = "log in again with the tool that wrote the kubeconfig"


def provider_of(
    content: Mapping[str, Any], file: Path, user: str, variables: Mapping[str, str]
) -> Credential:
    """Read the ``auth-provider`` of a user.

    Raises:
        KubeconfigError: It is of another kind, or malformed.
    """
    name, config = content.get("name"), content.get("config")
    if name != "oidc":
        raise KubeconfigError(
            f'the auth-provider "{name}" in kubeconfig {file} is not supported',
            hint="Kubernetes has given it up for credential plugins; "
            "write the kubeconfig anew with your cloud's current tool",
        )
    if not isinstance(config, dict) or not all(isinstance(v, str) for v in config.values()):
        raise KubeconfigError(
            f"the auth-provider in kubeconfig {file} has no config of texts", hint=_HINT
        )
    return Provider(config, file, user, variables)


class Provider:
    """An issuer of tokens."""

    def __init__(
        self, config: Mapping[str, str], file: Path, user: str, variables: Mapping[str, str]
    ) -> None:
        self._config = dict(config)
        self._file = file
        self._user = user
        self._variables = variables
        self._lock = threading.Lock()
        self._shown: Shown | None = None
        self._refused: Shown | None = None
        self._renewed = False

    def show(self, wait: Wait) -> Shown:
        with wait.holding(self._lock):
            token = self._config.get("id-token", "")
            is_refused = self._shown is not None and self._shown is self._refused
            if not token or is_refused or time.time() > _end_of(token) - _EARLY:
                token = self._renew(wait)
            if self._shown is None or self._shown.authorization != f"Bearer {token}":
                self._shown = Shown(f"Bearer {token}")
            return self._shown

    def refused(self, shown: Shown) -> bool:
        if self._renewed or not self._config.get("refresh-token"):
            return shown is not self._shown
        self._refused = shown
        return True

    def _renew(self, wait: Wait) -> str:
        config = self._config
        missing = [key for key in ("idp-issuer-url", "refresh-token") if not config.get(key)]
        if missing:
            raise self._failure(f"its token is over, and it has no {missing[0]}")
        with wait.apart(TIMEOUT) as own:
            endpoint = self._token_endpoint(own)
            answer = self._ask_for_tokens(endpoint, own)
        token = answer.get("id_token")
        if not isinstance(token, str) or not token:
            raise self._failure("the issuer gave no id_token")
        changes = {"id-token": token}
        refresh = answer.get("refresh_token")
        if isinstance(refresh, str) and refresh:
            changes["refresh-token"] = refresh
        config.update(changes)
        self._renewed, self._refused = True, None
        with contextlib.suppress(OSError):  # it works for now; the next login will write it
            save(self._file, self._user, changes)
        return token

    def _token_endpoint(self, wait: Wait) -> str:
        issuer = self._config["idp-issuer-url"].rstrip("/")
        answer = self._request("GET", f"{issuer}/.well-known/openid-configuration", {}, (), wait)
        endpoint = answer[1].get("token_endpoint")
        if answer[0] != 200 or not isinstance(endpoint, str):
            raise self._failure(f"the issuer {issuer} does not say where it gives tokens")
        return endpoint

    def _ask_for_tokens(self, endpoint: str, wait: Wait) -> Mapping[str, Any]:
        config = self._config
        identity, secret = config.get("client-id", ""), config.get("client-secret", "")
        form = {"grant_type": "refresh_token", "refresh_token": config["refresh-token"]}
        # Some issuers want to be told who asks in a header, others in the form.
        in_header = (("Authorization", basic(identity, secret)),)
        status, answer = self._request("POST", endpoint, form, in_header, wait)
        if status != 200:
            form |= {"client_id": identity}
            form |= {"client_secret": secret} if secret else {}
            status, answer = self._request("POST", endpoint, form, (), wait)
        if status != 200:
            words = answer.get("error_description") or answer.get("error") or f"status {status}"
            raise self._failure(f"the issuer gives no new token: {one_line(str(words))}")
        return answer

    def _request(
        self,
        method: str,
        url: str,
        form: Mapping[str, str],
        headers: tuple[tuple[str, str], ...],
        wait: Wait,
    ) -> tuple[int, Mapping[str, Any]]:
        import json

        from dockyard_kubernetes.dial import Dialer
        from dockyard_kubernetes.http import Server
        from dockyard_kubernetes.kubeconfig import Access

        parts = urlsplit(url)
        access = Access(
            server=f"{parts.scheme}://{parts.netloc}",
            namespace="",
            context="",
            source=f"kubeconfig {self._file}",
            authority=self._authority(),
        )
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        server = Server(access, Dialer(access, self._variables))
        try:
            answer = server.request(
                method, target, wait, headers=(*_FORM, *headers), body=urlencode(form).encode()
            )
        except ClusterUnreachableError as error:
            words = error.message.replace("kubernetes API server", "issuer of tokens")
            raise ClusterUnreachableError(
                words, hint="its token is over, and a new one is needed", transient=error.transient
            ) from error
        finally:
            server.close()
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            content = None
        return answer.status, content if isinstance(content, dict) else {}

    def _authority(self) -> Pem | None:
        import base64
        import binascii

        config, key = self._config, "idp-certificate-authority"
        if config.get(f"{key}-data"):
            try:
                data = base64.b64decode(config[f"{key}-data"])
            except (binascii.Error, ValueError):
                raise self._failure(f"{key}-data is no base64") from None
            return Pem(key, f"{key}-data in {self._file}", data)
        return read_pem(key, self._file.parent / config[key]) if config.get(key) else None

    def _failure(self, words: str) -> KubeconfigError:
        return KubeconfigError(
            f'the user "{self._user}" in kubeconfig {self._file} cannot be used: {words}',
            hint=_HINT,
        )


def save(file: Path, user: str, changes: Mapping[str, str]) -> None:
    """Write new tokens into a kubeconfig, whole or not at all, and only one program at a time.

    Raises:
        OSError: It cannot be written.
    """
    import yaml

    file = file.resolve()
    with _locked(file):
        try:
            content = yaml.safe_load(file.read_bytes())
            entry = next(item for item in content["users"] if item.get("name") == user)
            entry["user"]["auth-provider"]["config"].update(changes)
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise OSError("the kubeconfig was changed meanwhile") from error
        new = file.with_name(f".{file.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as opened:
                yaml.safe_dump(content, opened, sort_keys=False)
            new.chmod(file.stat().st_mode & 0o777)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock that kubectl takes: a file beside it."""
    lock = file.with_name(f"{file.name}.lock")
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise
            time.sleep(_LOCK_PAUSE)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _end_of(token: str) -> float:
    """Give the time at which a token is over; infinite when it does not say, 0 when it is none."""
    import base64
    import json

    parts = token.split(".")
    if len(parts) != 3:
        return 0.0
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return 0.0
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) else float("inf")
