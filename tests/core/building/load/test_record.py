from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.building.load.record import LoadRecords

ENGINE = "ABCD:EFGH/../x"


def name(number: int) -> str:
    return f"sha256:{number:064x}"


def layers(*numbers: int) -> frozenset[str]:
    return frozenset(map(name, numbers))


@pytest.fixture
def records(tmp_path: Path) -> LoadRecords:
    return LoadRecords(tmp_path)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "dockyard" / "loaded").iterdir())


def test_what_was_noted_is_known_of_that_engine_only(records: LoadRecords, tmp_path: Path) -> None:
    records.add(ENGINE, name(1), layers(5, 6))

    assert LoadRecords(tmp_path).layers(ENGINE, name(1)) == layers(5, 6)
    assert records.layers("another", name(1)) is None
    assert records.layers(ENGINE, name(2)) is None
    assert records.candidates("another", layers(5)) == []
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600


def test_candidates_come_by_what_they_share(records: LoadRecords) -> None:
    records.add(ENGINE, name(1), layers(5))
    records.add(ENGINE, name(2), layers(5, 6, 9))
    records.add(ENGINE, name(3), layers(8))

    assert records.candidates(ENGINE, layers(5, 6, 7)) == [
        (name(2), layers(5, 6)),
        (name(1), layers(5)),
    ]


def test_what_is_forgotten_is_gone_and_may_be_so_already(records: LoadRecords) -> None:
    records.add(ENGINE, name(1), layers(5))

    records.forget(ENGINE, name(1))
    records.forget(ENGINE, name(1))

    assert records.layers(ENGINE, name(1)) is None


def test_the_oldest_make_room(records: LoadRecords, tmp_path: Path) -> None:
    for number in range(100):
        records.add(ENGINE, name(number), layers(number))
    for age, file in enumerate(files(tmp_path)):
        os.utime(file, (age, age))

    records.add(ENGINE, name(100), layers(100))

    assert len(files(tmp_path)) == 100
    assert records.layers(ENGINE, name(0)) is None
    assert records.layers(ENGINE, name(1)) == layers(1)
    assert records.layers(ENGINE, name(100)) == layers(100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"manifest": "sha256:other", "layers": []}',
        b'{"manifest": "%s", "layers": [1]}' % name(1).encode(),
        b'{"manifest": "%s", "layers": ["sha256:x"]}' % name(1).encode(),
        b'{"manifest": "%s", "layers": "x"}' % name(1).encode(),
        b" " * (2 << 20),
        b"[" * 100_000,
    ],
)
def test_a_record_that_makes_no_sense_is_none(
    records: LoadRecords, tmp_path: Path, data: bytes
) -> None:
    records.add(ENGINE, name(1), layers(5))
    (file,) = files(tmp_path)
    file.write_bytes(data)

    assert records.layers(ENGINE, name(1)) is None
    assert records.candidates(ENGINE, layers(5)) == []


def test_what_is_no_file_is_no_record(records: LoadRecords, tmp_path: Path) -> None:
    records.add(ENGINE, name(1), layers(5))
    (file,) = files(tmp_path)
    file.unlink()
    os.mkfifo(file)

    assert records.candidates(ENGINE, layers(5)) == []
    records.add(ENGINE, name(1), layers(5))  # refused, and no error


def test_a_place_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    records = LoadRecords(tmp_path / "file")

    records.add(ENGINE, name(1), layers(5))
    records.forget(ENGINE, name(1))

    assert records.layers(ENGINE, name(1)) is None
    assert records.candidates(ENGINE, layers(5)) == []


def test_of_an_engine_without_a_name_nothing_is_noted(records: LoadRecords, tmp_path: Path) -> None:
    records.add("", name(1), layers(5))

    assert records.layers("", name(1)) is None
    assert records.candidates("", layers(5)) == []
    assert not (tmp_path / "dockyard").exists()
