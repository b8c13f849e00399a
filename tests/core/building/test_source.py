from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from dockyard.building.source import Source, is_archive, open_source
from dockyard.driver import BuildRequest
from dockyard.errors import ContextError, InputError


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("Dockerfile")
        info.size = 12
        archive.addfile(info, io.BytesIO(b"FROM scratch"))
    return sink.getvalue()


def source(tmp_path: Path, **values: object) -> Source:
    request = BuildRequest(working_directory=str(tmp_path), **values)  # type: ignore[arg-type]
    return open_source(request)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM scratch\n")
    return project


def test_a_directory_is_offered_twice(tmp_path: Path, project: Path) -> None:
    found = source(tmp_path, build_context="project")

    assert found.directories == {"context": project, "dockerfile": project}
    assert found.attributes == {"filename": "Dockerfile"}
    assert found.key == "project"


def test_a_dockerfile_is_relative_to_the_working_directory(tmp_path: Path, project: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Build").write_text("FROM scratch\n")

    found = source(tmp_path, build_context="project", dockerfile="docker/Build")

    assert found.directories == {"context": project, "dockerfile": tmp_path / "docker"}
    assert found.attributes == {"filename": "Build"}


def test_a_lower_case_dockerfile_is_found(tmp_path: Path, project: Path) -> None:
    (project / "Dockerfile").rename(project / "dockerfile")

    assert source(tmp_path, build_context="project").attributes == {"filename": "dockerfile"}


def test_a_dockerfile_on_stdin_with_a_directory(tmp_path: Path, project: Path) -> None:
    stdin = io.BytesIO(b"FROM x")

    found = source(tmp_path, build_context="project", dockerfile="-", stdin=stdin)

    assert found.directories == {"context": project, "dockerfile": {"Dockerfile": b"FROM x"}}
    assert found.attributes == {"filename": "Dockerfile", "dockerfilekey": "dockerfile"}


def test_text_on_stdin_is_a_dockerfile_with_an_empty_context(tmp_path: Path) -> None:
    text = b"FROM scratch\n" * 500

    found = source(tmp_path, build_context="-", stdin=io.BytesIO(text))

    assert found.directories == {"context": {}, "dockerfile": {"Dockerfile": text}}
    assert found.archive is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_on_stdin_is_the_context(tmp_path: Path, pack: object) -> None:
    data = pack(tar())  # type: ignore[operator]
    stdin = io.BytesIO(data)

    found = source(tmp_path, build_context="-", dockerfile="sub/Dockerfile", stdin=stdin)

    assert found.archive is not None
    assert found.archive.head + found.archive.stream.read() == data
    assert found.attributes == {"filename": "sub/Dockerfile"}
    assert not found.directories


@pytest.mark.parametrize(
    ("url", "caps"),
    [
        ("https://example.com/context.tar.gz", False),
        ("https://example.com/context.tar.gz?x=1", False),
        ("https://github.com/a/b.git#main:docs", False),
        ("https://github.com/a/b.git?ref=main", True),
        ("git@github.com:a/b.git", False),
        ("git://host/x", False),
        ("ssh://git@host/x.git", False),
        ("github.com/a/b", False),
    ],
)
def test_remote_contexts_are_left_to_the_daemon(tmp_path: Path, url: str, caps: bool) -> None:
    found = source(tmp_path, build_context=url)

    assert found.attributes["context"] == url
    assert ("frontend.caps" in found.attributes) is caps
    assert not found.directories


def test_a_dockerfile_inside_a_remote_context_is_only_named(tmp_path: Path) -> None:
    found = source(tmp_path, build_context="https://host/x.git", dockerfile="docker/Build")

    assert found.attributes == {"context": "https://host/x.git", "filename": "docker/Build"}


def test_a_local_dockerfile_for_a_remote_context(tmp_path: Path, project: Path) -> None:
    found = source(
        tmp_path, build_context="https://host/x.git", dockerfile=str(project / "Dockerfile")
    )

    assert found.directories == {"dockerfile": project}
    assert found.attributes["dockerfilekey"] == "dockerfile"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"build_context": ""}, "please specify build context"),
        ({"build_context": "nosuch"}, '^unable to prepare context: path "nosuch" not found$'),
        ({"build_context": "file"}, 'path "file" is not a directory'),
        ({"build_context": "empty"}, "failed to read dockerfile: open Dockerfile: no such file"),
        ({"dockerfile": "none/D"}, "failed to read dockerfile: open none/D: no such file"),
        ({"dockerfile": "empty"}, "failed to read dockerfile: open empty: is a directory"),
        ({"build_context": "-", "dockerfile": "-"}, "can't use stdin for both"),
        ({"build_context": "-", "dockerfile": "X"}, "^ambiguous Dockerfile source"),
        ({"build_context": "-", "stdin": None}, "nothing to read"),
    ],
)
def test_a_wrong_source_is_one_clear_line(
    tmp_path: Path, values: dict[str, object], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    stdin = io.BytesIO(b"FROM x")

    with pytest.raises((ContextError, InputError), match=words):
        source(tmp_path, **{"build_context": ".", "stdin": stdin, **values})


def test_an_endless_dockerfile_is_refused(tmp_path: Path) -> None:
    with Path("/dev/zero").open("rb") as stdin, pytest.raises(ContextError, match="longer than"):
        source(tmp_path, build_context="-", stdin=stdin)


@pytest.mark.parametrize("head", [b"", b"FROM x", b"\0" * 1024, b"x" * 1024])
def test_what_is_no_archive(head: bytes) -> None:
    assert not is_archive(head)
