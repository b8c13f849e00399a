from __future__ import annotations

import socket
import threading

import grpc
import pytest

from dockyard.buildkit.client import Client, build_error
from dockyard.driver import Connection, GCPolicy, Worker
from dockyard.engine.stream import SocketStream
from dockyard.errors import (
    CapabilityError,
    ConnectionLostError,
    DaemonError,
    FrontendError,
    ProtocolError,
)
from dockyard.platforms import Platform
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code
from support.scripted_buildkit import Refusal, ScriptedBuildKit, Values

WORKER: Values = {
    "ID": "w1",
    "Labels": {"org.mobyproject.buildkit.worker.snapshotter": "overlayfs"},
    "platforms": [
        {"OS": "linux", "Architecture": "amd64"},
        {"OS": "linux", "Architecture": "arm", "Variant": "v7"},
        {
            "OS": "windows",
            "Architecture": "amd64",
            "OSVersion": "10.0",
            "OSFeatures": ["win32k"],
        },
    ],
    "GCPolicy": [
        {"all": True, "keepDuration": 3600_000000000, "filters": ["type==x"], "reservedSpace": 5},
        {"maxUsedSpace": 7, "minFreeSpace": 9},
    ],
}


def test_workers_are_listed_with_their_labels_platforms_and_policies(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.workers = lambda: [WORKER]

    assert client.workers() == (
        Worker(
            id="w1",
            labels={"org.mobyproject.buildkit.worker.snapshotter": "overlayfs"},
            platforms=(
                Platform("linux", "amd64"),
                Platform("linux", "arm", "v7"),
                Platform("windows", "amd64", os_version="10.0", os_features=("win32k",)),
            ),
            gc_policies=(
                GCPolicy(
                    all=True,
                    filters=("type==x",),
                    keep_duration=3600_000000000,
                    reserved_space=5,
                ),
                GCPolicy(max_used_space=7, min_free_space=9),
            ),
        ),
    )


def test_a_daemon_that_tells_its_workers_version_keeps_records(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.workers = lambda: [{**WORKER, "BuildkitVersion": {}}]

    assert client.keeps_records


def test_an_older_daemon_does_not(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.workers = lambda: [WORKER]

    assert not client.keeps_records


def test_workers_are_asked_for_once(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.workers = lambda: [WORKER]

    assert client.workers() is client.workers()
    assert [method for method, _ in daemon.requests] == ["ListWorkers"]


def test_the_version_is_what_info_says(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.info = lambda: {"buildkitVersion": {"package": "p", "version": "v0.13.2"}}

    assert client.version() == "v0.13.2"


def test_a_daemon_without_info_has_no_version(client: Client) -> None:
    assert client.version() is None


def test_another_refusal_is_an_error_with_gos_name_of_its_code(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def refuse() -> Values:
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "not for you")

    daemon.info = refuse

    with pytest.raises(DaemonError, match="^PermissionDenied: not for you$") as caught:
        client.version()
    assert caught.value.code == "PermissionDenied"


def test_a_daemon_that_does_not_answer_is_waited_for_only_so_long(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    release = threading.Event()

    def hang() -> Values:
        release.wait(10)
        return {}

    daemon.info = hang
    try:
        with pytest.raises(DaemonError) as caught:
            client.version(timeout=0.1)
    finally:
        release.set()
    assert caught.value.code == "DeadlineExceeded"


def test_a_connection_that_is_cut_is_lost(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.cut()

    with pytest.raises(ConnectionLostError, match="lost the connection to BuildKit"):
        client.workers(timeout=5)


def test_a_helpers_last_words_are_part_of_the_message() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    connection = Connection(
        stream=SocketStream(ours), diagnostics=lambda: "ssh: host key verification failed\n"
    )
    client = Client(connection)

    with pytest.raises(ConnectionLostError, match=r"\(ssh: host key verification failed\)$"):
        client.workers(timeout=5)
    client.close()


def test_diagnostics_that_fail_hide_nothing() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()

    def fail() -> str:
        raise RuntimeError("oops")

    client = Client(Connection(stream=SocketStream(ours), diagnostics=fail))

    with pytest.raises(ConnectionLostError, match=r"driver cannot say more: RuntimeError\('oops'"):
        client.workers(timeout=5)
    client.close()


def test_a_peer_that_speaks_something_else_is_a_protocol_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    client = Client(Connection(stream=SocketStream(ours)))

    with pytest.raises(ProtocolError):
        client.workers(timeout=5)
    client.close()
    theirs.close()


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (Code.UNKNOWN, "boom", "boom"),
        (Code.OK, "boom", "boom"),
        (Code.UNKNOWN, "", "the daemon gave no reason"),
        (Code.NOT_FOUND, "no such thing", "NotFound: no such thing"),
        (Code.CANCELLED, "context canceled", "Canceled: context canceled"),
        (Code.INTERNAL, "", "Internal"),
    ],
)
def test_messages_begin_with_the_codes_name_unless_it_is_unknown(
    code: Code, message: str, expected: str
) -> None:
    assert str(build_error(CallError(code, message))) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INTERNAL, 100),
        (Code.RESOURCE_EXHAUSTED, 102),
        (Code.CANCELLED, 130),
        (Code.UNKNOWN, 1),
    ],
)
def test_exit_codes_follow_the_status(code: Code, status: int) -> None:
    assert build_error(CallError(code, "x")).exit_code == status


@pytest.mark.parametrize(
    ("message", "exit_code"),
    [
        ("executor failed running [/bin/sh -c false]: exit code: 1", 1),
        ('process "/bin/sh -c x" did not complete successfully: exit code: 127', 127),
        ("exit code: many", None),
        ("no such file", None),
    ],
)
def test_an_old_engines_text_tells_the_exit_code(message: str, exit_code: int | None) -> None:
    assert build_error(CallError(Code.UNKNOWN, message)).step_exit_code == exit_code


@pytest.mark.parametrize("code", [Code.UNIMPLEMENTED, Code.UNKNOWN])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("contexts", "current frontend does not support --build-context. Named contexts are"),
        ("gitquerystring", "current frontend does not support Git URLs with query string"),
    ],
)
def test_a_frontend_that_is_too_old_is_said_in_words(code: Code, name: str, words: str) -> None:
    text = f"failed to solve with x: unsupported frontend capability moby.buildkit.frontend.{name}"

    error = build_error(CallError(code, text))

    assert isinstance(error, CapabilityError)
    assert str(error).startswith(words)


def test_another_missing_capability_is_said_as_the_daemon_says_it() -> None:
    text = "unsupported frontend capability moby.buildkit.frontend.other"

    error = build_error(CallError(Code.UNIMPLEMENTED, text))

    assert isinstance(error, FrontendError)
    assert not isinstance(error, CapabilityError)
    assert str(error) == f"Unimplemented: {text}"
