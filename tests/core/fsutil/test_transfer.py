from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.fsutil.daemon import METHOD
from dockyard.engine.stream import SocketStream
from dockyard.fsutil import DirectoryRoot
from dockyard.fsutil.receive import Receiver
from dockyard.fsutil.send import Sender
from dockyard.wire.errors import WireError
from dockyard.wire.grpc import Call, Channel, Server, ServerCall
from dockyard.wire.loop import Loop


def copy(source: Path, dest: Path, *, exclude: tuple[str, ...] = ()) -> None:
    """Send a tree to a receiver: two served calls, and between them one who passes messages on."""
    loop = Loop()
    outcome: list[BaseException | None] = []
    ends: list[WireError | None] = []

    def send(call: ServerCall) -> None:
        Sender(call, DirectoryRoot(path=source), exclude=exclude, loop=loop).start()

    def receive(call: ServerCall) -> None:
        Receiver(call, dest, on_done=outcome.append).start()

    servers: list[Server] = []

    def connect(handler: Callable[[ServerCall], None], target: list[Call]) -> tuple[Channel, Call]:
        ours, theirs = socket.socketpair()
        servers.append(Server(loop, SocketStream(ours), {METHOD: handler}))
        channel = Channel(loop, SocketStream(theirs))
        call = channel.start(METHOD, on_message=lambda m: target[0].send(m), on_end=ends.append)
        return channel, call

    to_receiver: list[Call] = []
    to_sender: list[Call] = []
    channels = []
    for handler, target, own in ((send, to_receiver, to_sender), (receive, to_sender, to_receiver)):
        channel, call = connect(handler, target)
        channels.append(channel)
        own.append(call)
    try:
        assert loop.run(lambda: len(ends) == 2, timeout=50)
    finally:
        for channel in channels:
            channel.close()
        for server in servers:
            server.close()
        loop.close()
    assert ends == [None, None]
    assert outcome == [None]


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything about a tree that a transfer keeps."""
    seen: dict[int, str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for place in sorted(root.rglob("*")):
        status = place.lstat()
        path = str(place.relative_to(root))
        first = path if stat.S_ISDIR(status.st_mode) else seen.setdefault(status.st_ino, path)
        content: object = None
        if place.is_symlink():
            content = str(place.readlink())
        elif place.is_file():
            content = place.read_bytes()
        found[path] = (status.st_mode, status.st_mtime_ns, first, content)
    return found


def test_copy_of_a_tree_is_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/big").write_bytes(os.urandom(3_000_001))
    (source / "a/empty").touch()
    (source / "a-b").write_text("x")
    (source / "a-b").chmod(0o4711)
    os.link(source / "a/b/big", source / "z")
    (source / "loop").symlink_to("loop")
    (source / "out").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    os.utime(source / "a/b", ns=(1, 1))
    (source / "a").chmod(0o555)

    copy(source, tmp_path / "dest")

    assert picture(tmp_path / "dest") == picture(source)
    for root in (source, tmp_path / "dest"):
        (root / "a").chmod(0o755)


def test_thousands_of_files_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for directory in range(10):
        (source / f"d{directory}").mkdir(parents=True)
        for number in range(200):
            (source / f"d{directory}/f{number}").write_bytes(b"%d" % number * number)

    copy(source, tmp_path / "dest")

    assert picture(tmp_path / "dest") == picture(source)


names = st.text("ab-.\u00e4", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
places = st.lists(names, min_size=1, max_size=4).map("/".join)
kinds = st.one_of(
    st.just(None),
    st.binary(max_size=40),
    st.builds(lambda size: b"x" * size, st.integers(0, 300_000)),
    st.text("ab/.", min_size=1, max_size=8),
)
modes = st.integers(0, 0o7777)
times = st.integers(-(10**9), 4 * 10**18)


@pytest.mark.timeout(180)  # forty trees, each copied twice, on a machine that may be busy
@settings(max_examples=40, deadline=None)
@given(st.dictionaries(places, st.tuples(kinds, modes, times), max_size=10), st.booleans())
def test_copy_of_any_tree_is_the_tree(
    tmp_path_factory: pytest.TempPathFactory,
    wanted: dict[str, tuple[bytes | str | None, int, int]],
    onto_itself: bool,
) -> None:
    top = tmp_path_factory.mktemp("copy")
    source, dest = top / "source", top / "dest"
    plant(source, wanted)

    copy(source, dest)
    if onto_itself:
        copy(source, dest)

    assert picture(dest) == picture(source)


def plant(source: Path, wanted: dict[str, tuple[bytes | str | None, int, int]]) -> None:
    """Make what can be made of it: directories, files, links, and hard links to earlier files."""
    source.mkdir()
    files: list[Path] = []
    attributes: list[tuple[Path, int, int]] = []
    for path, (content, mode, mtime_ns) in wanted.items():
        place = source / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.mkdir()
            elif isinstance(content, str):
                place.symlink_to(content)
            elif content == b"" and files:
                os.link(files[0], place)
            else:
                with place.open("xb") as opened:
                    opened.write(content)
                files.append(place)
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue
        attributes.append((place, mode, mtime_ns))
    for place, mode, mtime_ns in reversed(attributes):
        if not place.is_symlink():
            place.chmod(mode | 0o700 if place.is_dir() else mode | 0o400)
        os.utime(place, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
