"""How a pull is shown while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from dockyard.errors import EngineError
from dockyard_docker_container import image

DONE = {"status": "Download complete", "progressDetail": {}, "id": "a"}


def downloading(layer: str, current: int, total: int) -> dict[str, Any]:
    detail = {"current": current, "total": total}
    return {"status": "Downloading", "progressDetail": detail, "id": layer}


@attrs.define
class Line:
    """A step that remembers what was shown below it."""

    shown: list[tuple[str, int, int, bool]] = attrs.field(factory=list)

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        self.shown.append((text, current, total, done))

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        raise NotImplementedError(text)
        yield

    def log(self, data: bytes, *, stream: int = 2) -> None:
        raise NotImplementedError(data, stream)


@attrs.define
class Client:
    """An engine's client that reports what it is told to."""

    events: list[object]

    def pull(self, name: str, **_: object) -> Iterator[object]:
        assert name == "img"
        yield from self.events


def pull(events: list[object]) -> Line:
    line = Line()
    image._pull(Client(events), "img", {}, line)  # type: ignore[arg-type]  # it is a stand-in
    return line


def test_a_fast_pull_is_one_line_that_begins_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_QUIET", 600.0)

    line = pull([downloading("a", 1, 10), DONE])

    assert line.shown == [("pulling image img", 0, 0, False), ("pulling image img", 0, 0, True)]


def test_a_slow_pull_tells_how_many_bytes_of_all_layers_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image, "_QUIET", 0.0)
    monkeypatch.setattr(image, "_PAUSE", 0.0)

    line = pull([DONE, downloading("a", 1, 10), downloading("b", 2, 20), downloading("a", 10, 10)])

    assert [each[1:3] for each in line.shown] == [(0, 0), (1, 10), (3, 30), (12, 30), (0, 0)]
    assert {each[0] for each in line.shown} == {"pulling image img"}


def test_a_long_pull_tells_it_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_QUIET", 0.0)
    monkeypatch.setattr(image, "_PAUSE", 600.0)

    line = pull([downloading("a", count, 1000) for count in range(1, 1000)])

    assert len(line.shown) == 3


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"error": "denied:\n no"}, "denied: no"),
        ("x", "the docker engine reports something else than JSON objects"),
    ],
)
def test_a_pull_that_fails_ends_its_line(event: object, words: str) -> None:
    line = Line()

    with pytest.raises(EngineError, match=words):
        image._pull(Client([event]), "img", {}, line)  # type: ignore[arg-type]  # it is a stand-in

    assert line.shown[-1] == ("pulling image img", 0, 0, True)


@pytest.mark.parametrize("detail", [None, {}, {"current": 1}, {"current": "1", "total": 2}])
def test_an_odd_event_changes_nothing(detail: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_QUIET", 0.0)

    line = pull([{"status": "Downloading", "progressDetail": detail}])

    assert len(line.shown) == 2
