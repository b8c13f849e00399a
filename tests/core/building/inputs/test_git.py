from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dockyard.building.inputs.git import Repository
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest

NO_COMMIT = "current commit information was not captured by the build: "
SETTINGS = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give git the time that it needs on a busy machine."""
    monkeypatch.setattr("dockyard.building.inputs.git._PATIENCE", 45.0)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit that came from somewhere."""
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "sub/file").touch()
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "remote", "add", "origin", "https://me:secret@example.com/it.git")
    return folder


def look(
    here: Path, variables: dict[str, str] | None = None, **values: object
) -> tuple[dict[str, str], list[str]]:
    """Give what is found, and the warnings."""
    request = BuildRequest(working_directory=str(here), **values)  # type: ignore[arg-type]
    environment = Environment.from_process(
        variables={"PATH": os.environ["PATH"], **SETTINGS, **(variables or {})}
    )
    warnings: list[str] = []
    seen = Repository(request, environment, Cancellation())
    found = seen.describe(request, warnings.append)
    seen.close()
    return dict(found.git), warnings


def test_commit_source_and_places_are_found(repository: Path) -> None:
    found, warnings = look(repository)

    assert found == {
        "vcs:revision": git(repository, "rev-parse", "HEAD"),
        "vcs:source": "https://xxxxx:xxxxx@example.com/it.git",
        "vcs:localdir:context": ".",
        "vcs:localdir:dockerfile": ".",
    }
    assert not warnings


