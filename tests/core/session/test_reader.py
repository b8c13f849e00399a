from __future__ import annotations

import io
import os
import threading

from dockyard.session.reader import StreamReader


def test_bytes_are_given_as_they_come() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as stream:  # noqa: PTH123  # a descriptor
        reader = StreamReader(stream)
        os.write(theirs, b"one")
        first = reader.read(100)
        os.write(theirs, b"three")
        second = reader.read(2)
        os.close(theirs)

        assert (first, second) == (b"one", b"th")
        assert (reader.read(100), reader.read(100)) == (b"ree", b"")


def test_what_has_no_descriptor_is_read_as_well() -> None:
    reader = StreamReader(io.BytesIO(b"words"))

    assert (reader.read(3), reader.read(3), reader.read(3)) == (b"wor", b"ds", b"")


def test_a_read_that_waits_can_be_given_up() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as stream:  # noqa: PTH123  # a descriptor
        reader = StreamReader(stream)
        threading.Timer(0.1, reader.give_up).start()

        assert reader.read(100) == b""
        os.write(theirs, b"late")
        assert reader.read(100) == b""
    os.close(theirs)
