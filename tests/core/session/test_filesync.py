from __future__ import annotations

import queue
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import grpc
import pytest

from core.session.daemon import Daemon, serving
from dockyard.errors import DockyardError
from dockyard.fsutil import DirectoryRoot, VirtualRoot
from dockyard.session.filesync import LocalSources
from support.protos import protos

SYNC = "/moby.filesync.v1.FileSync/DiffCopy"
KINDS = pytest.mark.parametrize("tunnel", [False, True], ids=["own-stream", "tunnel"])
PACKET = "fsutil.types.Packet"


def receive(running: Daemon, *metadata: tuple[str, str]) -> dict[str, bytes | None]:
    """Be the daemon that receives a tree: all files are asked for. Directories have no content."""
    out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def work() -> dict[str, bytes | None]:
        tree: dict[str, bytes | None] = {}
        paths: list[str] = []
        wanted: set[int] = set()
        try:
            for answer in running.start(SYNC, metadata, iter(out.get, None)):
                packet: dict[str, Any] = protos().decode(PACKET, answer)
                match packet.get("type", 0):
                    case 0 if "stat" in packet:
                        number, path = len(paths), packet["stat"]["path"]
                        paths.append(path)
                        regular = not packet["stat"].get("mode", 0) & 0x8F280000
                        tree[path] = b"" if regular else None
                        if regular:
                            wanted.add(number)
                            out.put(protos().encode(PACKET, {"type": 1, "ID": number}))
                    case 2:
                        number = packet.get("ID", 0)
                        if packet.get("data"):
                            tree[paths[number]] = (tree[paths[number]] or b"") + packet["data"]
                        else:
                            wanted.discard(number)
                if not wanted and packet.get("type", 0) != 3 and "stat" not in packet:
                    out.put(protos().encode(PACKET, {"type": 3}))
        finally:
            out.put(None)
        return tree

    return running.run(work)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "Dockerfile").write_bytes(b"FROM scratch\n")
    (folder / "src" / "main.py").write_bytes(b"pass\n" * 100_000)
    (folder / "src" / "größe +%41.txt").write_bytes(b"x")
    return folder


@KINDS
def test_a_directory_is_given_by_its_name(context: Path, tunnel: bool) -> None:
    sources = LocalSources({"context": DirectoryRoot(path=context)})

    with serving(sources, tunnel=tunnel) as (running, session):
        tree = receive(running, ("dir-name", "context"))

    assert tree == {
        "Dockerfile": b"FROM scratch\n",
        "src": None,
        "src/größe +%41.txt": b"x",
        "src/main.py": b"pass\n" * 100_000,
    }
    assert session.failed is None


def test_files_in_memory_are_given() -> None:
    sources = LocalSources({"dockerfile": VirtualRoot(files={"Dockerfile": b"FROM scratch\n"})})

    with serving(sources) as (running, _):
        tree = receive(running, ("dir-name", "dockerfile"), ("followpaths", "Dockerfile"))

    assert tree == {"Dockerfile": b"FROM scratch\n"}


def test_only_what_is_asked_for_is_given(context: Path) -> None:
    with serving(LocalSources({"context": DirectoryRoot(path=context)})) as (running, _):
        included = receive(
            running,
            ("dir-name", "context"),
            ("include-patterns", "Dockerfile"),
            ("include-patterns", "src"),
            ("exclude-patterns", "src/*.txt"),
        )
        followed = receive(running, ("dir-name", "context"), ("followpaths", "Dockerfile"))

    assert list(included) == ["Dockerfile", "src", "src/main.py"]
    assert list(followed) == ["Dockerfile"]


def test_escaped_values_are_read(context: Path) -> None:
    with serving(LocalSources({"größe": DirectoryRoot(path=context)})) as (running, _):
        tree = receive(
            running,
            ("dir-name", quote_plus("größe")),
            ("dir-name-encoded", "1"),
            ("include-patterns", quote_plus("src/größe +%41.txt")),
            ("include-patterns-encoded", "1"),
        )

    assert list(tree) == ["src", "src/größe +%41.txt"]


def test_values_are_read_as_they_are_unless_escaped(context: Path) -> None:
    (context / "a+b%41").write_bytes(b"")

    with serving(LocalSources({"context": DirectoryRoot(path=context)})) as (running, _):
        tree = receive(running, ("dir-name", "context"), ("include-patterns", "a+b%41"))

    assert list(tree) == ["a+b%41"]


@pytest.mark.parametrize("name", ["", "other", "../context", "context/src", "/etc", "Context"])
def test_no_other_directory_is_given(context: Path, name: str) -> None:
    with serving(LocalSources({"context": DirectoryRoot(path=context)})) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            receive(running, ("dir-name", name))

        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == f'no access allowed to dir "{name}"'


def test_a_request_without_a_name_is_refused(context: Path) -> None:
    with serving(LocalSources({"context": DirectoryRoot(path=context)})) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            receive(running)

        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("path", ["../secret", "/../secret", "link/secret", "src/../../secret"])
def test_a_hostile_daemon_gets_nothing_from_outside(context: Path, path: str) -> None:
    (context.parent / "secret").write_bytes(b"hush")
    (context / "link").symlink_to("..")

    with serving(LocalSources({"context": DirectoryRoot(path=context)})) as (running, _):
        for key in ("include-patterns", "followpaths"):
            tree = receive(running, ("dir-name", "context"), (key, path))

            assert not any(data == b"hush" for data in tree.values())


def test_a_directory_that_is_gone_is_the_sessions_failure(tmp_path: Path) -> None:
    sources = LocalSources({"context": DirectoryRoot(path=tmp_path / "nosuch")})

    with serving(sources) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            receive(running, ("dir-name", "context"))

        assert isinstance(session.failed, DockyardError)
        assert "nosuch" in (caught.value.details() or "")


def test_the_tar_stream_that_nobody_uses_is_unimplemented() -> None:
    with serving(LocalSources({})) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            running.stream("/moby.filesync.v1.FileSync/TarStream")

        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
