"""Any bytes into the engine: nothing but our errors, bounded memory, always an end."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.wire.peers import REQUEST, RESPONSE, TRAILERS, Outcome, RawServerRig, Rig, echo
from dockyard.wire import frames
from dockyard.wire.call import frame
from dockyard.wire.client_call import ClientCall
from dockyard.wire.connection import Connection
from dockyard.wire.errors import PeerError
from dockyard.wire.hpack import Encoder
from dockyard.wire.limits import Limits
from dockyard.wire.loop import Loop
from dockyard.wire.server_call import ServerCall

LIMITS = Limits(
    message=1 << 16,
    headers=1 << 14,
    frame=1 << 14,
    streams=20,
    stream_window=1 << 16,
    connection_window=1 << 17,
    buffered=1 << 20,
    queued_replies=100,
    churn=200,
)


class Target:
    """An engine under fire, and what must hold after every piece."""

    def __init__(self, loop: Loop, *, client: bool) -> None:
        self.outcomes: list[Outcome] = []
        self.raised: list[BaseException] = []

        def accept() -> ServerCall:
            return ServerCall(self.connection, loop, echo)

        self.connection: Connection = Connection(
            limits=LIMITS, accept=None if client else accept, clock=lambda: 0.0
        )
        self.connection.on_exception = self.raised.append
        if client:
            for _ in range(3):
                outcome = Outcome()
                call = ClientCall(self.connection)
                call.on_message = outcome.on_message
                call.on_end = outcome.ends.append
                self.connection.open(call, REQUEST)
                call.send(b"x" * 500)
                self.outcomes.append(outcome)

    def feed(self, data: bytes, choose: Callable[[], int]) -> None:
        connection, rest = self.connection, b""
        while data:
            size = choose()
            rest, data = rest + data[:size], data[size:]
            rest = rest[connection.feed(memoryview(rest)) :]
            self.check(rest)
        if connection.closed:
            assert isinstance(connection.error, PeerError)
            assert all(len(outcome.ends) == 1 for outcome in self.outcomes)
            assert not connection.streams

    def check(self, rest: bytes) -> None:
        connection = self.connection
        assert self.raised == []
        assert len(rest) < LIMITS.frame + frames.HEADER_SIZE
        assert len(connection.streams) <= LIMITS.streams
        assert sum(stream.held for stream in connection.streams.values()) <= LIMITS.buffered
        assert len(connection._headers._block) <= LIMITS.headers + LIMITS.frame
        assert connection._headers._decoder._table.size <= 4096
        for _ in range(100):
            if not connection.pull(1 << 20):
                break
        else:
            pytest.fail("the engine never stops sending")


def record(*, client: bool) -> bytes:
    """Give what h2 sends to our engine in a lively conversation."""
    rig = Rig(client=client, serve=echo)
    if client:
        for number in (1, 3, 5):
            call, _outcome = rig.open()
            call.send(b"request")
            rig.pump()
            rig.peer.send_headers(number, [*RESPONSE, (b"x-long", b"v" * 300)])
            for size in (0, 10, 3000):
                rig.peer.send_data(number, frame(size) + b"m" * size, pad_length=size % 7 or None)
            rig.peer.ping(b"12345678")
            rig.pump()
        rig.peer.send_headers(1, TRAILERS, end_stream=True)
        rig.peer.reset_stream(3)
        rig.peer.update_settings({4: 100_000, 1: 0})
        rig.peer.send_headers(5, [*TRAILERS, (b"grpc-message", b"x" * 9000)], end_stream=True)
    else:
        for _ in range(5):
            number = rig.request(headers=[*REQUEST, (b"x-pattern", b"v" * 200)])
            for size in (0, 10, 3000):
                rig.peer.send_data(number, frame(size) + b"m" * size)
            rig.pump()
            rig.peer.increment_flow_control_window(1000, number)
            if number % 4 == 1:
                rig.peer.end_stream(number)
            elif number % 4 == 3:
                rig.peer.reset_stream(number)
        rig.peer.update_settings({4: 10, 1: 50})
        rig.peer.increment_flow_control_window(5000)
    rig.pump()
    rig.close()
    return rig.heard + frames.goaway(0, 0, "good-bye")


def mutate(chance: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at, size = chance.randrange(len(out)), chance.choice((1, 1, 4, 9, 100))
        kind = chance.randrange(6)
        if kind == 0:
            out[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 1:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            out[at:at] = chance.randbytes(size)
        else:
            other = chance.randrange(len(out))
            out[at : at + size] = out[other : other + size]
        if not out:
            out += b"\0"
    return bytes(out)


@pytest.fixture(scope="module")
def conversations() -> dict[bool, bytes]:
    return {client: record(client=client) for client in (True, False)}


@pytest.mark.parametrize("client", [True, False])
def test_recorded_traffic_is_accepted_as_it_is(
    loop: Loop, conversations: dict[bool, bytes], client: bool
) -> None:
    for size in (1, 50, 1 << 20):
        target = Target(loop, client=client)
        target.feed(conversations[client], lambda size=size: size)  # type: ignore[misc]
        assert not target.connection.closed


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_mutated_traffic_ends_in_our_errors_or_in_none(
    loop: Loop, conversations: dict[bool, bytes], client: bool, seed: int
) -> None:
    chance = random.Random(seed)
    closed = 0
    for _ in range(80):
        target = Target(loop, client=client)
        pace = chance.choice((7, 100, 5000, 1 << 20))
        target.feed(mutate(chance, conversations[client]), lambda: chance.randrange(1, pace))  # noqa: B023
        closed += target.connection.closed
    assert closed > 10


KINDS = st.integers(0, 11)
NUMBERS = st.sampled_from([0, 1, 1, 1, 2, 3, 5, 7, 0x7FFFFFFF, 0x80000001])
BLOCKS = st.sampled_from(
    [Encoder().encode(headers) for headers in (REQUEST, RESPONSE, TRAILERS, [*RESPONSE, *TRAILERS])]
)
PAYLOADS = st.one_of(
    st.binary(max_size=30),
    BLOCKS,
    st.integers(0, 2**32 - 1).map(frames.WORD.pack),
    st.tuples(st.integers(0, 8), st.integers(0, 2**32 - 1)).map(lambda v: frames.SETTING.pack(*v)),
    st.integers(0, 300).map(lambda size: frame(size) + bytes(size)),
)
FRAMES = st.builds(frames.frame, KINDS, st.integers(0, 255), NUMBERS, PAYLOADS)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FRAMES, max_size=30), st.booleans(), st.integers(1, 200))
def test_any_frames_end_in_our_errors_or_in_none(
    sent: list[bytes], client: bool, pace: int
) -> None:
    loop = Loop()
    try:
        target = Target(loop, client=client)
        greeting = frames.settings([])
        target.feed((b"" if client else frames.PREFACE) + greeting + b"".join(sent), lambda: pace)
    finally:
        loop.close()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_end_in_our_errors_or_in_none(data: bytes, client: bool, greet: bool) -> None:
    loop = Loop()
    try:
        target = Target(loop, client=client)
        greeting = (b"" if client else frames.PREFACE) + frames.settings([])
        target.feed(greeting + data if greet else data, lambda: 50)
    finally:
        loop.close()


def test_memory_does_not_grow_with_what_a_peer_sends() -> None:
    """A gibibyte of frames in a loop of the same few leaves no trace."""
    import tracemalloc

    rig = RawServerRig(lambda call: None, LIMITS)
    data = frames.frame(frames.DATA, 0, 1, frame(9000) + bytes(9000))
    rig.request()
    rig.feed(data * 20)
    rig.pull()
    tracemalloc.start()
    try:
        for number in range(3, 2003, 2):
            rig.request(number)
            rig.feed(data + frames.frame(frames.DATA, 0, number, frame(9000) + bytes(100)))
            rig.feed(frames.reset(number, 8))
            rig.now += 1
            rig.pull()
        rig.calls.clear()
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not rig.ours.closed
    assert current < 1 << 20
    assert peak < 4 << 20
