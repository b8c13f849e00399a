"""A daemon that asks for what it was not given, or sends what nobody asked for, gets nowhere."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from support.cli import Cli
from support.hostile_buildkit import (
    DATA,
    DIRECTORY,
    FIN,
    LINK,
    REQ,
    STAT,
    Attack,
    HostileBuildKit,
    Transfer,
    Victim,
)
from support.stand import stand_cli

SECRET = b"nobody's business"
SECONDS = 15
"""Within what an attack has to be over; mostly that is at once."""

Start = Callable[..., HostileBuildKit]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def hostile(cli: Cli) -> Iterator[Start]:
    """Start a daemon that attacks, and make it the selected builder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hb")))

        def start(attack: Attack, **options: bool) -> HostileBuildKit:
            daemon = stack.enter_context(HostileBuildKit(folder, attack, **options))
            cli.ok("create", "--name", "hostile", "--use", f"stand://{daemon.address}")
            return daemon

        yield start


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context beside a file that is not in it, with a way out that only looks like one."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "notes").write_text("text")
    (folder / "sub" / "secret").write_text("this one is in it")
    (folder / "way").symlink_to("../outside")
    return folder


def fails(cli: Cli, *arguments: str | Path) -> str:
    """Run a build that has to fail, and give its one line."""
    started = time.monotonic()
    done = cli.run("build", *arguments)

    assert done.code == 1, (done.code, done.err)
    assert "Traceback" not in done.err, done.err
    assert time.monotonic() - started < SECONDS
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("ERROR: failed to build: "), done.err
    return last


def take_all(transfer: Transfer) -> None:
    """Take the list of files, then ask for everything in it, and take that."""
    transfer.hear(lambda: transfer.listed)
    files = [
        number
        for number, stat in enumerate(transfer.stats.values())
        if not stat.get("mode", 0) & (LINK | DIRECTORY)
    ]
    for number in files:
        transfer.say(type=REQ, ID=number)
    transfer.say(type=FIN)
    transfer.hear()


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "..", "/", "/etc", "context/..", "../outside", "Context", "context%2F.."]
)
def test_a_directory_that_was_not_offered(
    cli: Cli, hostile: Start, context: Path, name: str
) -> None:
    daemon = hostile(lambda victim: victim.transfer("FileSync", dir_name=name).hear())

    line = fails(cli, context)

    assert "no access allowed to dir" in line
    assert [refusal.code() for refusal in daemon.refusals] == [grpc.StatusCode.NOT_FOUND]


@pytest.mark.parametrize(
    "metadata",
    [
        {"followpaths": ["../outside/secret"]},
        {"followpaths": ["/../../outside/secret", "a/../../outside/secret"]},
        {"followpaths": ["way/secret"]},
        {"include-patterns": ["../**", "../outside/**"]},
        {"include-patterns": ["way/**"]},
        {"exclude-patterns": ["!../outside/secret", "!way/secret"]},
    ],
    ids=lambda metadata: " ".join(f"{key} {value[0]}" for key, value in metadata.items()),
)
def test_paths_outside_a_context_are_not_in_it(
    cli: Cli, hostile: Start, context: Path, metadata: dict[str, list[str]]
) -> None:
    taken: list[Transfer] = []

    def attack(victim: Victim) -> None:
        taken.append(victim.transfer("FileSync", dir_name="context", **metadata))
        take_all(taken[0])

    daemon = hostile(attack)

    cli.run("build", context)

    assert not daemon.failures
    inside = {"Dockerfile", "notes", "sub", "sub/secret", "way"}
    assert set(taken[0].stats) <= inside
    assert SECRET not in taken[0].data.values()
    assert taken[0].listed or daemon.refusals


