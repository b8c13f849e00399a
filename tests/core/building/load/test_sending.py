from __future__ import annotations

import pytest

from dockyard.building.load.sending import Sending
from dockyard.errors import DockyardError, EngineError
from dockyard.events import StatusUpdate, Vertex, VertexStatus
from dockyard.progress.writer import ProgressWriter

EXPORT = "exporting to docker image format"


class Watched:
    """A sending, what came out of it, and a clock that a test turns."""

    def __init__(self, *, repeats: bool = False) -> None:
        self.now = 1000
        self.out: list[StatusUpdate] = []
        progress = ProgressWriter(self.out.append, clock=lambda: self.now)
        self.sending = Sending(progress, repeats=lambda _: repeats, clock=lambda: self.now)

    def tell(self, *, name: str = EXPORT, digest: str = "d", ended: bool = True) -> Vertex:
        vertex = Vertex(digest=digest, name=name, started=1, completed=50 if ended else None)
        (shown,) = self.sending.take(StatusUpdate(vertexes=(vertex,))).vertexes
        return shown

    @property
    def vertexes(self) -> list[Vertex]:
        return [vertex for update in self.out for vertex in update.vertexes]

    @property
    def statuses(self) -> list[VertexStatus]:
        return [status for update in self.out for status in update.statuses]


def test_the_end_of_the_export_is_held_back_until_all_was_sent() -> None:
    watched = Watched()

    assert watched.tell().completed is None
    watched.now = 1100
    watched.sending.start()
    watched.sending.start()
    watched.now = 1300
    watched.sending.sent()
    watched.sending.end(sent=True)

    first, last = watched.statuses
    assert (first.id, first.vertex, first.started, first.completed) == (
        "sending tarball",
        "d",
        1100,
        None,
    )
    assert (last.started, last.completed) == (1100, 1300)
    (ended,) = watched.vertexes
    assert ended.completed == 50 + 300


def test_an_export_of_which_nothing_is_sent_ends_when_it_did() -> None:
    watched = Watched()
    watched.tell()
    watched.now = 5000

    watched.sending.sent()
    assert watched.vertexes == []
    watched.sending.end(sent=True)

    assert watched.statuses == []
    assert [vertex.completed for vertex in watched.vertexes] == [50]


def test_then_it_ends_before_the_step_of_who_loads() -> None:
    watched = Watched()
    watched.tell()

    with watched.sending.step("importing"):
        pass

    names = [(vertex.name, vertex.completed is not None) for vertex in watched.vertexes]
    assert names == [("importing", False), (EXPORT, True), ("importing", True)]


def test_what_fails_is_not_shown_as_sent() -> None:
    watched = Watched()
    watched.tell()
    watched.sending.start()

    watched.sending.end(sent=False)

    assert [status.completed for status in watched.statuses] == [None]
    assert watched.vertexes[-1].completed is not None


@pytest.mark.parametrize("repeats", [True, False])
def test_a_load_that_is_repeated_in_another_way_has_not_failed(repeats: bool) -> None:
    watched = Watched(repeats=repeats)

    with pytest.raises(DockyardError, match="^no$"), watched.sending.step("importing"):
        raise EngineError("no")

    assert watched.vertexes[-1].error == ("" if repeats else "no")
    logs = b"".join(log.data for update in watched.out for log in update.logs)
    assert logs == (b"no; asking BuildKit for an archive\n" if repeats else b"")


def test_other_steps_and_an_export_that_sends_by_itself_are_left_alone() -> None:
    watched = Watched()
    own = VertexStatus(id="sending tarball", vertex="e", started=3)
    watched.sending.take(StatusUpdate(statuses=(own,)))

    assert watched.tell(name="[1/2] COPY").completed == 50
    assert watched.tell(digest="e").completed == 50
    assert watched.tell(ended=False).completed is None
    watched.sending.end(sent=True)
    assert watched.out == []


def test_of_two_exports_the_first_is_taken() -> None:
    watched = Watched()

    assert watched.tell(digest="a").completed is None
    assert watched.tell(digest="b").completed == 50
    assert watched.tell(digest="a").completed is None


def test_an_export_that_is_not_known_changes_nothing() -> None:
    watched = Watched()

    watched.sending.start()
    watched.sending.end(sent=True)

    assert watched.out == []
