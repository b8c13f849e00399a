from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from core.buildkit.clock import Clock
from dockyard.buildkit.client import Client
from dockyard.buildkit.request import Exporter, SolveRequest, new_id
from dockyard.buildkit.solve import Patience, solve
from dockyard.cancellation import Cancellation
from dockyard.driver import CacheEntry
from dockyard.errors import (
    BuildError,
    CanceledError,
    ConnectionLostError,
    DaemonError,
    InputError,
    ProtocolError,
)
from dockyard.events import StatusUpdate
from support.protos import protos
from support.scripted_buildkit import Refusal, ScriptedBuildKit, Values

START = {"seconds": 1763712000}
RUNNING: Values = {"digest": "sha256:a", "name": "[2/3] RUN make", "started": START}
DONE: Values = {"digest": "sha256:b", "name": "[1/3] FROM", "started": START, "completed": START}
QUICK = Patience(idle=0.15, unheard=0.15, grace=0.15)

Updates = list[StatusUpdate]
Script = Callable[[Values, threading.Event], Iterator[Values]]


def silent(_request: Values, _gone: threading.Event) -> Iterator[Values]:
    yield from ()


def say(*messages: Values) -> Script:
    def status(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        yield from messages

    return status


def say_and_hold(*messages: Values) -> Script:
    """Send the messages and leave the stream open."""

    def status(_request: Values, gone: threading.Event) -> Iterator[Values]:
        yield from messages
        gone.wait()

    return status


class HangingSolve:
    """A solve that never ends, and a status that speaks only when the solve has begun.

    A call that is canceled before it begins is never seen by the daemon's side.
    """

    def __init__(self) -> None:
        self._begun = threading.Event()

    def solve(self, _request: Values, gone: threading.Event) -> Values:
        self._begun.set()
        gone.wait()
        return {}

    def status(self, *messages: Values) -> Script:
        hold = say_and_hold(*messages)

        def status(request: Values, gone: threading.Event) -> Iterator[Values]:
            self._begun.wait(30)
            yield from hold(request, gone)

        return status


def answer_in_the_end(daemon: ScriptedBuildKit, answer: Callable[[], Values] = dict) -> None:
    """Let the build end only when its status has ended, which the client may not wait for."""

    def solve(_request: Values, _gone: threading.Event) -> Values:
        assert daemon.ended["Status"].wait(30)
        return answer()

    daemon.solve = solve


def run(client: Client, updates: Updates | None = None, **request: Any) -> dict[str, str]:  # noqa: ANN401
    on_update = (lambda _: None) if updates is None else updates.append
    wanted = SolveRequest(**{"ref": new_id(), **request})
    return solve(client, wanted, on_update, Cancellation(), patience=QUICK)


def fail(message: str, code: Any = grpc.StatusCode.UNKNOWN, details: bytes = b"") -> Any:  # noqa: ANN401
    def refuse(*_: object) -> Values:
        raise Refusal(code, message, details)

    return refuse


# --- builds that succeed -------------------------------------------------------------------


def test_a_build_gives_the_exporters_answer_and_its_progress(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    digest = "sha256:" + "0" * 64
    answer_in_the_end(
        daemon, lambda: {"ExporterResponse": {"containerimage.digest": digest, "empty": ""}}
    )
    daemon.status = say({"vertexes": [RUNNING]}, {"vertexes": [DONE]}, {"logs": [{"msg": b"x"}]})
    updates: Updates = []

    assert run(client, updates) == {"containerimage.digest": digest, "empty": ""}
    assert [vertex.name for update in updates for vertex in update.vertexes] == [
        "[2/3] RUN make",
        "[1/3] FROM",
    ]
    assert updates[-1].logs[0].data == b"x"


def test_the_request_says_everything_and_names_the_first_exporter_twice(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    answer_in_the_end(daemon)
    daemon.status = silent

    run(
        client,
        ref="r",
        session="s",
        attributes={"filename": "Dockerfile", "no-cache": ""},
        exporters=(Exporter(type="moby", attributes={"name": "a"}), Exporter(type="local")),
        cache_imports=(CacheEntry(type="registry", attributes={"ref": "x/y"}),),
        cache_exports=(CacheEntry(type="inline"),),
        entitlements=("network.host",),
        internal=True,
    )

    requests = dict(daemon.requests)
    assert requests["Status"] == {"Ref": "r"}
    assert requests["Solve"] == {
        "Ref": "r",
        "Session": "s",
        "Frontend": "dockerfile.v0",
        "FrontendAttrs": {
            "filename": "Dockerfile",
            "no-cache": "",
            "cache-imports": '[{"Type":"registry","Attrs":{"ref":"x/y"}}]',
        },
        "ExporterDeprecated": "moby",
        "ExporterAttrsDeprecated": {"name": "a"},
        "Exporters": [{"Type": "moby", "Attrs": {"name": "a"}}, {"Type": "local"}],
        "Cache": {
            "Imports": [{"Type": "registry", "Attrs": {"ref": "x/y"}}],
            "Exports": [{"Type": "inline"}],
        },
        "Entitlements": ["network.host"],
        "Internal": True,
    }


def test_a_plain_request_has_no_exporter_and_no_definition_but_a_cache(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.solve = lambda _request, _gone: {}
    daemon.status = silent

    run(client, ref="r")

    assert dict(daemon.requests)["Solve"] == {"Ref": "r", "Frontend": "dockerfile.v0", "Cache": {}}


def test_progress_that_comes_after_the_answer_is_not_lost(
    daemon: ScriptedBuildKit, client: Client, clock: Clock
) -> None:
    updates: Updates = []

    def late(_request: Values, gone: threading.Event) -> Iterator[Values]:
        daemon.ended["Solve"].wait(30)
        for told in range(3):  # each pause is shorter than the idle time, two are longer
            while len(updates) < told:
                assert not gone.wait(0.005)
            clock.advance(0.4)
            yield {"vertexes": [DONE]}

    daemon.solve = lambda _request, _gone: {}
    daemon.status = late
    patience = Patience(idle=0.5)

    solve(client, SolveRequest(ref=new_id()), updates.append, Cancellation(), patience=patience)

    assert len(updates) == 3


def test_a_status_stream_that_stays_open_is_left_when_it_is_silent(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def answer(_request: Values, _gone: threading.Event) -> Values:
        assert daemon.begun["Status"].wait(30)
        return {"ExporterResponse": {"a": "b"}}

    daemon.solve = answer
    daemon.status = say_and_hold({"vertexes": [DONE]})
    started = time.monotonic()

    assert run(client) == {"a": "b"}

    assert QUICK.idle <= time.monotonic() - started < 20
    assert daemon.canceled["Status"].wait(30)


def test_a_daemon_that_knows_no_status_of_the_build_does_not_matter(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def unknown(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        raise Refusal(grpc.StatusCode.NOT_FOUND, "no such job r")
        yield {}

    def answer(_request: Values, _gone: threading.Event) -> Values:
        daemon.ended["Status"].wait(30)
        return {"ExporterResponse": {"a": "b"}}

    daemon.status = unknown
    daemon.solve = answer

    assert run(client) == {"a": "b"}


def test_two_builds_can_follow_each_other_on_one_connection(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.solve = lambda request, _gone: {"ExporterResponse": {"ref": request["Ref"]}}
    daemon.status = say_and_hold({"vertexes": [DONE]})

    assert run(client, ref="one") == {"ref": "one"}
    assert run(client, ref="two") == {"ref": "two"}


# --- builds that fail ----------------------------------------------------------------------


def test_a_failing_build_shows_the_lines_and_the_step(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    text = base64.b64encode(b"FROM scratch\nRUN false\n").decode()
    details = [
        (
            "errdefs.Source+json",
            {
                "info": {"filename": "Dockerfile", "data": text},
                "ranges": [{"start": {"line": 2}, "end": {"line": 2}}],
            },
        ),
        ("errdefs.Vertex+json", {"digest": "sha256:a"}),
        ("gatewayapi.ExitMessage+json", {"Code": 7}),
        ("stack.Stack+json", {"pid": 1, "version": "v1", "cmdline": ["buildkitd"]}),
        ("errdefs.Padding+json", {"x": "y" * 300_000}),
    ]
    packed = [
        {"type_url": f"github.com/moby/buildkit/{kind}", "value": json.dumps(value).encode()}
        for kind, value in details
    ]
    message = 'process "/bin/sh -c false" did not complete successfully: exit code: 7'
    status = protos().encode(
        "google.rpc.Status", {"code": 2, "message": message, "details": packed}
    )
    answer_in_the_end(daemon, fail(message, details=status))
    daemon.status = say({"vertexes": [{**RUNNING, "completed": START, "error": message}]})
    updates: Updates = []

    with pytest.raises(BuildError) as caught:
        run(client, updates)

    error = caught.value
    assert str(error) == message
    assert error.code == "Unknown"
    assert error.excerpts[0].startswith("Dockerfile:2\n--------------------\n")
    assert "   2 | >>> RUN false" in error.excerpts[0]
    assert error.vertex == "sha256:a"
    assert error.step_exit_code == 7
    assert error.stacks == ("1 v1 buildkitd",)
    assert updates[0].vertexes[0].error == message


def test_a_failure_without_details_has_its_text(daemon: ScriptedBuildKit, client: Client) -> None:
    daemon.solve = fail("dockerfile parse error", grpc.StatusCode.INVALID_ARGUMENT)
    daemon.status = silent

    with pytest.raises(BuildError, match="^InvalidArgument: dockerfile parse error$") as caught:
        run(client)

    assert caught.value.excerpts == ()
    assert caught.value.step_exit_code is None


def test_a_build_that_fails_before_it_began_does_not_wait_for_its_status(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.solve = fail("no active session")
    daemon.status = say_and_hold()
    started = time.monotonic()

    with pytest.raises(BuildError, match="no active session"):
        solve(
            client,
            SolveRequest(ref=new_id()),
            lambda _: None,
            Cancellation(),
            patience=Patience(idle=50, unheard=0.1),
        )

    assert time.monotonic() - started < 20


def test_a_value_that_is_no_text_is_the_callers_mistake(client: Client) -> None:
    with pytest.raises(InputError, match=r"FrontendAttrs.*not valid UTF-8"):
        run(client, attributes={"build-arg:A": "\udcff"})


def test_a_request_that_is_too_large_is_the_callers_mistake(client: Client) -> None:
    large = {"build-arg:A": "x" * (17 << 20)}

    with pytest.raises(InputError, match="it has 17 MiB, and BuildKit takes 16"):
        solve(client, SolveRequest(ref=new_id(), attributes=large), print, Cancellation())


def test_a_build_without_an_answer_is_a_protocol_error(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.solve = lambda _request, _gone: b"\x08\x01"  # type: ignore[assignment,return-value]
    daemon.status = silent

    with pytest.raises(ProtocolError):
        run(client)


def test_a_status_that_is_nonsense_is_a_protocol_error(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def hang(_request: Values, gone: threading.Event) -> Values:
        gone.wait()
        return {}

    daemon.solve = hang
    daemon.status = say(b"\x08\x01")  # type: ignore[arg-type]

    with pytest.raises(ProtocolError, match="wrong wire type"):
        run(client)


def test_a_status_that_breaks_off_ends_the_build_with_its_reason(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    hanging = HangingSolve()

    def broken(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        assert daemon.begun["Solve"].wait(30)
        yield {"vertexes": [RUNNING]}
        raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large")

    daemon.solve = hanging.solve
    daemon.status = broken

    with pytest.raises(
        DaemonError, match="^failed to receive status: ResourceExhausted: message too large$"
    ):
        run(client)
    assert daemon.canceled["Solve"].wait(30)


def test_the_builds_own_error_is_preferred_to_that_of_its_status(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def status(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        raise Refusal(grpc.StatusCode.INTERNAL, "closing")
        yield {}

    def refuse(_request: Values, _gone: threading.Event) -> Values:
        daemon.ended["Status"].wait(30)
        raise Refusal(grpc.StatusCode.UNKNOWN, "the real reason")

    daemon.status = status
    daemon.solve = refuse
    request = SolveRequest(ref=new_id())

    with pytest.raises(BuildError, match="^the real reason$"):
        solve(client, request, lambda _: None, Cancellation(), patience=Patience(idle=50))


def test_what_a_display_raises_comes_out_and_ends_the_build(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    hanging = HangingSolve()

    def broken(_update: StatusUpdate) -> None:
        raise BrokenPipeError

    daemon.solve = hanging.solve
    daemon.status = hanging.status({"vertexes": [RUNNING]})

    with pytest.raises(BrokenPipeError):
        solve(client, SolveRequest(ref=new_id()), broken, Cancellation(), patience=QUICK)
    assert daemon.canceled["Solve"].wait(30)


# --- builds that are canceled --------------------------------------------------------------


def test_a_cancel_reaches_the_daemon_and_its_last_words_are_heard(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    cancel = Cancellation()
    updates: Updates = []
    begun = threading.Event()

    def work(_request: Values, gone: threading.Event) -> Values:
        begun.set()
        gone.wait()
        return {}

    def status(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        begun.wait(30)
        yield {"vertexes": [RUNNING]}
        daemon.canceled["Solve"].wait(30)
        yield {"vertexes": [{**RUNNING, "completed": START, "error": "context canceled"}]}

    def on_update(update: StatusUpdate) -> None:
        updates.append(update)
        if len(updates) == 1:
            threading.Thread(target=cancel.cancel).start()

    daemon.solve = work
    daemon.status = status

    with pytest.raises(CanceledError):
        solve(client, SolveRequest(ref=new_id()), on_update, cancel, patience=Patience(grace=50))

    assert daemon.canceled["Solve"].is_set()
    assert updates[-1].vertexes[0].error == "context canceled"


def test_a_canceled_build_does_not_wait_for_a_silent_daemon(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    cancel = Cancellation()
    hanging = HangingSolve()
    daemon.solve = hanging.solve
    daemon.status = hanging.status({"vertexes": [RUNNING]})
    started = time.monotonic()

    with pytest.raises(CanceledError):
        solve(client, SolveRequest(ref=new_id()), lambda _: cancel.cancel(), cancel, patience=QUICK)

    assert time.monotonic() - started < 20
    assert daemon.canceled["Solve"].wait(30)


def test_nothing_is_sent_when_it_is_canceled_already(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    cancel = Cancellation()
    cancel.cancel()

    with pytest.raises(CanceledError):
        solve(client, SolveRequest(ref=new_id()), lambda _: None, cancel)

    assert daemon.requests == []


def test_a_cancel_after_the_answer_only_ends_the_listening(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    cancel = Cancellation()

    def status(_request: Values, gone: threading.Event) -> Iterator[Values]:
        daemon.ended["Solve"].wait(30)
        yield {"vertexes": [DONE]}
        gone.wait()

    daemon.solve = lambda _request, _gone: {"ExporterResponse": {"a": "b"}}
    daemon.status = status

    patience = Patience(idle=50)
    request = SolveRequest(ref=new_id())

    assert solve(client, request, lambda _: cancel.cancel(), cancel, patience=patience) == {
        "a": "b"
    }


# --- connections that break ----------------------------------------------------------------


def test_a_connection_cut_in_the_middle_names_what_was_running(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    cut = 0.0

    def work(_request: Values, gone: threading.Event) -> Values:
        gone.wait()
        return {}

    def on_update(_update: StatusUpdate) -> None:
        nonlocal cut
        cut = time.monotonic()
        daemon.cut()

    daemon.solve = work
    daemon.status = say_and_hold({"vertexes": [RUNNING, DONE, {"digest": "c", "name": "later"}]})

    with pytest.raises(ConnectionLostError) as caught:
        solve(client, SolveRequest(ref=new_id()), on_update, Cancellation())

    assert time.monotonic() - cut < Patience().interval  # nobody had to ask
    assert 'while running "[2/3] RUN make":' in str(caught.value)
    assert "FROM" not in str(caught.value)
    assert "later" not in str(caught.value)


def test_a_daemon_that_is_stopped_is_a_lost_connection_or_a_failed_build(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def work(_request: Values, gone: threading.Event) -> Values:
        gone.wait()
        return {}

    daemon.solve = work
    daemon.status = say_and_hold({"vertexes": [RUNNING]})

    with pytest.raises((ConnectionLostError, BuildError)):
        solve(
            client,
            SolveRequest(ref=new_id()),
            lambda _: daemon.stop(),
            Cancellation(),
            patience=Patience(idle=50),
        )


def test_many_running_steps_are_counted(daemon: ScriptedBuildKit, client: Client) -> None:
    def work(_request: Values, gone: threading.Event) -> Values:
        gone.wait()
        return {}

    many = [{"digest": str(n), "name": f"step {n}", "started": START} for n in range(5)]
    daemon.solve = work
    daemon.status = say_and_hold({"vertexes": many})

    with pytest.raises(
        ConnectionLostError, match='while running "step 0", "step 1", "step 2" and 2 more:'
    ):
        solve(client, SolveRequest(ref=new_id()), lambda _: daemon.cut(), Cancellation())


def test_a_build_that_was_done_when_the_connection_broke_is_done(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def status(_request: Values, gone: threading.Event) -> Iterator[Values]:
        daemon.ended["Solve"].wait(30)
        yield {"vertexes": [DONE]}
        gone.wait()

    daemon.solve = lambda _request, _gone: {"ExporterResponse": {"a": "b"}}
    daemon.status = status

    patience = Patience(idle=50)
    request = SolveRequest(ref=new_id())

    assert solve(client, request, lambda _: daemon.cut(), Cancellation(), patience=patience) == {
        "a": "b"
    }


def test_a_connection_that_broke_before_is_noticed_at_once(
    daemon: ScriptedBuildKit, client: Client
) -> None:
    daemon.cut()

    with pytest.raises(ConnectionLostError, match="^lost the connection to BuildKit: "):
        run(client)
