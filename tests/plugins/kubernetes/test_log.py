"""What of a log is shown: the error, wherever it stands, and else the end."""

from __future__ import annotations

import pytest

from dockyard_kubernetes.log import last_word, last_words

HELP = "NAME:\n   buildkitd - build daemon\n\nGLOBAL OPTIONS:\n" + "   --flag string  words\n" * 60
STACK = """failed to parse config
github.com/moby/buildkit/cmd/buildkitd/config.Load
\tgithub.com/moby/buildkit/cmd/buildkitd/config/load.go:15
main.main
\tgithub.com/moby/buildkit/cmd/buildkitd/main.go:488
"""
LINES = "".join(f"line {number}\n" for number in range(30))


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (
            f"{HELP}Incorrect Usage: x\nbuildkitd: no such flag: -x\n",
            ["buildkitd: no such flag: -x"],
        ),
        (
            f"Incorrect Usage: x\nbuildkitd: no such flag: -x\n{HELP}",
            ["buildkitd: no such flag: -x"],
        ),
        (
            f"{LINES}buildkitd: toml: expected ]\n{STACK}",
            ["buildkitd: toml: expected ]", "failed to parse config"],
        ),
        (
            "buildkitd: no root\n[rootlesskit:child ] error: command ended\n",
            ["buildkitd: no root", "[rootlesskit:child ] error: command ended"],
        ),
        (f"panic: oh no\n\ngoroutine 1 [running]:\n{STACK}", ["panic: oh no"]),
        (f"panic: before\n{LINES}buildkitd: at last\n", ["buildkitd: at last"]),
    ],
)
def test_the_error_is_shown_whatever_stands_around_it(log: str, shown: list[str]) -> None:
    assert last_words(log) == shown
    assert last_word(log) == shown[0]


def test_without_a_known_error_the_end_is_shown() -> None:
    assert last_words(LINES) == [f"line {number}" for number in range(20, 30)]
    assert last_word(LINES) == "line 29"


@pytest.mark.parametrize(
    "log", ["", "\n \n", "unable to retrieve container logs for containerd://1234"]
)
def test_what_is_no_log_says_nothing(log: str) -> None:
    assert last_words(log) == []
    assert last_word(log) == ""
