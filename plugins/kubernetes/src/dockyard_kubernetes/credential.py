"""Who we are to a cluster: tokens, passwords and client certificates. Never shown, never stored."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from dockyard.engine.wait import Wait
from dockyard_kubernetes.failure import KubeconfigError

_LARGEST_FILE = 1 << 20


class Pem:
    """Certificates or a key in PEM form, and where they are from."""

    __slots__ = ("data", "kind", "source")

    def __init__(self, kind: str, source: str, data: bytes) -> None:
        self.kind = kind
        """The name that a kubeconfig has for it."""
        self.source = source
        self.data = data

    def __repr__(self) -> str:
        return f"<{self.kind} from {self.source}>"


class Shown(NamedTuple):
    """What a request shows of us."""

    authorization: str = ""
    """The header's value."""
    certificate: Pem | None = None
    key: Pem | None = None

    def __repr__(self) -> str:
        return "<what is shown to a cluster>"


class Credential(Protocol):
    """A way to say who we are."""

    def show(self, wait: Wait) -> Shown:
        """Give what to show now; may take a while.

        Raises:
            KubeconfigError: There is nothing to show; says why.
            OutOfTimeError: It takes too long.
            CanceledError: It was canceled.
        """
        ...

    def refused(self, shown: Shown) -> bool:
        """Take to heart that the server refused it, and say whether asking anew may help."""
        ...


class Anonymous:
    """Nobody."""

    def show(self, wait: Wait) -> Shown:
        return Shown()

    def refused(self, shown: Shown) -> bool:
        return False


class Fixed(Anonymous):
    """What stands in the kubeconfig."""

    def __init__(
        self, authorization: str, certificate: Pem | None = None, key: Pem | None = None
    ) -> None:
        self._shown = Shown(authorization, certificate, key)

    def show(self, wait: Wait) -> Shown:
        return self._shown


class TokenFile(Anonymous):
    """A token in a file that somebody renews, as a pod's is: read each time."""

    def __init__(self, path: Path, certificate: Pem | None = None, key: Pem | None = None) -> None:
        self._path = path
        self._certificate = certificate
        self._key = key

    def show(self, wait: Wait) -> Shown:
        token = read_pem("tokenFile", self._path).data.decode("latin-1").strip()
        if not token:
            raise KubeconfigError(f"token file {self._path} is empty")
        return Shown(f"Bearer {token}", self._certificate, self._key)

    def refused(self, shown: Shown) -> bool:
        """Look whether the token was renewed just now."""
        with Wait(1.0) as wait:
            return self.show(wait).authorization != shown.authorization


def basic(username: str, password: str) -> str:
    """Give the header's value for a name and a password."""
    import base64

    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def read_pem(kind: str, path: Path) -> Pem:
    """Read a file that a kubeconfig names.

    Raises:
        KubeconfigError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return Pem(kind, str(path), file.read(_LARGEST_FILE))
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise KubeconfigError(
            f"{kind} {path} cannot be read: {words}", hint="the kubeconfig names this file"
        ) from error
