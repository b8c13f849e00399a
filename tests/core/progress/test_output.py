"""Streams that cannot take everything."""

from __future__ import annotations

import errno
import io
import os

from dockyard.progress.output import Output


def test_what_the_encoding_lacks_is_spelled_out() -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding="ascii")

    Output(stream).write("caf\u00e9 \udc80\n")

    assert data.getvalue() == b"caf\\xe9 \\udc80\n"


def test_a_closed_pipe_silences_the_display_and_not_the_build() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", closefd=False) as stream:
        output = Output(stream)
        output.write("lost\n")
        output.write("also lost\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # so that closing can flush
    os.close(writer)


class _Full(io.StringIO):
    attempts = 0

    def write(self, text: str, /) -> int:
        self.attempts += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nothing_is_written_any_more_after_a_failure() -> None:
    stream = _Full()
    output = Output(stream)

    output.write("one")
    output.write("two")

    assert stream.attempts == 1