def test_places_are_relative_to_the_work_tree(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    found, _ = look(
        tmp_path,
        build_context="repository/sub",
        dockerfile="repository/Dockerfile",
        build_contexts={
            "more": "repository/sub",
            "context": "repository",
            "out": "elsewhere",
            "image": "docker-image://alpine",
        },
    )

    places = {key: value for key, value in found.items() if ":localdir:" in key}
    assert places == {
        "vcs:localdir:context": "sub",
        "vcs:localdir:dockerfile": ".",
        "vcs:localdir:more": "sub",
        "vcs:localdir:_context": ".",
    }


def test_a_dockerfile_that_is_no_file_has_no_place(repository: Path) -> None:
    for dockerfile in ("-", "https://example.com/Dockerfile"):
        found, _ = look(repository, {"BUILDX_GIT_LABELS": "1"}, dockerfile=dockerfile)

        assert "vcs:localdir:dockerfile" not in found
        assert "label:com.docker.image.source.entrypoint" not in found


@pytest.mark.parametrize("value", ["1", "true", "full"])
def test_labels_are_added_when_asked_for(repository: Path, value: str) -> None:
    found, _ = look(repository / "sub", {"BUILDX_GIT_LABELS": value}, dockerfile="Some")

    assert found["label:org.opencontainers.image.revision"] == found["vcs:revision"]
    assert found["label:org.opencontainers.image.source"] == found["vcs:source"]
    assert found["label:com.docker.image.source.entrypoint"] == "sub/Some"


def test_it_can_be_switched_off(repository: Path) -> None:
    assert look(repository, {"BUILDX_GIT_INFO": "0"}) == ({}, [])
    found, _ = look(repository, {"BUILDX_GIT_INFO": "false", "BUILDX_GIT_LABELS": "true"})
    assert {key.partition(":")[0] for key in found} == {"label"}
    assert "vcs:revision" in look(repository, {"BUILDX_GIT_INFO": "nonsense"})[0]


def test_changes_are_told_only_when_asked_for(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    asking = {"BUILDX_GIT_CHECK_DIRTY": "1"}
    assert look(repository, asking)[0]["vcs:revision"] == commit

    (repository / "new").touch()

    assert look(repository, asking)[0]["vcs:revision"] == f"{commit}-dirty"
    assert look(repository)[0]["vcs:revision"] == commit


def test_the_remote_that_the_branch_follows_comes_first(repository: Path) -> None:
    git(repository, "remote", "add", "fork", "git@example.com:fork/it.git")
    git(repository, "update-ref", "refs/remotes/fork/main", "HEAD")
    git(repository, "branch", "-q", "--set-upstream-to", "fork/main")

    assert look(repository)[0]["vcs:source"] == "git@example.com:fork/it.git"
    git(repository, "checkout", "-q", "--detach")
    assert look(repository)[0]["vcs:source"] == "https://xxxxx:xxxxx@example.com/it.git"


def test_upstream_is_the_source_where_there_is_no_origin(repository: Path) -> None:
    git(repository, "remote", "rename", "origin", "upstream")
    assert look(repository)[0]["vcs:source"] == "https://xxxxx:xxxxx@example.com/it.git"

    git(repository, "remote", "remove", "upstream")
    assert "vcs:source" not in look(repository)[0]


def test_a_repository_without_a_commit_has_only_places(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")

    found, warnings = look(tmp_path)

    assert found == {"vcs:localdir:context": ".", "vcs:localdir:dockerfile": "."}
    assert not warnings


def test_work_trees_and_submodules_are_repositories(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add",
        str(repository), "module")  # fmt: skip

    for folder in (tmp_path / "tree", repository / "module"):
        found, warnings = look(folder)
        assert found["vcs:revision"] == git(repository, "rev-parse", "HEAD")
        assert found["vcs:localdir:context"] == "."
        assert not warnings


def test_a_bare_repository_and_gits_own_folder_tell_nothing(
    repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")

    assert look(tmp_path / "bare.git") == ({}, [])
    assert look(repository / ".git") == ({}, [])


@pytest.mark.parametrize(
    "build_context", ["-", "https://example.com/it.git", "nosuch", "git@example.com:a/b"]
)
def test_only_a_directory_is_looked_at(repository: Path, build_context: str) -> None:
    assert look(repository, build_context=build_context) == ({}, [])


def test_git_is_not_started_where_there_is_nothing_to_find(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)

    assert look(tmp_path, {"PATH": str(program.parent)}) == ({}, [])
    assert not (tmp_path / "started").exists()


def test_what_was_found_before_is_kept(repository: Path) -> None:
    assert look(repository, git={"vcs:source": "known"}) == ({"vcs:source": "known"}, [])


def test_a_missing_git_is_a_warning(repository: Path, tmp_path: Path) -> None:
    found, warnings = look(repository, {"PATH": str(tmp_path)})

    assert found == {}
    assert warnings == [f"{NO_COMMIT}git was not found in the system"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_repository_of_somebody_else_is_a_warning_in_gits_words(repository: Path) -> None:
    os.chown(repository, 12345, 12345)
    os.chown(repository / ".git", 12345, 12345)

    found, warnings = look(repository)

    assert found == {}
    assert warnings == [
        f"{NO_COMMIT}fatal: detected dubious ownership in repository at '{repository}'"
    ]


def test_a_broken_repository_is_a_warning(repository: Path) -> None:
    (repository / ".git/HEAD").write_text("nonsense")

    found, (warning,) = look(repository)

    assert found == {}
    assert warning.startswith(f"{NO_COMMIT}fatal: ")


def test_a_git_that_hangs_is_left(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.building.inputs.git._PATIENCE", 0.1)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)

    found, warnings = look(repository, {"PATH": f"{program.parent}:{os.environ['PATH']}"})

    assert found == {}
    assert warnings == [f"{NO_COMMIT}git took longer than 0.1 seconds"]


def test_programs_that_a_repository_names_are_not_run(repository: Path, tmp_path: Path) -> None:
    program = tmp_path / "monitor"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))

    look(repository, {"BUILDX_GIT_CHECK_DIRTY": "1"})

    assert not (tmp_path / "started").exists()


def test_a_loop_of_links_is_a_warning_and_no_traceback(repository: Path) -> None:
    (repository / "loop").symlink_to("loop")

    found, warnings = look(repository, build_context=".", dockerfile="loop/Dockerfile")

    assert found == {}
    assert len(warnings) == 1
    assert warnings[0].startswith(NO_COMMIT)
