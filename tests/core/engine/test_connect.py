"""Connecting: what the errors of one address, one name, one file mean for the rest."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest

from dockyard.engine.connect import connect_tcp, secure
from dockyard.engine.wait import OutOfTimeError, Wait


@pytest.fixture
def full() -> Iterator[tuple[str, int]]:
    """An address that answers no more: its queue is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        assert select.select([server], [], [], 45)[0]  # the one that fills its queue is in it
        yield address
        for each in waiting:
            each.close()


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_an_address_that_is_silent_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, full: tuple[str, int]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        resolve(monkeypatch, full, server.getsockname())

        with Wait(4) as wait, closing(connect_tcp("name", 1, wait)) as sock:
            assert sock.getpeername() == server.getsockname()


def test_silence_everywhere_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, full: tuple[str, int]
) -> None:
    resolve(monkeypatch, full, full)

    with Wait(0.4) as wait, pytest.raises(OutOfTimeError):
        connect_tcp("name", 1, wait)


@pytest.mark.parametrize("name", [".dot", "a..b", "x" * 70, ""])
def test_a_name_that_no_certificate_could_have_is_an_error_of_the_system(name: str) -> None:
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    with theirs, Wait(1) as wait, pytest.raises(OSError, match="no name that a certificate"):
        secure(context, ours, name, wait)

    assert ours.fileno() == -1
