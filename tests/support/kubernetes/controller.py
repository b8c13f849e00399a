"""The controller manager: one thread that looks at everything again after each change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from support.kubernetes.status import Refusal
from support.kubernetes.store import Store

LOOK_AGAIN_SECONDS = 1.0
"""How often it looks when nothing changes: some things come by time."""


class Manager:
    """Runs the controllers' steps, each of which brings the store a little further."""

    def __init__(self, store: Store, steps: Sequence[Callable[[], None]]) -> None:
        self._store = store
        self._steps = steps
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controllers", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        with self._store.changed:
            self._store.changed.notify_all()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ended.is_set():
            with self._store.changed:
                seen = self._store.version
                for step in self._steps:
                    with suppress(Refusal):  # what may not be done now is tried again
                        step()
                moved = self._store.version != seen
                if not moved and not self._ended.is_set():
                    self._store.changed.wait(LOOK_AGAIN_SECONDS)