@pytest.mark.parametrize("number", [1, 2, 4, 5, 1000, 2**32 - 1])
def test_the_content_of_what_is_no_file_of_the_list(
    cli: Cli, hostile: Start, context: Path, number: int
) -> None:
    """A number of the list's end and beyond, of a directory (2) and of a link (4)."""
    taken: list[Transfer] = []

    def attack(victim: Victim) -> None:
        transfer = victim.transfer("FileSync", dir_name="context")
        taken.append(transfer)
        transfer.hear(lambda: transfer.listed)
        transfer.say(type=REQ, ID=number)
        transfer.say(type=FIN)
        transfer.hear()

    hostile(attack)

    done = cli.run("build", context)

    assert list(taken[0].stats) == ["Dockerfile", "notes", "sub", "sub/secret", "way"]
    if number == 1:  # an honest one, so that this test can fail
        assert taken[0].data == {1: b"text"}
        return
    assert not taken[0].data.get(number)
    assert done.code == 1
    assert done.err.count("ERROR: failed to build: ") == 1


@pytest.mark.parametrize("swapped", ["sub", "sub/secret"])
def test_a_link_that_takes_the_place_of_what_was_listed(
    cli: Cli, hostile: Start, context: Path, swapped: str
) -> None:
    taken: list[Transfer] = []

    def attack(victim: Victim) -> None:
        transfer = victim.transfer("FileSync", dir_name="context")
        taken.append(transfer)
        transfer.hear(lambda: transfer.listed)
        target = "../outside" if swapped == "sub" else "../../outside/secret"
        (context / swapped).rename(context.parent / "moved")
        (context / swapped).symlink_to(target)
        transfer.say(type=REQ, ID=3)
        transfer.say(type=FIN)
        transfer.hear()

    daemon = hostile(attack)

    line = fails(cli, context)

    assert (context / "sub" / "secret").read_bytes() == SECRET  # the way is open to others
    assert not daemon.failures
    assert SECRET not in taken[0].data.values()
    assert "sub/secret" in line


