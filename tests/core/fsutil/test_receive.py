from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.fsutil.daemon import Daemon, receiving
from dockyard.errors import DockyardError, OutputError, TransferError
from dockyard.wire.packet import (
    END_PACKET,
    FIN_PACKET,
    data_header,
    err_packet,
    req_packet,
    stat_packet,
)

DIR, LINK, PIPE = 0x80000000, 0x08000000, 0x02000000
NS = 1_600_000_000_123_456_789


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() <= before  # others' may be closed meanwhile


def directory(path: str, mode: int = 0o755, mtime_ns: int = NS) -> bytes:
    return stat_packet(path.encode(), DIR | mode, 0, mtime_ns)


def file(path: str, mode: int = 0o644, size: int = 0, mtime_ns: int = NS) -> bytes:
    return stat_packet(path.encode(), mode, size, mtime_ns)


def link(path: str, target: str) -> bytes:
    return stat_packet(path.encode(), LINK | 0o777, len(target), NS, target.encode())


def hard_link(path: str, target: str) -> bytes:
    return stat_packet(path.encode(), 0o644, 0, NS, target.encode())


def data(number: int, content: bytes) -> bytes:
    return data_header(number, len(content)) + content


def eof(number: int) -> bytes:
    return data_header(number, 0)


def deliver(
    dest: Path,
    listing: list[bytes],
    contents: dict[int, bytes] | None = None,
    *,
    mirror: bool = False,
) -> None:
    """Be a good daemon, and be sure that all went well."""
    outcome: list[BaseException | None] = []
    with receiving(dest, outcome, mirror=mirror) as daemon:
        daemon.say(*listing, END_PACKET)
        for number, content in (contents or {}).items():
            daemon.wait(lambda number=number: number in daemon.requested)  # type: ignore[misc]
            daemon.say(*([data(number, content)] if content else []), eof(number))
        daemon.wait(lambda: daemon.got_fin)
        daemon.say(FIN_PACKET)
        message = daemon.wait_end()
    assert (message, outcome) == ("", [None])


def refused(dest: Path, *messages: bytes) -> DockyardError:
    """Send messages of which one must be refused; give the error."""
    outcome: list[BaseException | None] = []
    with receiving(dest, outcome) as daemon:
        daemon.say(*messages)
        message = daemon.wait_end()
    (error,) = outcome
    assert isinstance(error, DockyardError)
    assert message == str(error) == daemon.error_text
    return error


def tree(root: Path) -> list[str]:
    return sorted(str(place.relative_to(root)) for place in root.rglob("*"))


# --- what a good daemon sends ---------------------------------------------------------------


def test_files_arrive_with_modes_and_times(tmp_path: Path) -> None:
    dest = tmp_path / "new/dest"

    deliver(
        dest,
        [
            directory("d", 0o750, 5),
            file("d/f", 0o640),
            file("d/run", 0x00800000 | 0o755, mtime_ns=-7),
        ],
        {1: b"hello", 2: b""},
    )

    assert tree(dest) == ["d", "d/f", "d/run"]
    assert (dest / "d/f").read_bytes() == b"hello"
    found = {name: (dest / name).stat() for name in ("d", "d/f", "d/run")}
    assert {name: stat.S_IMODE(s.st_mode) for name, s in found.items()} == {
        "d": 0o750,
        "d/f": 0o640,
        "d/run": 0o4755,
    }
    assert {name: s.st_mtime_ns for name, s in found.items()} == {"d": 5, "d/f": NS, "d/run": -7}


def test_new_destination_is_private(tmp_path: Path) -> None:
    deliver(tmp_path / "dest", [])

    assert stat.S_IMODE((tmp_path / "dest").stat().st_mode) == 0o700


def test_existing_destination_keeps_its_own_attributes(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (tmp_path / "kept").write_text("kept")

    deliver(tmp_path, [file("a")], {0: b"1"})

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
    assert tree(tmp_path) == ["a", "kept"]


def test_owner_is_the_one_who_builds(tmp_path: Path) -> None:
    entry = stat_packet(b"a", 0o644, 0, NS, uid=4321, gid=8765)

    deliver(tmp_path, [entry], {0: b""})

    status = (tmp_path / "a").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())


def test_links_and_pipes_arrive(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        [
            file("a"),
            hard_link("b", "a"),
            directory("d"),
            hard_link("d/c", "a"),
            link("l", "/etc/../anywhere"),
            stat_packet(b"pipe", PIPE | 0o622, 0, NS),
        ],
        {0: b"shared"},
    )

    assert (tmp_path / "b").read_bytes() == b"shared"
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino
    assert (tmp_path / "a").stat().st_nlink == 3
    assert str((tmp_path / "l").readlink()) == "/etc/../anywhere"
    assert (tmp_path / "l").lstat().st_mtime_ns == NS
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "pipe").stat().st_mode) == 0o622


