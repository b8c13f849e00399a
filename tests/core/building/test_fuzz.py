"""Whatever a person types, the answer is a request or one clear line; never a traceback or a hang.

Each flag gets text that is put together from the pieces of its own grammar and from anything at
all, because plain random text rarely comes past the first check.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockyard.building.caches.local import LocalCaches, check_caches
from dockyard.building.frontend import check_text
from dockyard.building.grammar.option import parse_assignments, parse_labels
from dockyard.building.inputs.extras import open_inputs, with_source_policy
from dockyard.building.inputs.source import open_source
from dockyard.building.request import BuildOptions, make_request
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest
from dockyard.errors import DockyardError, InputError
from dockyard.fsutil.glob import PatternError
from dockyard.fsutil.patterns import Matcher, read_ignore_file

VARIABLES = {"TOKEN": "hush", "SSH_AUTH_SOCK": "/nonexistent/agent"}
MARKS = st.sampled_from("=,;:/\\\"'`~!@#$%^&*()[]{}<>|+-_.?")
SPACES = st.sampled_from(["", " ", "\t", "\n", "\r", "\0", "\x7f", "\x1b[31m"])
LETTERS = st.sampled_from(["\ud800", "\udcff", "é", "\U0001d518", "\u202e", "a" * 5000])
WORDS = st.sampled_from(
    ["..", "//", "://", '""', "%s", "{0}", "$HOME", "-1", "0", "1e999", "9" * 30]
)
ODD = st.one_of(MARKS, SPACES, LETTERS, WORDS)

GRAMMARS: dict[str, tuple[str, ...]] = {
    "secrets": ("id=", "src=", "source=", "env=", "type=", "file", "env", "TOKEN", "a", "nosuch"),
    "ssh": ("default", "id", "=", ",", "key", "sock", "."),
    "build_contexts": (
        "name", "=", ":latest", "docker-image://", "oci-layout://", "target:", "https://",
        "git@host:path.git", "@sha256:" + "a" * 64, ".", "/", "Name", "library/", "localhost:5000/",
    ),
    "platforms": ("linux", "windows", "/", "amd64", "arm64", "arm", "v7", "v8", ",", "(1.2)"),
    "outputs": (
        "type=", "dest=", "local", "tar", "oci", "docker", "image", "registry", "push=", "true",
        "name=", "mode=delete", "tar=false", "-", "out", "annotation.a=b",
    ),
    "cache_from": ("type=", "registry", "local", "gha", "s3", "inline", "ref=", "src=", "a/b"),
    "cache_to": ("type=", "registry", "local", "inline", "ref=", "dest=", "mode=max", "reset=true"),
    "attest": ("type=", "sbom", "provenance", "mode=", "max", "disabled=", "true", "generator="),
    "annotations": ("manifest", "index-descriptor", "[linux/amd64]", ":", "key", "=", "value"),
    "policies": ("filename=", "disabled=", "true", "reset=", "strict=", "log-level=", "debug"),
    "allow": ("network.host", "security.insecure", "device", "=", "alias=", "buildx.local.delete"),
    "resources": ("memory", "memory-swap", "cpu-shares", "cpuset-cpus", "=", "1g", "-1", "0-3"),
    "tags": ("a", "/", ":", "@", "localhost:5000", "A", "." * 3, "sha256:" + "b" * 64),
    "add_hosts": ("host", ":", "=", "127.0.0.1", "[::1]", "host-gateway", ","),
    "ulimits": ("nofile", "=", "1", ":", "-1", "core"),
}  # fmt: skip
SINGLE: dict[str, tuple[str, ...]] = {
    "provenance": ("true", "false", "mode=", "max", "disabled=", ","),
    "sbom": ("true", "false", "generator=", ",", "image"),
    "network": ("host", "none", "default"),
    "shm_size": ("1", "64m", "g", ".", "b", "i"),
}
"""Flags that are given once."""

_FEW = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def texts(pieces: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Give texts of a grammar's pieces with anything between them."""
    piece = st.one_of(st.sampled_from(pieces), st.sampled_from(",=:"), ODD, st.text(max_size=6))
    return st.lists(piece, max_size=7).map("".join)


