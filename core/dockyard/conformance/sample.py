"""What the tests build: small build contexts that need neither a registry nor a base image."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import NamedTuple

from dockyard.platforms import Platform

NOTE = "note"
"""The one file of an image."""

BEGUN = b"begun\n"
"""What a program says that then waits for ever."""

# They write that to standard output, by write(), and then call pause(), or ppoll() without
# anything to poll, in a loop.
_PROGRAMS = {
    "amd64": (
        62,
        "b801000000 bf01000000 488d3510000000 ba06000000 0f05"  # write(1, BEGUN, 6)
        "b822000000 0f05 ebf7",  # pause()
    ),
    "arm64": (
        183,
        "200080d2 61010010 c20080d2 080880d2 010000d4"  # write(1, BEGUN, 6)
        "000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17",  # ppoll(0, 0, 0, 0)
    ),
}
_ADDRESS = 0x400000
_HEADERS = 64 + 56


class Sample(NamedTuple):
    """A build context, and what its image has."""

    context: Path
    mark: str
    """What is in the image's file, and in its label ``mark``; no other sample has the same."""

    @property
    def content(self) -> bytes:
        return self.mark.encode()


def make_sample(folder: Path, *lines: str) -> Sample:
    """Make a context for an image with one file; ``lines`` are added to the Dockerfile."""
    mark = os.urandom(8).hex()
    context = Path(tempfile.mkdtemp(prefix="context-", dir=folder))
    head = ["FROM scratch", f"COPY {NOTE} /{NOTE}", f"LABEL mark={mark}"]
    (context / "Dockerfile").write_text("\n".join([*head, *lines, ""]))
    (context / NOTE).write_text(mark)
    return Sample(context, mark)


def make_endless(folder: Path, platform: Platform) -> Sample | None:
    """Make a context whose build does not end once its last step has said ``BEGUN``.

    None where no program is known that would run there.
    """
    program = endless_program(platform.architecture)
    if platform.os != "linux" or program is None:
        return None
    sample = make_sample(folder, "COPY --chmod=755 wait /wait", 'RUN ["/wait"]')
    (sample.context / "wait").write_bytes(program)
    (sample.context / "wait").chmod(0o755)
    return sample


def endless_program(architecture: str) -> bytes | None:
    """Give an executable file, complete in itself, that waits for ever."""
    if architecture not in _PROGRAMS:
        return None
    machine, words = _PROGRAMS[architecture]
    code = bytes.fromhex(words) + BEGUN
    size = _HEADERS + len(code)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    entry = _ADDRESS + _HEADERS
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
    return ident + head + segment + code