def test_devices_arrive_where_that_is_allowed(tmp_path: Path) -> None:
    null = stat_packet(b"null", 0x04200000 | 0o666, 0, NS, b"", 1, 3)
    if os.getuid() == 0:
        deliver(tmp_path, [null])
        status = (tmp_path / "null").stat()
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == os.makedev(1, 3)
    else:
        assert isinstance(refused(tmp_path, null), OutputError)


def test_extended_attributes_are_set_where_that_is_possible(tmp_path: Path) -> None:
    xattrs = {b"user.color": b"\0blue", b"nonsense": b"x"}

    deliver(tmp_path, [stat_packet(b"a", 0o644, 0, NS, xattrs=xattrs)], {0: b""})

    try:
        assert os.getxattr(tmp_path / "a", "user.color") == b"\0blue"
    except OSError as exc:
        pytest.skip(f"this file system has no extended attributes: {exc}")


def test_pieces_of_several_files_may_alternate(tmp_path: Path) -> None:
    outcome: list[BaseException | None] = []
    with receiving(tmp_path, outcome) as daemon:
        daemon.say(file("a"), file("b"), END_PACKET)
        daemon.wait(lambda: daemon.requested == [0, 1])
        daemon.say(data(0, b"a1"), data(1, b"b1"), data(0, b"a2"), eof(0), data(1, b"b2"), eof(1))
        daemon.wait(lambda: daemon.got_fin)
        daemon.say(FIN_PACKET)
        assert daemon.wait_end() == ""

    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"a1a2", b"b1b2"]


def test_requests_are_bounded_until_files_are_complete(tmp_path: Path) -> None:
    count = 300
    outcome: list[BaseException | None] = []
    with receiving(tmp_path, outcome) as daemon:
        daemon.say(*(file(f"f{n:03}") for n in range(count)), END_PACKET)
        daemon.wait(lambda: len(daemon.requested) == 64)
        for number in range(count):
            daemon.wait(lambda number=number: number in daemon.requested)  # type: ignore[misc]
            assert len(daemon.requested) <= number + 64
            daemon.say(data(number, b"%d" % number), eof(number))
        daemon.wait(lambda: daemon.got_fin)
        daemon.say(FIN_PACKET)
        assert daemon.wait_end() == ""

    assert daemon.requested == list(range(count))
    assert [(tmp_path / f"f{n:03}").read_bytes() for n in (0, 299)] == [b"0", b"299"]


def test_directory_that_is_not_writable_is_filled_first(tmp_path: Path) -> None:
    deliver(
        tmp_path, [directory("d", 0o555), directory("d/e", 0o500), file("d/e/f", 0o400)], {2: b"1"}
    )

    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o555
    assert stat.S_IMODE((tmp_path / "d/e").stat().st_mode) == 0o500
    assert (tmp_path / "d").stat().st_mtime_ns == NS
    for name in ("d", "d/e"):
        (tmp_path / name).chmod(0o755)


# In a process that is not root, for which every directory is writable.
INTO_CLOSED = """
import os, sys
from pathlib import Path
from core.fsutil.test_receive import deliver, directory, file
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
dest = Path(sys.argv[1]) / "dest"
(dest / "d").mkdir(parents=True)
(dest / "d").chmod(0o555)
listing = [directory("d", 0o555), file("d/f"), directory("e", 0o500), file("e/f")]
deliver(dest, listing, {1: b"1", 3: b"2"})
print((dest / "d/f").read_text(), (dest / "e/f").read_text(), oct((dest / "d").stat().st_mode))
(dest / "d").chmod(0o700)
(dest / "e").chmod(0o700)
"""


def test_existing_directory_that_is_not_writable_is_filled_too(public_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTO_CLOSED, str(public_path)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )

    assert (done.stdout, done.stderr) == ("1 2 0o40555\n", "")


