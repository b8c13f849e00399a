from __future__ import annotations

import pytest

from dockyard.errors import InputError
from dockyard.registry.reference import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "name", "host", "target"),
    [
        ("alpine", "docker.io/library/alpine", "registry-1.docker.io", "latest"),
        ("a/b:1", "docker.io/a/b", "registry-1.docker.io", "1"),
        ("docker.io/a", "docker.io/library/a", "registry-1.docker.io", "latest"),
        ("index.docker.io/a/b", "docker.io/a/b", "registry-1.docker.io", "latest"),
        ("localhost/a:x", "localhost/a", "localhost", "x"),
        ("127.0.0.1:5000/a/b/c:V_1.2", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "V_1.2"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000", "latest"),
        (f"ghcr.io/a/b:1@{DIGEST}", "ghcr.io/a/b", "ghcr.io", DIGEST),
    ],
)
def test_a_name_is_taken_apart(text: str, name: str, host: str, target: str) -> None:
    found = Reference.parse(text)

    assert (found.name, found.host, found.target) == (name, host, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A/b",
        "a b",
        "a//b:",
        "a@sha256:1",
        "x.y/",
        "x.y/a?b",
        "x.y/../a",
        "x.y/a/../b",
        "x.y/a:",
        "x.y/a@",
        "x.y:port/a",
        "x.y/a:b c",
        "a@b.c/d",
        "x.y/a\r\n",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="invalid reference"):
        Reference.parse(text)
