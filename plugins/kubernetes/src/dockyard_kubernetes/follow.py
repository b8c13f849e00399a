"""Follow what becomes of a few things in a cluster at once: lists that are kept up to date.

Each list has a thread that watches; all changes are taken in by the thread that asks for them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import Wait
from dockyard.errors import CanceledError, DockyardError
from dockyard_kubernetes.cluster import Cluster, GoneError
from dockyard_kubernetes.value import Object, name_of, tables, text

_DAY = 86400.0
_JOIN_SECONDS = 1.0
_PAUSE = 0.5
"""Seconds until a list that could not be followed is asked for again."""
_MOST = 2000
"""How many things of one list are kept, and how many changes are taken in at once."""


class _News(NamedTuple):
    """What a thread tells."""

    subject: str
    kind: str
    """``LIST``, ``FAILED``, or what a watch says: ``ADDED``, ``MODIFIED``, ``DELETED``."""
    objects: Sequence[Object] = ()
    error: DockyardError | None = None


class _Selection(NamedTuple):
    """What is followed."""

    path: str
    list_path: str
    labels: str
    fields: str


class Follower:
    """Lists that are kept up to date, from the beginning of its block to the end."""

    def __init__(self, cluster: Cluster, cancel: Cancellation | None = None) -> None:
        self._cluster = cluster
        self._cancel = cancel or Cancellation()
        self._switch = Cancellation()
        self._news: queue.Queue[_News | None] = queue.Queue(_MOST)
        self._threads: list[threading.Thread] = []
        self._known: dict[str, dict[str, Object]] = {}
        self._optional: set[str] = set()
        self._awaited: set[str] = set()
        self.failures: dict[str, DockyardError] = {}
        """Why optional subjects cannot be followed."""

    def __enter__(self) -> Self:
        self._forget = self._cancel.on_cancel(self._wake)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._forget()
        self._switch.cancel()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def follow(
        self,
        subject: str,
        path: str,
        *,
        labels: str = "",
        fields: str = "",
        most: int = 0,
        optional: bool = False,
    ) -> None:
        """Begin to follow a list.

        Args:
            subject: What it is called here.
            path: Where it is.
            labels: A label selector.
            fields: A field selector.
            most: How many are looked at in the beginning; 0 for all.
            optional: Whether one can do without it; then it is empty if it cannot be had.
        """
        self._known[subject] = {}
        self._awaited.add(subject)
        if optional:
            self._optional.add(subject)
        selection = _Selection(path, f"{path}?limit={most}" if most else path, labels, fields)
        thread = threading.Thread(
            target=self._run,
            args=(subject, selection),
            name=f"dockyard-watch-{subject}",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()

    def get(self, subject: str) -> list[Object]:
        """Give a list as it is known, in the order in which things came."""
        return list(self._known[subject].values())

    @property
    def is_complete(self) -> bool:
        """Whether every list is known, or known not to be had."""
        return not self._awaited

    def wait(self, seconds: float) -> bool:
        """Take in what has changed; wait for that if nothing has. False when time was over.

        Raises:
            DockyardError: A list that is needed cannot be had; says why.
            CanceledError: It was canceled.
        """
        deadline = time.monotonic() + seconds
        changed = False
        for _ in range(_MOST):  # whoever talks without end must not keep anybody from his deadline
            self._cancel.check()
            try:
                left = 0.0 if changed else max(0.0, deadline - time.monotonic())
                news = self._news.get(timeout=left) if left else self._news.get_nowait()
            except queue.Empty:
                return changed
            if news is not None:
                changed = self._take(news) or changed
        return changed

    def _take(self, news: _News) -> bool:
        self._awaited.discard(news.subject)
        if news.error is not None:
            if news.subject not in self._optional:
                raise news.error
            self.failures[news.subject] = news.error
            return True
        known = self._known[news.subject]
        if news.kind == "LIST":
            known.clear()
        for each in news.objects:
            key = name_of(each)
            known.pop(key, None)
            if news.kind != "DELETED":
                known[key] = each
        while len(known) > _MOST:
            del known[next(iter(known))]
        return True

    def _wake(self) -> None:
        with suppress(queue.Full):  # then there is enough to wake up for
            self._news.put_nowait(None)

    # --- in threads -------------------------------------------------------------------------

    def _tell(self, news: _News) -> None:
        while not self._switch.canceled:
            with suppress(queue.Full):
                self._news.put(news, timeout=_PAUSE)
                return

    def _run(self, subject: str, selection: _Selection) -> None:
        try:
            while not self._switch.canceled:
                self._watch(subject, selection)
        except DockyardError as error:
            if not self._switch.canceled:
                self._tell(_News(subject, "FAILED", error=error))

    def _watch(self, subject: str, selection: _Selection) -> None:
        """List once and watch from there, until the server forgets where that was."""
        found = self._cluster.list(
            selection.list_path,
            label_selector=selection.labels,
            field_selector=selection.fields,
            cancel=self._switch,
        )
        self._tell(_News(subject, "LIST", tables(found, "items")))
        events = self._cluster.watch(
            selection.path,
            resource_version=text(found, "metadata", "resourceVersion"),
            label_selector=selection.labels,
            field_selector=selection.fields,
            timeout=_DAY,
            cancel=self._switch,
        )
        try:
            for event in events:
                if event.type != "BOOKMARK":
                    self._tell(_News(subject, event.type, (event.object,)))
        except GoneError:
            with suppress(CanceledError), Wait(_PAUSE + 1, self._switch) as wait:
                wait.pause(_PAUSE)