def test_what_was_there_is_replaced_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("outside")
    dest = tmp_path / "dest"
    (dest / "dir-to-file/x").mkdir(parents=True)
    (dest / "dir-to-link/x").mkdir(parents=True)
    (dest / "file-to-dir").write_text("old")
    (dest / "file").write_text("old")
    (dest / "keep").mkdir()
    (dest / "keep/old").write_text("old")
    (dest / "link-to-dir").symlink_to("../outside")
    (dest / "link-to-file").symlink_to("../outside")

    deliver(
        dest,
        [
            file("dir-to-file"),
            link("dir-to-link", "x"),
            file("file"),
            directory("file-to-dir"),
            file("file-to-dir/new"),
            directory("keep", 0o700),
            directory("link-to-dir"),
            file("link-to-dir/new"),
            file("link-to-file"),
        ],
        {0: b"0", 2: b"2", 4: b"4", 7: b"7", 8: b"8"},
    )

    assert tree(dest) == sorted(
        [
            "dir-to-file",
            "dir-to-link",
            "file",
            "file-to-dir",
            "file-to-dir/new",
            "keep",
            "keep/old",
            "link-to-dir",
            "link-to-dir/new",
            "link-to-file",
        ]
    )
    assert (tmp_path / "outside").read_text() == "outside"
    assert not (dest / "link-to-file").is_symlink()
    assert (dest / "keep").stat().st_mtime_ns == NS


def test_file_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "dest").mkdir()
    os.link(tmp_path / "elsewhere", tmp_path / "dest/a")

    deliver(tmp_path / "dest", [file("a", 0o600)], {0: b"new"})

    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert (tmp_path / "dest/a").read_text() == "new"


def test_second_delivery_of_the_same_tree_changes_nothing(tmp_path: Path) -> None:
    listing = [file("a"), hard_link("b", "a"), directory("d"), link("d/l", "../a")]
    deliver(tmp_path, listing, {0: b"1"})

    deliver(tmp_path, listing, {0: b"1"})

    assert tree(tmp_path) == ["a", "b", "d", "d/l"]
    assert (tmp_path / "a").stat().st_nlink == 2


def test_several_receivers_fill_one_destination(tmp_path: Path) -> None:
    outcome: list[BaseException | None] = []

    def begin(daemon: Daemon, platform: str) -> None:
        daemon.say(directory(platform), file(f"{platform}/app"), END_PACKET)
        daemon.wait(lambda: daemon.requested == [1])

    def end(daemon: Daemon, platform: str) -> None:
        daemon.say(data(1, platform.encode()), eof(1))
        daemon.wait(lambda: daemon.got_fin)
        daemon.say(FIN_PACKET)
        assert daemon.wait_end() == ""

    with receiving(tmp_path, outcome) as one, receiving(tmp_path, outcome) as other:
        begin(one, "linux_amd64")
        begin(other, "linux_arm64")
        end(one, "linux_amd64")
        end(other, "linux_arm64")

    assert outcome == [None, None]
    assert tree(tmp_path) == ["linux_amd64", "linux_amd64/app", "linux_arm64", "linux_arm64/app"]


def test_name_that_is_not_utf_8_is_written_as_it_is(tmp_path: Path) -> None:
    deliver(tmp_path, [stat_packet(b"caf\xe9", 0o644, 0, NS)], {0: b"1"})

    assert os.listdir(bytes(tmp_path)) == [b"caf\xe9"]  # noqa: PTH208


# --- hostile daemons ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["../evil", "/tmp/evil", "d/../../evil", "..", ".", "", "d//x", "d/", "./x", "a\0b"]
)
def test_path_outside_is_refused_and_nothing_is_written(tmp_path: Path, path: str) -> None:
    dest = tmp_path / "dest"

    for kind in (file(path), directory(path), link(path, "x"), hard_link(path, "a")):
        error = refused(dest, file("a"), directory("d"), kind)

        assert isinstance(error, TransferError)
        assert "not allowed" in str(error)
    assert tree(tmp_path) == ["dest", "dest/d"]


def test_own_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    dest = tmp_path / "dest"

    error = refused(dest, link("d", "../outside"), file("d/evil"))

    assert "without the directory" in str(error)
    assert tree(tmp_path / "outside") == []


