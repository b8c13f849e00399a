"""Lines of output from chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dockyard.progress.log import LogKeeper, LogPiece


def keeper(*, lines: int | None = None, characters: int = 10_000) -> LogKeeper:
    return LogKeeper(lines, characters)


def texts(keeper: LogKeeper) -> list[str]:
    return [line.text for line in keeper.lines]


def test_a_line_split_between_chunks_is_one_line_with_the_first_time() -> None:
    log = keeper()

    first = log.feed(1, b"hel", "0.1")
    second = log.feed(1, b"lo\nnext\n", "0.2")

    assert first == [LogPiece("0.1", "hel", begins=True, ends=False)]
    assert second == [
        LogPiece("0.1", "lo", begins=False, ends=True),
        LogPiece("0.2", "next", begins=True, ends=True),
    ]
    assert texts(log) == ["hello", "next"]


def test_a_character_split_between_chunks_is_put_together() -> None:
    log = keeper()

    for byte in "é€😀".encode():
        log.feed(1, bytes([byte]), "0.1")

    assert texts(log) == ["é€😀"]


def test_a_character_split_around_the_other_stream_is_put_together() -> None:
    log = keeper()

    log.feed(1, b"\xe2\x82", "0.1")
    log.feed(2, b"err ", "0.1")
    log.feed(1, b"\xac", "0.1")

    assert texts(log) == ["err €"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    log = keeper()

    log.feed(1, b"a\xffb\n", "0.1")

    assert texts(log) == ["a\ufffdb"]


def test_an_empty_line_is_a_line() -> None:
    log = keeper()

    pieces = log.feed(1, b"\n\n", "0.1")

    assert pieces == [LogPiece("0.1", "", begins=True, ends=True)] * 2


def test_only_the_last_lines_are_kept() -> None:
    log = keeper(lines=2)

    log.feed(1, b"1\n2\n3\n4", "0.1")

    assert texts(log) == ["3", "4"]


def test_old_lines_go_when_there_are_too_many_characters() -> None:
    log = keeper(characters=10)

    log.feed(1, b"12345\n67890\nabc\n", "0.1")

    assert texts(log) == ["67890", "abc"]


def test_of_an_endless_line_the_end_is_kept() -> None:
    log = keeper(characters=10)

    for _ in range(100):
        log.feed(1, b"x", "0.1")
    log.feed(1, b"end\n", "0.1")

    assert len(texts(log)) == 1
    assert len(texts(log)[0]) <= 10
    assert texts(log)[0].endswith("xend")


def test_forgetting_leaves_the_line_that_is_still_open() -> None:
    log = keeper()
    log.feed(1, b"done\nopen", "0.1")

    log.forget()
    log.feed(1, b"ed\n", "0.2")

    assert texts(log) == ["opened"]


@given(st.text(), st.lists(st.integers(0, 40)))
def test_chunks_cut_anywhere_give_the_same_lines(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    log = keeper()

    for start, end in pairwise(edges):
        log.feed(1, data[start:end], "0.1")

    expected = data.decode().split("\n")
    assert texts(log) == (expected if expected[-1] else expected[:-1])
