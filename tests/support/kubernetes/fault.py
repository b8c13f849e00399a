"""What the server can be told to do wrong."""

from __future__ import annotations

import threading

import attrs

from support.kubernetes.access import Attempt
from support.kubernetes.status import MODIFIED, Refusal, internal

DELAY, DROP, STATUS, LOSE, TRUNCATE = "delay", "drop", "status", "lose", "truncate"


@attrs.define(eq=False)
class Fault:
    """One thing to do wrong, to the requests that it is for."""

    kind: str
    verb: str = ""
    resource: str = ""
    """``deployments``, or ``pods/exec``; empty for all."""
    skip: int = 0
    """How many requests of this sort go well before."""
    times: int | None = None
    """How many are spoilt; None for all that come."""
    seconds: float = 0
    refusal: Refusal | None = None
    seen: int = attrs.field(default=0, init=False)
    hits: int = attrs.field(default=0, init=False)
    """How many it met."""

    def meets(self, verb: str, target: str) -> bool:
        if self.verb not in ("", verb) or self.resource not in ("", target):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Faults:
    """All faults that are ordered at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.clear()

    def clear(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._faults.clear()
        self.exec_silent = False
        """Accept exec streams, and say nothing on them ever."""
        self.exec_deaf = False
        """Run the command, but neither pass anything on nor answer pings: a half-open stream."""
        self.exec_cut_after: int | None = None
        """Bytes of an exec stream, both ways together, after which its connection is cut."""
        self.exec_pause_after: int | None = None
        """Bytes of an exec stream after which it falls silent and stays open."""
        self.watch_cut_after: int | None = None
        """Events after which a watch's connection is cut in the middle of a line."""
        self.watch_gone_after: int | None = None
        """Events after which a watch is told that its version is too old."""

    def delay(
        self,
        seconds: float,
        verb: str = "",
        resource: str = "",
        *,
        skip: int = 0,
        times: int | None = None,
    ) -> Fault:
        """Answer late."""
        return self._add(Fault(DELAY, verb, resource, skip, times, seconds=seconds))

    def drop(
        self, verb: str = "", resource: str = "", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """Hang up before anything is done."""
        return self._add(Fault(DROP, verb, resource, skip, times))

    def lose(
        self, verb: str = "", resource: str = "", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """Do what was asked, and hang up in place of an answer."""
        return self._add(Fault(LOSE, verb, resource, skip, times))

    def truncate(
        self, verb: str = "", resource: str = "", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """Send half of the answer and hang up."""
        return self._add(Fault(TRUNCATE, verb, resource, skip, times))

    def status(
        self,
        code: int,
        verb: str = "",
        resource: str = "",
        *,
        message: str = "",
        skip: int = 0,
        times: int | None = None,
    ) -> Fault:
        """Answer with an error; 429 says when to come again, as the real server does."""
        refusal = _refusal(code, message)
        return self._add(Fault(STATUS, verb, resource, skip, times, refusal=refusal))

    def gone(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """Refuse watches with 410 as the answer's own status (without this it is an event)."""
        return self.status(410, "watch", skip=skip, times=times)

    def take(self, attempt: Attempt | None) -> list[Fault]:
        """Give the faults that a request meets."""
        verb = attempt.verb if attempt else "get"
        target = attempt.target if attempt else ""
        with self._lock:
            return [fault for fault in self._faults if fault.meets(verb, target)]

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault


_WORDS: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", 'admission webhook "policy.example.com" denied the request: not here'),
    404: ("NotFound", "the server could not find the requested resource"),
    409: ("Conflict", MODIFIED),
    410: ("Expired", "too old resource version: 1 (100)"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    502: ("", "Bad Gateway"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


def _refusal(code: int, message: str) -> Refusal:
    if code == 429:
        # Flow control answers in plain text.
        words = message or "Too many requests, please try again later.\n"
        return Refusal(429, "TooManyRequests", words, retry_after=1, plain=True)
    if code == 500:
        return internal(message or "etcdserver: request timed out")
    reason, words = _WORDS.get(code, ("", "the server does not say why"))
    return Refusal(code, reason, message or words, plain=code == 502)
