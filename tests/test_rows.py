"""Every row of the feature table that is done has a test on a real daemon, named by the row.

The name begins with the rows that the test shows: ``test_row_136_...``,
``test_rows_141_and_142_...`` or ``test_rows_151_to_153_...``. It lies in ``tests/engine``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL = sorted(ROOT.glob("tests/engine/test_*.py"))
DONE = range(123, 165)
"""The rows of ``build``, the first of them and one past the last."""
TOO_OLD = "Debian's BuildKit, 0.13, is too old"
NAME = re.compile(r"test_rows?_(?P<first>\d+)(?:_(?P<word>and|to)_(?P<last>\d+))?_\D")


class Missing(NamedTuple):
    """A part of a row that no daemon in these tests can show."""

    row: int
    what: str
    why: str
    module: str
    """Where it is tested what is sent, or said, instead."""
    word: str
    """What stands in a test there."""


MISSING = (
    Missing(
        125,
        "one upload for several targets",
        "one command builds several targets only with bake, which is still to come",
        "tests/core/session/test_session.py",
        "sharedkey",
    ),
    Missing(
        131,
        "a git URL with a query",
        TOO_OLD,
        "tests/core/building/inputs/test_named.py",
        "?ref=",
    ),
    Missing(
        144,
        "limits of memory and processors in a step",
        TOO_OLD,
        "tests/core/building/grammar/test_resource.py",
        "memory-swap",
    ),
    Missing(
        146,
        "a device in a step",
        f"{TOO_OLD}; and there is no device that is described for CDI",
        "tests/core/building/grammar/test_entitlement.py",
        "device=vendor.com",
    ),
    Missing(
        150,
        "a policy in Rego",
        TOO_OLD,
        "tests/core/building/inputs/rego/test_policy.py",
        "a_policy_allows_or_denies_with_messages",
    ),
    Missing(
        154,
        "files that are deleted",
        TOO_OLD,
        "tests/core/session/test_output.py",
        "a_mirror_leaves_nothing_else",
    ),
    Missing(
        155,
        "a cache in Azure's storage",
        "nobody here speaks its protocol",
        "tests/core/building/caches/test_remote.py",
        "type=azblob",
    ),
    Missing(
        155,
        "a cache in S3 that answers",
        "the tests install no server of S3; one that does not answer is tried",
        "tests/core/building/caches/test_remote.py",
        "type=s3",
    ),
    Missing(
        155,
        "GitHub's own cache, version 2",
        "BuildKit 0.13 knows version 1 only, for which a stand-in is tried",
        "tests/core/building/caches/test_remote.py",
        "ACTIONS_RESULTS_URL",
    ),
    Missing(
        161,
        "what a check finds",
        TOO_OLD,
        "tests/core/building/call/test_result.py",
        "a_check_gives_its_warnings_with_their_places",
    ),
    Missing(
        164,
        "the exit code 100",
        "no daemon gives an internal error when it is asked to",
        "tests/core/buildkit/test_client.py",
        "Code.INTERNAL, 100",
    ),
)


def rows_of(name: str) -> Iterator[int]:
    """Give the rows that a test's name tells."""
    if found := NAME.match(name):
        first, last = int(found["first"]), int(found["last"] or found["first"])
        yield from range(first, last + 1) if found["word"] == "to" else {first, last}


def names_in(module: Path) -> Iterator[str]:
    """Give the names of a module's tests."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_row_136_contexts", {136}),
        ("test_rows_141_and_142_hosts", {141, 142}),
        ("test_rows_151_to_153_outputs", {151, 152, 153}),
        ("test_several_rows", set()),
        ("test_row_of_136", set()),
    ],
)
def test_a_tests_name_tells_its_rows(name: str, rows: set[int]) -> None:
    assert set(rows_of(name)) == rows


def test_every_row_that_is_done_has_a_test_on_a_real_daemon() -> None:
    shown = {row for module in REAL for name in names_in(module) for row in rows_of(name)}

    without = [row for row in DONE if row not in shown]
    assert not without, f"no test in tests/engine is named by these rows: {without}"


def test_names_that_begin_as_if_with_rows_have_some() -> None:
    names = [name for module in REAL for name in names_in(module)]

    assert not [name for name in names if name.startswith("test_row") and not set(rows_of(name))]


@pytest.mark.parametrize("missing", MISSING, ids=lambda missing: f"{missing.row} {missing.what}")
def test_what_no_daemon_here_can_show_is_tested_by_what_is_sent(missing: Missing) -> None:
    text = (ROOT / missing.module).read_text(encoding="utf-8")

    assert missing.row in DONE
    assert missing.why
    assert missing.word in text
