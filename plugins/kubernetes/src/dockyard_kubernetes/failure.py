"""What goes wrong between us and a cluster, as errors that say what a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dockyard.engine.response import Head
from dockyard.errors import ConnectError, DriverError

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed a moment later."""

_GROUPED = 4
"""Parts of a path after which its resource stands, when it has a group: /apis/GROUP/VERSION/..."""
_LONGEST = 2000


class Target(NamedTuple):
    """What a request is about, read from its path."""

    resource: str
    """As the server spells it: ``pods``, ``deployments.apps``, ``pods/exec``."""
    name: str
    namespace: str

    def __str__(self) -> str:
        name = f' "{self.name}"' if self.name else ""
        place = f' in namespace "{self.namespace}"' if self.namespace else ""
        return f"{self.resource}{name}{place}"


class ApiError(DriverError):
    """The API server refused a request; says what was asked, and why not in the server's words."""

    def __init__(
        self,
        verb: str,
        target: Target,
        words: str,
        *,
        status: int,
        reason: str = "",
        details: Mapping[str, Any] = MappingProxyType({}),
        hint: str | None = None,
    ) -> None:
        """Build the message.

        Args:
            verb: As in a role's rules: ``get``, ``create``, ``watch``.
            target: What it was asked about.
            words: The server's own, in one line.
            status: The HTTP status, or the code of the server's ``Status``.
            reason: The server's ``Status.reason``, such as ``NotFound``.
            details: Its ``Status.details``.
            hint: What to do; a fitting one is chosen when it is None.
        """
        self.verb = verb
        self.target = target
        self.words = words
        self.status = status
        self.reason = reason
        self.details = details
        self.transient = status in TRANSIENT
        """Whether the same request may succeed a moment later."""
        super().__init__(
            f"kubernetes refused to {verb} {target}: {words}", hint=hint or self._hint()
        )

    @property
    def resource(self) -> str:
        return self.target.resource

    def _hint(self) -> str | None:
        target = self.target
        if self.status == 401:
            return (
                "the credentials in the kubeconfig are missing, wrong or expired: "
                "log in to the cluster again, and try kubectl auth whoami"
            )
        # Servers from 1.35 on do not say what nobody may do in pods.
        is_barred = "cannot" in self.words or self.words.endswith("is forbidden:")
        if self.status == 403 and '"system:anonymous"' in self.words:
            return "the kubeconfig has no credentials, or they would have to go over plain http"
        if self.status == 403 and self.reason == "Forbidden" and is_barred:
            where = f" in namespace {target.namespace}" if target.namespace else ""
            # A websocket begins with a GET.
            in_pods = target.resource == "pods/exec"
            verbs = "verbs get and create" if in_pods else f"verb {self.verb}"
            return (
                f"a role has to allow the {verbs} on {target.resource}{where}; "
                "the documentation of the kubernetes driver has one with all that is needed"
            )
        if self.status == 404 and self.details.get("kind") == "namespaces":
            return (
                f"make it with kubectl create namespace {self.details.get('name', 'NAME')}, "
                "or name another one with --driver-opt namespace=NAME"
            )
        return None


class GoneError(ApiError):
    """A watch is asked for from a point that the server has forgotten: list again."""


class ClusterUnreachableError(ConnectError):
    """No API server can be talked to: nobody answers, TLS fails, or there are no credentials.

    ``transient`` says whether trying again in a moment may help.
    """

    def __init__(self, message: str, *, hint: str | None = None, transient: bool = False) -> None:
        self.transient = transient
        super().__init__(message, hint=hint)


class KubeconfigError(ClusterUnreachableError):
    """What says where the cluster is, or who we are, is missing or makes no sense."""


class NonsenseError(OSError):
    """What answers does not behave as an API server does."""


def refusal(verb: str, path: str, head: Head, body: bytes) -> ApiError:
    """Make the error of an answer that is no success.

    Args:
        verb: What was asked, as in a role's rules.
        path: Of the request.
        head: The answer's.
        body: The answer's.
    """
    import json

    target = target_of(path)
    content: Any = None
    if "json" in head.get("content-type"):
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
    if not isinstance(content, dict) or content.get("kind", "Status") != "Status":
        text = body[:2000].decode(errors="replace")
        text = "" if "<html" in text.lower() else one_line(text)
        words = text or one_line(f"{head.status} {head.reason}".strip())
        return ApiError(verb, target, words, status=head.status)
    return status_error(verb, path, content, head.status)


def status_error(verb: str, path: str, content: Mapping[str, Any], status: int) -> ApiError:
    """Make the error of a ``Status`` that the server sent."""
    message, reason, details, code = (
        content.get(key) for key in ("message", "reason", "details", "code")
    )
    code = code if isinstance(code, int) and not isinstance(code, bool) else status
    reason = reason if isinstance(reason, str) else ""
    words = one_line(message) if isinstance(message, str) else ""
    kind = GoneError if code == 410 or reason in ("Expired", "Gone") else ApiError
    return kind(
        verb,
        target_of(path),
        words or reason or f"status {code}",
        status=code,
        reason=reason,
        details=details if isinstance(details, dict) else {},
    )


def target_of(path: str) -> Target:
    """Read from a request's path what it is about."""
    parts = path.partition("?")[0].strip("/").split("/")
    group = ""
    if parts[0] == "apis" and len(parts) >= _GROUPED:
        group = f".{parts[1]}"
        del parts[0]
    del parts[:2]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces":
        namespace = parts[1]
        del parts[:2]
    if not parts:
        return Target(path.partition("?")[0], "", "")
    subresource = f"/{parts[2]}" if len(parts) > 2 else ""
    return Target(f"{parts[0]}{group}{subresource}", parts[1] if len(parts) > 1 else "", namespace)


def one_line(text: str) -> str:
    """Make foreign words fit for a terminal: one line, printable, not endless."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return "".join(c if c.isprintable() else "?" for c in line)[:_LONGEST]