def test_secrets_and_uploads_that_were_not_offered(cli: Cli, hostile: Start, context: Path) -> None:
    codes: list[object] = []

    def attack(victim: Victim) -> None:
        for method, request in (
            (
                "/moby.buildkit.secrets.v1.Secrets/GetSecret",
                ("moby.buildkit.secrets.v1.GetSecretRequest", {"ID": "/etc/passwd"}),
            ),
            ("/moby.filesync.v1.FileSync/TarStream", ("fsutil.types.Packet", {})),
            ("/moby.upload.v1.Upload/Pull", ("moby.upload.v1.BytesMessage", {})),
            ("/moby.buildkit.v1.Control/Solve", ("fsutil.types.Packet", {})),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                victim.ask(method, request)
            codes.append(caught.value.code())
        victim.transfer("FileSend").hear()  # this build has no output to send to

    daemon = hostile(attack)

    fails(cli, context)

    assert not daemon.failures
    unknown = grpc.StatusCode.UNIMPLEMENTED
    assert codes == [grpc.StatusCode.NOT_FOUND, unknown, unknown, unknown]
    assert [refusal.code() for refusal in daemon.refusals] == [unknown]


# --- writing -----------------------------------------------------------------------------------


def send(*entries: tuple[str, dict[str, object]], data: bytes = b"owned") -> Attack:
    """Send a tree; whatever is asked for has the same content."""

    def attack(victim: Victim) -> None:
        transfer = victim.transfer("FileSend")
        for path, stat in entries:
            transfer.entry(path, **{"size": len(data), **stat})  # type: ignore[arg-type]
        transfer.say(type=STAT)
        answered = 0

        def answer() -> bool:
            nonlocal answered
            for number in transfer.requested[answered:]:
                transfer.say(type=DATA, ID=number, data=data)
                transfer.say(type=DATA, ID=number)
            answered = len(transfer.requested)
            return transfer.finished

        transfer.hear(answer)
        transfer.say(type=FIN)
        transfer.hear()

    return attack


FILE: dict[str, object] = {"mode": 0o644}
TREE: dict[str, object] = {"mode": DIRECTORY | 0o755, "size": 0}


def link(target: Path | str) -> dict[str, object]:
    return {"mode": LINK | 0o777, "linkname": str(target), "size": 0}


def hard(target: Path | str) -> dict[str, object]:
    return {"mode": 0o644, "linkname": str(target), "size": 0}


HOSTILE_TREES: dict[str, Callable[[Path], Attack]] = {
    "parent": lambda _: send(("../evil", FILE)),
    "grandparent": lambda _: send(("a", TREE), ("a/../../evil", FILE)),
    "absolute": lambda victim: send((f"{victim}/evil", FILE)),
    "through a link": lambda victim: send(("way", link(victim)), ("way/evil", FILE)),
    "through a relative link": lambda _: send(("way", link("..")), ("way/evil", FILE)),
    "hard link out": lambda victim: send(("a", hard(victim / "outside" / "secret"))),
    "relative hard link out": lambda _: send(("a", hard("../outside/secret"))),
    "hard link through a link": lambda victim: send(
        ("a", link(victim / "outside")), ("b", hard("a/secret"))
    ),
    "the root itself": lambda _: send((".", FILE)),
    "no name": lambda _: send(("", {"mode": 0o644, "uid": 1})),
    "zero byte": lambda _: send(("evil\0", FILE)),
    "twice": lambda _: send(("a", FILE), ("a", FILE)),
    "out of order": lambda _: send(("b", FILE), ("a", FILE)),
    "below a file": lambda _: send(("a", FILE), ("a/evil", FILE)),
    "without its directory": lambda _: send(("a/b/evil", FILE)),
}


@pytest.mark.parametrize("admits", [True, False], ids=["admits", "claims success"])
@pytest.mark.parametrize("tree", HOSTILE_TREES)
def test_entries_that_lead_out_of_an_output(
    cli: Cli, hostile: Start, context: Path, tree: str, admits: bool
) -> None:
    top = context.parent
    daemon = hostile(HOSTILE_TREES[tree](top), admits=admits)
    before = {path for path in top.rglob("*") if not path.is_relative_to(cli.home)}

    line = fails(cli, "-o", "out", context)

    assert not daemon.failures, line
    assert "the daemon" in line or "out of order" in line
    after = {path for path in top.rglob("*") if not path.is_relative_to(cli.home)}
    assert after == before
    assert (top / "outside" / "secret").read_bytes() == SECRET
    assert (top / "outside" / "secret").stat().st_nlink == 1
    assert not list(top.rglob("evil*"))


def test_a_link_that_stood_in_the_output_before_is_not_followed(
    cli: Cli, hostile: Start, context: Path
) -> None:
    (cli.home / "out").mkdir()
    (cli.home / "out" / "way").symlink_to(context.parent / "outside")
    hostile(send(("way", TREE), ("way/evil", FILE)))

    cli.ok("build", "-o", "out", context)

    assert (cli.home / "out" / "way" / "evil").read_bytes() == b"owned"
    assert [path.name for path in (context.parent / "outside").iterdir()] == ["secret"]


def test_a_result_that_never_comes_is_no_success(cli: Cli, hostile: Start, context: Path) -> None:
    hostile(lambda _victim: None)

    line = fails(cli, "-o", "type=tar,dest=out.tar", context)

    assert "out.tar" in line
    assert not (cli.home / "out.tar").exists()


def test_an_archive_for_an_output_that_nobody_wants(
    cli: Cli, hostile: Start, context: Path
) -> None:
    def attack(victim: Victim) -> None:
        victim.transfer("FileSend", buildkit_attachable_exporter_id="7").hear()

    daemon = hostile(attack)

    line = fails(cli, "-o", "type=tar,dest=out.tar", context)

    assert "exporter 7 not found" in line
    assert len(daemon.refusals) == 1
    assert not (cli.home / "out.tar").exists()


# --- one that means no harm --------------------------------------------------------------------


def test_a_daemon_that_cannot_be_asked_during_a_build_builds_by_itself(
    cli: Cli, hostile: Start, context: Path
) -> None:
    daemon = hostile(lambda _victim: None, gateway=False)

    cli.ok("build", "--output", "type=cacheonly", context)

    led, alone = [request for name, request in daemon.requests if name == "Solve"]
    assert "Frontend" not in led
    assert alone["Frontend"] == "dockerfile.v0"
    assert alone["Ref"] != led["Ref"]


def test_a_call_needs_a_daemon_that_can_be_asked_during_a_build(
    cli: Cli, hostile: Start, context: Path
) -> None:
    hostile(lambda _victim: None, gateway=False)

    assert "Method not found" in fails(cli, "--check", context)
