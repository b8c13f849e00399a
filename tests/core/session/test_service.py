from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
import pytest

from core.session.daemon import Daemon, Service, serving
from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, DockyardError
from dockyard.session.service import Worker, unary
from dockyard.wire.codec import CodecError
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code

CALL = "/test.Test/Call"


def status(running: Daemon, request: bytes = b"ask") -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        running.unary(CALL, request)
    return caught.value.code(), caught.value.details()


def raising(error: BaseException) -> Service:
    def answer(_request: bytes) -> bytes:
        raise error

    return Service(lambda _loop: unary(answer))


def raising_in_thread(error: BaseException) -> Service:
    def answer(_request: bytes, _cancel: Cancellation) -> bytes:
        raise error

    return Service(lambda loop: Worker(loop).unary(answer))


def test_a_call_is_answered_at_once() -> None:
    with serving(Service(lambda _loop: unary(lambda request: request * 2))) as (running, _):
        assert running.unary(CALL, b"ab") == b"abab"


def test_a_call_is_answered_from_a_thread() -> None:
    threads: list[int] = []

    def answer(request: bytes, _cancel: Cancellation) -> bytes:
        threads.append(threading.get_ident())
        return request * 2

    with serving(Service(lambda loop: Worker(loop).unary(answer))) as (running, _):
        assert running.unary(CALL, b"ab") == b"abab"

    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("service", [raising, raising_in_thread])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CallError(Code.NOT_FOUND, "none"), grpc.StatusCode.NOT_FOUND, "none"),
        (CodecError("bad"), grpc.StatusCode.INVALID_ARGUMENT, "bad"),
        (DockyardError("größe"), grpc.StatusCode.UNKNOWN, "größe"),
        (CanceledError(), grpc.StatusCode.CANCELLED, "context canceled"),
    ],
)
def test_errors_become_statuses(
    service: Callable[[BaseException], Service],
    error: Exception,
    code: grpc.StatusCode,
    message: str,
) -> None:
    with serving(service(error)) as (running, _):
        assert status(running) == (code, message)


@pytest.mark.parametrize("service", [raising, raising_in_thread])
def test_a_mistake_in_the_program_comes_out_of_the_loop(
    service: Callable[[BaseException], Service],
) -> None:
    mistake = ZeroDivisionError("ours")

    with (
        serving(service(mistake)) as (running, _),
        pytest.raises(ZeroDivisionError, match="ours"),
    ):
        running.unary(CALL, b"")


@pytest.mark.parametrize("requests", [[], [b"a", b"b"]])
def test_a_call_has_exactly_one_request(requests: list[bytes]) -> None:
    with (
        serving(Service(lambda _loop: unary(lambda request: request))) as (running, _),
        pytest.raises(grpc.RpcError) as caught,
    ):
        running.stream(CALL, (), requests)

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_work_that_takes_too_long_is_told_to_end() -> None:
    ended: list[bool] = []

    def answer(_request: bytes, cancel: Cancellation) -> bytes:
        over = threading.Event()
        cancel.on_cancel(over.set)
        ended.append(over.wait(30))
        cancel.check()
        return b""

    with serving(Service(lambda loop: Worker(loop, deadline=0.2).unary(answer))) as (running, _):
        assert status(running) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "the client took too long to answer",
        )

    assert ended == [True]


def test_work_is_told_when_the_session_ends() -> None:
    started, ended = threading.Event(), threading.Event()

    def answer(_request: bytes, cancel: Cancellation) -> bytes:
        cancel.on_cancel(ended.set)
        started.set()
        ended.wait(30)
        return b""

    with serving(Service(lambda loop: Worker(loop).unary(answer))) as (running, session):

        def call() -> None:
            running.later(CALL, b"")
            assert started.wait(30)

        running.run(call)
        session.close()

        assert ended.is_set()


def test_health_is_answered_while_all_workers_are_busy() -> None:
    busy, over = threading.Barrier(5), threading.Event()

    def answer(request: bytes, _cancel: Cancellation) -> bytes:
        busy.wait(30)
        over.wait(30)
        return request

    with serving(Service(lambda loop: Worker(loop).unary(answer))) as (running, _):

        def call() -> list[bytes]:
            calls = [running.later(CALL, bytes([n])) for n in range(4)]
            busy.wait(30)
            running.later("/grpc.health.v1.Health/Check", b"").result(30)
            over.set()
            return [each.result(30) for each in calls]

        assert sorted(running.run(call)) == [b"\0", b"\1", b"\2", b"\3"]


def test_more_calls_than_workers_are_all_answered() -> None:
    running_now: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def answer(request: bytes, _cancel: Cancellation) -> bytes:
        with lock:
            running_now.append(1)
            most.append(len(running_now))
        result = request * 3
        with lock:
            running_now.pop()
        return result

    with serving(Service(lambda loop: Worker(loop).unary(answer))) as (running, _):

        def call() -> list[bytes]:
            calls = [running.later(CALL, bytes([n])) for n in range(50)]
            return [each.result(30) for each in calls]

        assert running.run(call) == [bytes([n]) * 3 for n in range(50)]

    assert max(most) <= 4
