from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.fsutil.daemon import sending
from dockyard.errors import ContextError, TransferError
from dockyard.fsutil import VirtualRoot
from dockyard.fsutil.send import Listing
from dockyard.fsutil.source import FileContent
from dockyard.fsutil.walk import Entry
from dockyard.wire.grpc import Limits
from dockyard.wire.packet import (
    END_PACKET,
    FIN_PACKET,
    data_header,
    err_packet,
    req_packet,
    stat_packet,
)

MIB = 1 << 20


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() <= before  # others' may be closed meanwhile


def plant(root: Path, **files: bytes) -> None:
    for name, content in files.items():
        place = root / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def plant_more_than_the_window_takes(root: Path) -> None:
    """Make files whose listing is more than a megabyte."""
    plant(root, **{f"f{n:05}{'x' * 200}": b"x" for n in range(5000)})


def test_daemon_gets_the_tree_and_the_contents(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1", d__b=b"22", d__empty=b"", e=b"x" * 200_000)

    with sending(tmp_path) as daemon:
        contents = daemon.fetch_all()

    assert daemon.paths == ["a", "d", "d/b", "d/empty", "e"]
    assert contents == {"a": b"1", "d/b": b"22", "d/empty": b"", "e": b"x" * 200_000}


def test_owner_is_root_and_times_are_exact(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1")
    os.utime(tmp_path / "a", ns=(1, 1_600_000_000_123_456_789))
    if os.getuid() == 0:
        os.chown(tmp_path / "a", 1234, 5678)

    with sending(tmp_path) as daemon:
        daemon.wait_listing()

    stat = daemon.stats[0]
    assert (stat.uid, stat.gid, stat.mtime_ns, stat.size) == (0, 0, 1_600_000_000_123_456_789, 1)


def test_large_files_go_in_pieces_of_a_mebibyte(tmp_path: Path) -> None:
    content = os.urandom(3 * MIB + 5)
    plant(tmp_path, big=content, other=content[:MIB], edge=content[: 128 << 10])

    with sending(tmp_path) as daemon:
        contents = daemon.fetch_all()

    assert contents == {"big": content, "other": content[:MIB], "edge": content[: 128 << 10]}
    assert max(daemon.pieces) == MIB


def test_small_window_changes_nothing(tmp_path: Path) -> None:
    content = os.urandom(2 * MIB + 1)
    plant(tmp_path, big=content, **{f"f{n:03}": b"%d" % n for n in range(500)})

    with sending(tmp_path, limits=Limits(stream_window=70_000, connection_window=70_000)) as daemon:
        contents = daemon.fetch_all()

    assert contents.pop("big") == content
    assert contents == {f"f{n:03}": b"%d" % n for n in range(500)}


def test_data_flows_before_the_listing_has_ended(tmp_path: Path) -> None:
    plant_more_than_the_window_takes(tmp_path)

    with sending(tmp_path, limits=Limits(stream_window=70_000)) as daemon:
        daemon.wait(lambda: len(daemon.stats) > 10)
        daemon.say(req_packet(3))
        daemon.wait(lambda: 3 in daemon.complete)

        assert not daemon.listed
        assert daemon.contents[3] == b"x"


def test_filters_and_followed_links_are_applied(tmp_path: Path) -> None:
    plant(tmp_path, v1__app=b"1", v1__log=b"2", v2__app=b"3")
    (tmp_path / "now").symlink_to("v1")

    with sending(tmp_path, follow=("now",), exclude=("**/log",)) as daemon:
        assert daemon.fetch_all() == {"v1/app": b"1"}
    assert daemon.paths == ["now", "v1", "v1/app"]


def test_empty_directory_is_an_empty_listing(tmp_path: Path) -> None:
    with sending(tmp_path) as daemon:
        assert daemon.fetch_all() == {}


def test_virtual_files_are_sent_like_others() -> None:
    root = VirtualRoot(files={"b": b"x" * MIB * 2, "Dockerfile": b"FROM scratch\n", "c": b""})

    with sending(root, exclude=("c",)) as daemon:
        contents = daemon.fetch_all()

    assert contents == {"Dockerfile": b"FROM scratch\n", "b": b"x" * MIB * 2}
    assert [stat.mode for stat in daemon.stats] == [0o644, 0o644]


def test_virtual_files_follow_the_paths_that_a_frontend_asks_for() -> None:
    root = VirtualRoot(files={"Dockerfile": b"FROM scratch\n", "other": b""})

    with sending(root, follow=("Dockerfile", "Dockerfile.dockerignore", "dockerfile")) as daemon:
        assert daemon.fetch_all() == {"Dockerfile": b"FROM scratch\n"}


# --- hostile daemons -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 99, 0xFFFFFFFF])
def test_daemon_cannot_ask_for_what_is_no_listed_file(tmp_path: Path, number: int) -> None:
    plant(tmp_path, a=b"1", b=b"2", d__c=b"3")
    errors: list[Exception] = []
    (tmp_path / "d/c").unlink()
    (tmp_path / "d/link").symlink_to("/etc/passwd")

    with sending(tmp_path, errors=errors) as daemon:
        daemon.wait_listing()
        daemon.say(req_packet(number))
        message = daemon.wait_end()

    assert daemon.paths == ["a", "b", "d", "d/link"]
    assert message == daemon.error_text
    assert message.endswith(f"not offered: invalid file id {number}")
    assert [type(error) for error in errors] == [TransferError]
    assert not daemon.contents


def test_daemon_cannot_ask_for_a_file_twice(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1")

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        daemon.fetch("a")
        daemon.say(req_packet(0))
        assert "invalid file id 0" in daemon.wait_end()


def test_daemon_cannot_ask_before_the_file_is_listed(tmp_path: Path) -> None:
    plant_more_than_the_window_takes(tmp_path)

    with sending(tmp_path, limits=Limits(stream_window=70_000)) as daemon:
        daemon.say(req_packet(4999))
        assert "invalid file id 4999" in daemon.wait_end()


@pytest.mark.parametrize(
    ("include", "follow"),
    [
        (("../outside",), ()),
        (("/etc/passwd",), ()),
        ((), ("../outside/secret",)),
        ((), ("/etc/passwd",)),
        ((), ("link/secret",)),
        (("link/secret",), ()),
        ((), ("link/*",)),
    ],
)
def test_no_filter_leads_outside(
    tmp_path: Path, include: tuple[str, ...], follow: tuple[str, ...]
) -> None:
    plant(tmp_path, outside__secret=b"secret", root__a=b"a")
    (tmp_path / "root/link").symlink_to("../outside")

    with sending(tmp_path / "root", include=include, follow=follow) as daemon:
        assert daemon.fetch_all() == {}

    assert set(daemon.paths) <= {"link"}


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (END_PACKET, "a packet of type 0"),
        (stat_packet(b"x", 0o644, 0, 0), "a packet of type 0"),
        (data_header(0, 1) + b"x", "a packet of type 2"),
        (b"\x08\x07", "a packet of type 7"),
        (b"\x08", "a malformed packet"),
        (b"\x12\x7f", "a malformed packet"),
    ],
)
def test_packet_that_no_receiver_sends_ends_the_call(
    tmp_path: Path, packet: bytes, said: str
) -> None:
    with sending(tmp_path) as daemon:
        daemon.say(packet)
        assert said in daemon.wait_end()


def test_daemons_own_error_ends_the_call_without_being_ours(tmp_path: Path) -> None:
    errors: list[Exception] = []

    with sending(tmp_path, errors=errors) as daemon:
        daemon.say(err_packet("disk full"))
        assert daemon.wait_end() == "error from receiver: disk full"
    assert errors == []


def test_daemon_that_leaves_early_gets_an_error(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1")

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        daemon.call.half_close()
        assert "before it was complete" in daemon.wait_end()


def test_canceled_call_lets_go_of_everything(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1", big=b"x" * MIB * 20)

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        daemon.say(req_packet(1))
        daemon.wait(lambda: bool(daemon.pieces))
        daemon.call.cancel()
        assert daemon.ended


def test_fin_waits_for_what_was_asked_for(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1", big=b"x" * MIB * 3)

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        daemon.say(req_packet(1), FIN_PACKET)
        assert daemon.wait_end() == ""

    assert daemon.contents[1] == b"x" * MIB * 3
    assert daemon.got_fin


# --- trees that change, or cannot be read ---------------------------------------------------


def fails(root: Path, change: object, path: str) -> str:
    """Let the tree change between the listing and the request; give what is said then."""
    errors: list[Exception] = []
    with sending(root, errors=errors) as daemon:
        daemon.wait_listing()
        assert callable(change)
        change()
        daemon.fetch(path)
        message = daemon.wait_end()
    assert [type(error) for error in errors] == [ContextError]
    assert str(errors[0]) == message == daemon.error_text
    assert not daemon.contents
    return message


def test_file_that_vanished_is_an_error_that_names_it(tmp_path: Path) -> None:
    plant(tmp_path, d__a=b"1")

    message = fails(tmp_path, (tmp_path / "d/a").unlink, "d/a")

    assert message == f'cannot read "{tmp_path}/d/a": no such file or directory'


def test_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    plant(tmp_path, root__a=b"1", secret=b"secret")

    def swap() -> None:
        (tmp_path / "root/a").unlink()
        (tmp_path / "root/a").symlink_to("../secret")

    assert "/root/a" in fails(tmp_path / "root", swap, "a")


def test_directory_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    plant(tmp_path, root__d__a=b"1", outside__a=b"secret")

    def swap() -> None:
        (tmp_path / "root/d").rename(tmp_path / "moved")
        (tmp_path / "root/d").symlink_to("../outside")

    assert "/root/d/a" in fails(tmp_path / "root", swap, "d/a")


def test_directory_that_became_a_link_after_a_first_read_gives_nothing_from_outside(
    tmp_path: Path,
) -> None:
    plant(tmp_path, root__d__a=b"1", root__d__b=b"2", root__e__c=b"3", outside__b=b"secret")

    with sending(tmp_path / "root") as daemon:
        daemon.wait_listing()
        daemon.fetch("d/a")
        (tmp_path / "root/d").rename(tmp_path / "moved")
        (tmp_path / "root/d").symlink_to("../outside")
        daemon.fetch("d/b")

    # The directory that is still open may be read on; the one behind the link may not.
    assert daemon.contents.get(daemon.number("d/b"), b"") in (b"", b"2")


def test_file_that_became_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    plant(tmp_path, a=b"1")

    def swap() -> None:
        (tmp_path / "a").unlink()
        os.mkfifo(tmp_path / "a")

    assert fails(tmp_path, swap, "a") == f'cannot read "{tmp_path}/a": not a regular file any more'


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_file_that_changed_its_size_ends_where_it_ends(tmp_path: Path, size: int) -> None:
    plant(tmp_path, a=b"1" * 100, b=b"2" * 300_000)

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        plant(tmp_path, a=b"x" * size, b=b"y" * size)
        daemon.fetch("a", "b")
        daemon.say(FIN_PACKET)
        assert daemon.wait_end() == ""

    assert daemon.contents.get(0, b"") == b"x" * size
    assert daemon.contents.get(1, b"") == b"y" * size


def test_file_that_grows_between_opening_and_reading_is_sent_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, a=b"1" * 100, b=b"2")
    read = FileContent.read

    def grow_and_read(self: FileContent, size: int) -> bytes:
        if self.size == 100:
            plant(tmp_path, a=b"1" * 300_000)
        return read(self, size)

    monkeypatch.setattr(FileContent, "read", grow_and_read)

    with sending(tmp_path) as daemon:
        assert daemon.fetch_all() == {"a": b"1" * 300_000, "b": b"2"}


def test_file_that_shrinks_between_opening_and_reading_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, a=b"1" * 100, b=b"2")
    read = FileContent.read

    def shrink_and_read(self: FileContent, size: int) -> bytes:
        if self.size == 100:
            plant(tmp_path, a=b"1" * 7)
        return read(self, size)

    monkeypatch.setattr(FileContent, "read", shrink_and_read)

    with sending(tmp_path) as daemon:
        assert daemon.fetch_all() == {"a": b"1111111", "b": b"2"}


def test_socket_is_sent_as_an_empty_file_and_never_opened(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))

        with sending(tmp_path) as daemon:
            assert daemon.fetch_all() == {"sock": b""}


def test_pipe_is_listed_and_cannot_be_asked_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with sending(tmp_path) as daemon:
        daemon.wait_listing()
        daemon.say(req_packet(0))
        assert "invalid file id 0" in daemon.wait_end()
    assert daemon.paths == ["pipe"]


def test_name_that_is_not_utf_8_ends_in_one_clear_line(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9")).touch()
    errors: list[Exception] = []

    with sending(tmp_path, errors=errors) as daemon:
        message = daemon.wait_end()

    assert re.fullmatch(
        r'the file name ".*/caf\\xe9" is not valid UTF-8 and cannot be sent', message
    )
    assert daemon.error_text == message
    assert [type(error) for error in errors] == [ContextError]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_root_that_is_no_directory_ends_in_one_clear_line(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, file=b"")
    errors: list[Exception] = []

    with sending(tmp_path / kind, errors=errors) as daemon:
        message = daemon.wait_end()

    assert message.startswith(f'cannot read "{tmp_path}/{kind}": no')
    assert str(errors[0]) == message


@pytest.mark.parametrize(("include", "exclude"), [(("[",), ()), ((), ("[",))])
def test_malformed_pattern_ends_in_one_clear_line(
    tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    with sending(tmp_path, include=include, exclude=exclude) as daemon:
        assert daemon.wait_end() == 'invalid pattern "[": syntax error in pattern'


# In a process that is not root, for which nothing is unreadable.
UNREADABLE = """
import os, sys
from pathlib import Path
from core.fsutil.daemon import sending
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
errors = []
with sending(Path(sys.argv[1]), errors=errors) as daemon:
    daemon.wait_listing()
    daemon.fetch("open", "secret")
    print(daemon.wait_end())
print(type(errors[0]).__name__, errors[0])
"""


def test_unreadable_file_is_an_error_that_names_it(public_path: Path) -> None:
    import subprocess

    plant(public_path, open=b"1", secret=b"2")
    (public_path / "secret").chmod(0)

    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE, str(public_path)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )

    said = f'cannot read "{public_path}/secret": permission denied'
    assert done.stdout.splitlines() == [said, f"ContextError {said}"]


def test_listing_remembers_what_stands_under_a_number() -> None:
    listing = Listing()
    for path, mode, readable in [
        (b"a", 0o644, True),
        (b"d", 0x80000000, True),
        (b"sock", 0o644, False),
        (b"d/z", 0o600, True),
    ]:
        listing.add(Entry(path, mode, 0, 0, readable=readable))

    assert [listing.path(number) for number in range(len(listing))] == [b"a", b"", b"", b"d/z"]
    listing.take(2)
    with pytest.raises(TransferError, match="invalid file id 1"):
        listing.take(1)
    with pytest.raises(TransferError, match="invalid file id 2"):
        listing.take(2)
