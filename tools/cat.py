"""Write the example image's ``cat-amd64`` and ``cat-arm64``: all of its user space.

The example needs no registry, so it has no base image, and a program that runs without one is
static. Each of these is an ELF header, one segment and the machine code of a ``cat`` for one file,
about 200 bytes. ``python -m tools.cat`` writes them; a test compares them with what is here.
"""

from __future__ import annotations

import struct

from tools.example import FOLDER

LOAD_ADDRESS = 0x400000
HEADERS = 64 + 56
"""An ELF header and one program header."""

AMD64 = bytes.fromhex(
    "488b7c2410"  # ....... mov rdi, [rsp+16]      the first argument
    "31f6 6a02 58 0f05"  #  xor esi, esi; open(it, O_RDONLY)
    "89c3"  # ............. mov ebx, eax
    "4881ec00100000"  # ... sub rsp, 4096
    "89df 4889e6"  # ...... again: mov edi, ebx; mov rsi, rsp
    "ba00100000"  # ....... mov edx, 4096
    "31c0 0f05"  # ........ read(file, buffer, 4096)
    "85c0 7e0b"  # ........ test eax, eax; jle done
    "89c2"  # ............. mov edx, eax
    "6a01 58 89c7 0f05"  #  write(1, buffer, as many)
    "ebe3"  # ............. jmp again
    "31ff 6a3c 58 0f05"  #  done: exit(0)
)

ARM64 = struct.pack(
    "<22I",
    0xF9400BE1,  # ldr x1, [sp, #16]               the first argument
    0x92800C60,  # mov x0, #-100                   AT_FDCWD
    0xD2800002,  # mov x2, #0
    0xD2800708,  # mov x8, #56                     openat
    0xD4000001,  # svc #0
    0xAA0003F3,  # mov x19, x0
    0xD14007FF,  # sub sp, sp, #4096
    0xAA1303E0,  # again: mov x0, x19
    0x910003E1,  # mov x1, sp
    0xD2820002,  # mov x2, #4096
    0xD28007E8,  # mov x8, #63                     read
    0xD4000001,  # svc #0
    0xF100001F,  # cmp x0, #0
    0x540000CD,  # b.le done
    0xAA0003E2,  # mov x2, x0
    0xD2800020,  # mov x0, #1
    0xD2800808,  # mov x8, #64                     write
    0xD4000001,  # svc #0
    0x17FFFFF5,  # b again
    0xD2800000,  # done: mov x0, #0
    0xD2800BA8,  # mov x8, #93                     exit
    0xD4000001,  # svc #0
)

PROGRAMS = {"amd64": (62, AMD64), "arm64": (183, ARM64)}
"""ELF's machine number and the code, by Docker's name of the architecture."""


def program(architecture: str) -> bytes:
    """Return the executable for one architecture."""
    machine, code = PROGRAMS[architecture]
    size = HEADERS + len(code)
    entry = LOAD_ADDRESS + HEADERS
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x10000)
    return header + segment + code


if __name__ == "__main__":
    for name in PROGRAMS:
        path = FOLDER / f"cat-{name}"
        path.write_bytes(program(name))
        path.chmod(0o755)