@pytest.mark.parametrize("entry", [file("d/evil"), link("d/evil", "x"), directory("d/evil")])
def test_link_in_the_destination_is_replaced_or_refused_but_never_followed(
    tmp_path: Path, entry: bytes
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest/d").symlink_to("../outside")

    refused(tmp_path / "dest", directory("d"), entry, b"\x08\x07")

    assert tree(tmp_path / "outside") == []
    assert not (tmp_path / "dest/d").is_symlink()


def test_directory_swapped_for_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    dest = tmp_path / "dest"
    outcome: list[BaseException | None] = []

    with receiving(dest, outcome) as daemon:
        daemon.say(directory("d"), file("d/a"), directory("e"), file("e/b"), END_PACKET)
        daemon.wait(lambda: daemon.requested == [1, 3])
        (dest / "d").rmdir()
        (dest / "d").symlink_to("../outside")
        daemon.say(data(1, b"evil"), eof(1))
        message = daemon.wait_end()

    assert message == f'cannot write "{dest}/d/a": not a directory'
    assert tree(tmp_path / "outside") == []


@pytest.mark.parametrize(
    ("target", "before"),
    [
        ("../outside", []),
        ("/etc/passwd", []),
        ("there", []),
        ("missing", []),
        ("l", [link("l", "../outside")]),
        ("d", [directory("d")]),
        ("b", [file("a"), hard_link("b", "a")]),
        ("z", []),
    ],
)
def test_hard_link_to_what_was_not_sent_is_refused(
    tmp_path: Path, target: str, before: list[bytes]
) -> None:
    (tmp_path / "outside").write_text("secret")
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "there").symlink_to("../outside")

    error = refused(dest, *before, hard_link("z", target))

    assert "no file that it sent before" in str(error)
    assert not (dest / "z").exists()


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([file("b"), file("a")], 'changes out of order: "a" "b"'),
        ([data(0, b"x")], "nobody asked for: file id 0"),
        ([eof(7)], "nobody asked for: file id 7"),
        ([directory("d"), data(0, b"x")], "nobody asked for: file id 0"),
        ([END_PACKET, END_PACKET], "ended its listing twice"),
        ([END_PACKET, file("a")], "a listing that it had ended"),
        ([file("a"), FIN_PACKET], "before it was complete"),
        ([req_packet(0)], "a packet of type 1"),
        ([b"\x12\x7f"], "a malformed packet"),
        ([err_packet("no space")], "error from sender: no space"),
        ([link("l", "")], "without target"),
        ([link("l", "a\0b")], "without target"),
        ([stat_packet(b"s", 0x01000000, 0, 0)], "cannot be created"),
        ([stat_packet(b"s", 0x00080000, 0, 0)], "cannot be created"),
        ([stat_packet(b"s", 0x04000000, 0, 0, b"", 1 << 40, 0)], "out of range"),
    ],
)
def test_broken_rule_ends_the_transfer(tmp_path: Path, messages: list[bytes], said: str) -> None:
    error = refused(tmp_path, *messages)

    assert isinstance(error, TransferError)
    assert said in str(error)
    assert tree(tmp_path) in ([], ["d"])


def test_data_after_the_end_of_a_file_is_refused(tmp_path: Path) -> None:
    outcome: list[BaseException | None] = []
    with receiving(tmp_path, outcome) as daemon:
        daemon.say(file("a"), file("b"))
        daemon.wait(lambda: daemon.requested == [0, 1])
        daemon.say(data(0, b"x"), eof(0), data(0, b"y"))
        assert "nobody asked for" in daemon.wait_end()
    assert tree(tmp_path) == ["a"]


@pytest.mark.parametrize("how", ["half_close", "cancel"])
def test_daemon_that_leaves_early_leaves_no_half_file(tmp_path: Path, how: str) -> None:
    outcome: list[BaseException | None] = []
    with receiving(tmp_path, outcome) as daemon:
        daemon.say(file("a"), file("b"))
        daemon.wait(lambda: daemon.requested == [0, 1])
        daemon.say(data(0, b"x" * 1000), data(1, b"y"), eof(1))
        daemon.wait(lambda: (tmp_path / "b").exists())
        if how == "half_close":
            daemon.call.half_close()
            daemon.wait_end()
        else:
            daemon.call.cancel()

    assert isinstance(outcome[0], TransferError)
    assert tree(tmp_path) == ["b"]


# --- what the system refuses ----------------------------------------------------------------


def test_destination_that_is_a_file_ends_in_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "dest").write_text("mine")

    error = refused(tmp_path / "dest")

    assert isinstance(error, OutputError)
    assert str(error) == f'cannot write "{tmp_path}/dest": file exists'
    assert (tmp_path / "dest").read_text() == "mine"


def test_name_that_is_too_long_ends_in_one_clear_line(tmp_path: Path) -> None:
    error = refused(tmp_path, directory("d" * 300))

    assert str(error).endswith('dd": file name too long')


def test_link_that_cannot_be_completed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "chown", refuse)

    error = refused(tmp_path, link("l", "x"))

    assert str(error) == f'cannot write "{tmp_path}/l": operation not permitted'
    assert tree(tmp_path) == []


