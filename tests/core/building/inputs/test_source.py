from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
from pathlib import Path

import pytest

from dockyard.building.inputs.source import Source, is_archive, open_source
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest
from dockyard.errors import CanceledError, ContextError, InputError


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("Dockerfile")
        info.size = 12
        archive.addfile(info, io.BytesIO(b"FROM scratch"))
    return sink.getvalue()


def source(tmp_path: Path, **values: object) -> Source:
    request = BuildRequest(working_directory=str(tmp_path), **values)  # type: ignore[arg-type]
    return open_source(request, fetched, Cancellation())


def fetched(url: str) -> bytes:
    return f"FROM scratch\nLABEL from={url}\n".encode()


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


def test_a_lower_case_dockerfile_is_found_where_the_flag_names_the_other(
    tmp_path: Path, project: Path
) -> None:
    (project / "Dockerfile").rename(project / "dockerfile")

    found = source(tmp_path, build_context="project", dockerfile="project/Dockerfile")

    assert found.attributes == {"filename": "dockerfile"}


def test_zstd_on_stdin_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="compressed with zstd"):
        source(tmp_path, build_context="-", stdin=io.BytesIO(b"\x28\xb5\x2f\xfd" + b"x" * 600))


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
        ({"build_context": "file"}, 'path "file" not found'),
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


@pytest.mark.parametrize("place", ["project", "http://host.invalid/x.tar", "-"])
def test_a_dockerfile_from_a_url_is_fetched_and_sent_inline(
    tmp_path: Path, project: Path, place: str
) -> None:
    url = "https://host.invalid/Dockerfile"

    found = source(tmp_path, build_context=place, dockerfile=url, stdin=io.BytesIO(tar()))

    assert found.directories["dockerfile"] == {"Dockerfile": fetched(url)}
    assert found.attributes["dockerfilekey"] == "dockerfile"
    assert found.attributes["filename"] == "Dockerfile"
    assert found.directories.get("context") == (project if place == "project" else None)
    assert found.attributes.get("context") == (place if "://" in place else None)
    assert (found.archive is not None) == (place == "-")


def test_a_dockerfile_from_a_url_and_one_on_stdin_are_one_too_many(tmp_path: Path) -> None:
    stdin = io.BytesIO(b"FROM scratch\n")

    with pytest.raises(InputError, match="ambiguous Dockerfile source"):
        source(tmp_path, build_context="-", dockerfile="http://host.invalid/D", stdin=stdin)


@pytest.mark.parametrize("values", [{"build_context": "-"}, {"dockerfile": "-"}])
def test_a_stdin_that_keeps_silent_is_left_when_canceled(
    tmp_path: Path, values: dict[str, str]
) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"FROM scratch\n")
    cancel = Cancellation()
    with open(ours, "rb") as stdin:  # noqa: PTH123  # a descriptor
        request = BuildRequest(working_directory=str(tmp_path), stdin=stdin, **values)  # type: ignore[arg-type]
        threading.Timer(0.1, cancel.cancel).start()

        with pytest.raises(CanceledError):
            open_source(request, fetched, cancel)
    os.close(theirs)


def test_a_stdin_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    closed = io.BytesIO()
    closed.close()

    with pytest.raises(ContextError, match="cannot read stdin: .*closed file"):
        source(tmp_path, build_context="-", stdin=closed)
