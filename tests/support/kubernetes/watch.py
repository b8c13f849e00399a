"""Watches: what is there, then what changes, a line each."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from support.kubernetes.fault import Faults
from support.kubernetes.resource import Json, Resource
from support.kubernetes.selector import Matches
from support.kubernetes.status import Refusal, expired
from support.kubernetes.store import Change, Store

BOOKMARK_SECONDS = 60.0
LOOK_SECONDS = 0.5
"""How often a quiet watch looks whether its client is still there."""


class Cut(Exception):  # noqa: N818  # what is to be done, not a mistake
    """Hang up in the middle of a line, after these bytes."""


class Wish(NamedTuple):
    """What a watch is asked for."""

    resource: Resource
    namespace: str
    matches: Matches
    version: str
    seconds: float
    bookmarks: bool


def seconds_of(text: str) -> float:
    """Give how long a watch lasts; the server chooses where nothing is said."""
    return float(text) if text else random.uniform(1800, 3600)


def lines(store: Store, wish: Wish, faults: Faults, gone: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the events until the time is over; empty while there are none.

    Args:
        store: Where things happen.
        wish: What is asked for.
        faults: What to do wrong.
        gone: Tells that the client has left, or the server ends.
    """
    sent = 0
    for event in _events(store, wish, gone):
        if event is None:
            yield b""
            continue
        if faults.watch_gone_after is not None and sent >= faults.watch_gone_after:
            yield _line("ERROR", expired(1, store.version).status())
            return
        line = _line(*event)
        if faults.watch_cut_after is not None and sent >= faults.watch_cut_after:
            yield line[: len(line) // 2]
            raise Cut
        sent += 1
        yield line


def _events(
    store: Store, wish: Wish, gone: Callable[[], bool]
) -> Iterator[tuple[str, Json] | None]:
    deadline = time.monotonic() + wish.seconds
    bookmark = time.monotonic() + BOOKMARK_SECONDS
    version = int(wish.version) if wish.version else 0
    try:
        if not version:
            with store.changed:
                present = store.all(wish.resource, wish.namespace)
                version = store.version
            yield from (("ADDED", item) for item in present if wish.matches(item))
        while True:
            # Of a version that is yet to come there is nothing to tell.
            changes = store.since(version) if version <= store.version else []
            for change in changes:
                version = change.version
                event = _event(wish, change)
                if event:
                    yield event
            now = time.monotonic()
            if now >= deadline or gone():
                break
            if wish.bookmarks and now >= bookmark:
                bookmark = now + BOOKMARK_SECONDS
                yield "BOOKMARK", _bookmark(wish.resource, version)
            if not changes:
                yield None
            store.wait(max(version, store.version), min(deadline - now, LOOK_SECONDS))
    except Refusal as refusal:
        # The answer has begun: what is wrong comes as an event.
        yield "ERROR", refusal.status()


def _event(wish: Wish, change: Change) -> tuple[str, Json] | None:
    if change.resource is not wish.resource:
        return None
    before, after = (
        item if item is not None and _wanted(wish, item) else None
        for item in (change.before, change.after)
    )
    if after is not None:
        return ("MODIFIED" if before is not None else "ADDED"), after
    if before is not None:
        version = {"resourceVersion": str(change.version)}
        return "DELETED", {**before, "metadata": {**before["metadata"], **version}}
    return None


def _wanted(wish: Wish, item: Json) -> bool:
    inside = wish.namespace in ("", item["metadata"].get("namespace", ""))
    return inside and wish.matches(item)


def _bookmark(resource: Resource, version: int) -> Json:
    meta: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}


def _line(kind: str, item: Json) -> bytes:
    return json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode() + b"\n"