def attempt(here: Path, build_context: str = ".", **options: object) -> BuildRequest | None:
    """Make a request and open all that belongs to it, or be refused in words."""
    given_options = cast("BuildOptions", {"working_directory": here, **options})
    said: list[str] = []
    request = None
    try:
        request = make_request(build_context, given_options, terminal=False, variables=VARIABLES)
        repr(request)
        environment = Environment.from_process(variables=VARIABLES)
        open_inputs(with_source_policy(request, environment))
        if check_caches(request):
            LocalCaches().prepare(request, said.append)
    except DockyardError as error:
        said += [error.message, error.hint or ""]
        request = None
    assert all(text.isprintable() for text in said), said
    return request


@pytest.mark.parametrize("option", GRAMMARS)
@_FEW
@given(st.data())
def test_a_repeated_flag_gives_a_request_or_a_reason(
    tmp_path: Path, option: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(texts(GRAMMARS[option]), min_size=1, max_size=3))

    attempt(tmp_path, **{option: values})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", SINGLE)
@_FEW
@given(st.data())
def test_a_flag_given_once_gives_a_request_or_a_reason(
    tmp_path: Path, option: str, data: st.DataObject
) -> None:
    attempt(tmp_path, **{option: data.draw(texts(SINGLE[option]))})


@_FEW
@given(
    texts((".", "-", "Dockerfile", "dockerfile", "/", "sub/", "../", "https://", "nosuch")),
    texts((".", "-", "sub", "/", "https://host/a.git", "#ref:sub", "?ref=", "git@h:p", "ssh://")),
    st.binary(max_size=40),
)
def test_a_context_and_a_dockerfile_are_found_or_not(
    tmp_path: Path, dockerfile: str, build_context: str, stdin: bytes
) -> None:
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub/Dockerfile").touch()
    request = BuildRequest(
        working_directory=str(tmp_path),
        dockerfile=dockerfile,
        build_context=build_context,
        stdin=io.BytesIO(stdin),
    )

    with suppress(InputError):
        check_text(open_source(request, lambda _: b"", Cancellation()).attributes)


@_FEW
@given(st.lists(texts(("KEY", "=", "value", "TOKEN")), max_size=4))
def test_arguments_and_labels_are_taken_or_refused(values: list[str]) -> None:
    for parse in (lambda each: parse_assignments(each, VARIABLES), parse_labels):
        with suppress(InputError):
            assert all(key for key in parse(values))


IGNORED = (
    "*",
    "**",
    "?",
    "[a-z]",
    "[^a]",
    "[!a]",
    "!",
    "#",
    "/",
    "\\",
    "a",
    "{a,b}",
    ".",
    "..",
    "|",
)
LINES = st.lists(texts(IGNORED), max_size=6).map("\n".join)


@_FEW
@given(
    st.one_of(LINES.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary()),
    st.lists(st.text("ab./*é", min_size=1, max_size=12), max_size=5),
)
def test_an_ignore_file_matches_or_is_refused(content: bytes, paths: list[str]) -> None:
    with suppress(PatternError):
        matcher = Matcher(read_ignore_file(content))
        for path in paths:
            assert matcher.matches(path) in {True, False}


@pytest.mark.parametrize("option", ["secrets", "ssh", "build_contexts", "cache_from"])
def test_a_value_that_a_mistake_can_make_is_taken(tmp_path: Path, option: str) -> None:
    """Without this, the tests above could pass because everything is refused."""
    (tmp_path / "file").write_bytes(b"x")
    good = {
        "secrets": "id=a,src=file",
        "ssh": "",
        "build_contexts": "a=.",
        "cache_from": "type=registry,ref=a/b",
    }

    assert attempt(tmp_path, **{option: [good[option]]}) is not None  # type: ignore[arg-type]
