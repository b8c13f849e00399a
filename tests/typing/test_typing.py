"""The Python API's types, as mypy sees them from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

PROGRAM = Path(__file__).with_name("program.py")


Check = Callable[[Path], str]
"""``check(program)``: see the fixture."""


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Type-check one program by the strictest rules; give what is wrong with it.

    What it imports is read once only.
    """
    from mypy import api

    cache = tmp_path_factory.mktemp("mypy-cache")

    def run(program: Path) -> str:
        out, err, _ = api.run(["--strict", "--config-file=", f"--cache-dir={cache}", str(program)])
        assert not err
        return out

    return run


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The program in a place where only what is installed is found."""
    copy = tmp_path / "program.py"
    copy.write_text(PROGRAM.read_text())
    return copy


def test_a_program_that_uses_the_api_is_well_typed(check: Check, copied: Path) -> None:
    assert check(copied).startswith("Success: ")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('tags=["app:1"]', "tags=1"),
        ("no_cache=True", "no_cach=True"),
        ("result.image_id", "result.image"),
        ('build_args={"A": "1"}', 'build_args={"A": 1}'),
    ],
)
def test_a_mistake_is_found(check: Check, copied: Path, right: str, wrong: str) -> None:
    text = copied.read_text()
    assert right in text
    copied.write_text(text.replace(right, wrong))

    found = check(copied)
    assert "Found " in found
    assert all("program.py:" in line for line in found.splitlines()[:-1])