def fill(dest: Path, size: int) -> tuple[str, list[BaseException | None]]:
    """Send a small file and one that does not fit; give what is said."""
    outcome: list[BaseException | None] = []
    with receiving(dest, outcome) as daemon:
        daemon.say(file("a"), directory("d"), file("d/big"), END_PACKET)
        daemon.wait(lambda: daemon.requested == [0, 2])
        daemon.say(data(0, b"1"), eof(0))
        for _ in range(size >> 16):
            daemon.say(data(2, bytes(1 << 16)))
        message = daemon.wait_end()
    return message, outcome


def test_file_that_the_system_does_not_take_is_named_and_removed(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk where none can be made.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        message, outcome = fill(tmp_path, 2 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert message == f'cannot write "{tmp_path}/d/big": file too large'
    assert isinstance(outcome[0], OutputError)
    assert tree(tmp_path) == ["a", "d"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system needs a privilege")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_ends_in_one_clear_line_and_no_half_file(small_disk: Path) -> None:
    message, outcome = fill(small_disk, 2 << 20)

    assert message == f'cannot write "{small_disk}/d/big": no space left on device'
    assert isinstance(outcome[0], OutputError)
    assert tree(small_disk) == ["a", "d"]


# --- when nothing else may stay --------------------------------------------------------------


def clutter(dest: Path, outside: Path) -> None:
    """Fill a directory with what the daemon does not send."""
    (dest / "d/sub").mkdir(parents=True)
    (dest / "d/sub/old").write_text("old")
    (dest / "d/f").write_text("old")
    (dest / "d/x").write_text("old")
    (dest / "e").mkdir()
    (dest / "e/deep").mkdir(mode=0o700)
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (dest / "link").symlink_to(outside)
    (dest / "d/dangling").symlink_to("nowhere")
    os.mkfifo(dest / "pipe")


def test_a_mirror_removes_what_was_not_sent(tmp_path: Path) -> None:
    dest, outside = tmp_path / "dest", tmp_path / "outside"
    clutter(dest, outside)

    deliver(
        dest,
        [directory("d", mtime_ns=5), file("d/f"), link("l", "d"), file("z")],
        {1: b"new", 3: b""},
        mirror=True,
    )

    assert tree(dest) == ["d", "d/f", "l", "z"]
    assert (dest / "d/f").read_bytes() == b"new"
    assert (dest / "d").stat().st_mtime_ns == 5
    assert (outside / "kept").read_text() == "kept"


def test_a_mirror_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    clutter(dest, tmp_path / "outside")

    deliver(dest, [], mirror=True)

    assert tree(dest) == []
    assert tree(tmp_path / "outside") == ["kept"]


def test_a_mirror_is_not_led_elsewhere_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside/dest").mkdir(parents=True)
    (tmp_path / "outside/dest/kept").touch()
    (tmp_path / "link").symlink_to("outside")
    outcome: list[BaseException | None] = []

    with receiving(tmp_path / "link/dest", outcome, mirror=True) as daemon:
        message = daemon.wait_end()

    assert message.endswith('link/dest" is reached through a symbolic link')
    assert isinstance(outcome[0], OutputError)
    assert tree(tmp_path / "outside") == ["dest", "dest/kept"]


def test_a_mirror_removes_nothing_before_all_is_there(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    clutter(dest, tmp_path / "outside")
    before = tree(dest)
    outcome: list[BaseException | None] = []

    with receiving(dest, outcome, mirror=True) as daemon:
        daemon.say(file("new"), END_PACKET)
        daemon.wait(lambda: bool(daemon.requested))
        daemon.say(err_packet("the disk broke"))
        daemon.wait_end()

    assert tree(dest) == before
    assert isinstance(outcome[0], TransferError)


def test_without_a_mirror_everything_stays(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    clutter(dest, tmp_path / "outside")

    deliver(dest, [file("z")], {0: b""})

    assert "d/sub/old" in tree(dest)


@pytest.mark.parametrize("how", ["cancel", "leave"])
def test_a_daemon_that_is_done_before_its_fin_gets_here_has_sent_all(
    tmp_path: Path, how: str
) -> None:
    outcome: list[BaseException | None] = []
    with receiving(tmp_path, outcome) as daemon:
        daemon.say(file("a"), END_PACKET)
        daemon.wait(lambda: daemon.requested == [0])
        daemon.say(data(0, b"x"), eof(0))
        daemon.wait(lambda: daemon.got_fin)
        if how == "cancel":
            daemon.call.cancel()
            daemon.wait(lambda: bool(outcome))

    assert outcome == [None]
    assert (tmp_path / "a").read_bytes() == b"x"
