"""Platforms: operating system, architecture and variant, as image manifests spell them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

from attrs import evolve, frozen

from dockyard.errors import InputError
from dockyard.value import Value

_SYSTEMS = (
    " aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9"
    " solaris windows zos "
)
_ARCHITECTURES = (
    " 386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mips64 mips64le mips64p32"
    " mips64p32le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm "
)
_MACHINES = {
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "armv5l": "arm/v5",
    "armv6l": "arm/v6",
    "armv7l": "arm/v7",
    "armv8l": "arm/v8",
    "loongarch64": "loong64",
    "mipsel": "mipsle",
}
"""What the kernel calls a machine, where normalising the architecture does not suffice."""

# Here and elsewhere patterns are texts where most runs do not need them: to compile one takes up to
# a millisecond, and re remembers those that it has compiled.
_COMPONENT = r"[A-Za-z0-9_.-]+"
_SYSTEM = r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?"


@frozen(eq=False, repr=False)
class Platform(Value):
    """One platform, normalised. Its text form is ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture[/variant]``, a lone part of that, or ``local``.

        The system may be followed by its version and features: ``windows(10.0.17763+win32k)``.

        Raises:
            InputError: It is no platform.
        """
        if text.lower() == "local":
            return cls.host()
        if "*" in text:
            raise _invalid(text, "wildcards not yet supported")
        parts = text.split("/", 3)
        system = re.fullmatch(_SYSTEM, parts[0])
        if system is None:
            raise _wrong_part(text, parts[0], "OS component", "OSAndVersion specifier", _SYSTEM)
        for part in parts[1:]:
            if not re.fullmatch(_COMPONENT, part):
                raise _wrong_part(text, part, "component", "platform specifier", _COMPONENT)
        if len(parts) > 3:
            raise _invalid(text, "cannot parse platform specifier")
        if len(parts) == 1:
            return cls._parse_lone(text, system)
        return cls(
            os=system[1],
            architecture=parts[1],
            variant=parts[2] if len(parts) == 3 else "",
            os_version=system[2] or "",
            os_features=_features(system),
        ).normalise()

    @classmethod
    def _parse_lone(cls, text: str, system: re.Match[str]) -> Platform:
        host = cls.host()
        name, version, features = system[1], system[2] or "", _features(system)
        as_system = cls(name, host.architecture, host.variant, version, features).normalise()
        if f" {as_system.os} " in _SYSTEMS:
            return as_system
        as_machine = cls(host.os, text).normalise()
        if f" {as_machine.architecture} " in _ARCHITECTURES:
            return as_machine
        raise _invalid(text, "unknown operating system or architecture")

    @classmethod
    def host(cls) -> Platform:
        """Give the platform that this process runs on."""
        system = {"win32": "windows", "cygwin": "windows"}.get(sys.platform, sys.platform)
        machine = os.uname().machine if hasattr(os, "uname") else "amd64"
        name, _, variant = _MACHINES.get(machine, machine).partition("/")
        return cls(system.rstrip("0123456789"), name, variant).normalise()

    def normalise(self) -> Platform:
        """Give the same platform in the spelling that manifests use."""
        system = self.os.lower()
        machine, variant = _normalise_machine(self.architecture.lower(), self.variant.lower())
        return evolve(
            self,
            os={"macos": "darwin"}.get(system, system),
            architecture=machine,
            variant=variant,
        )


def parse_list(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Read platforms given one by one or as comma lists; each is kept once, in order.

    Raises:
        InputError: One is no platform.
    """
    return tuple(dict.fromkeys(parse_all(texts)))


def parse_all(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Read platforms as :func:`parse_list` does, and keep one that is given twice twice.

    Raises:
        InputError: One is no platform.
    """
    return tuple(Platform.parse(part) for text in texts for part in text.split(","))


def accepts(candidate: Platform) -> tuple[Platform, ...]:
    """Give what a node that declares ``candidate`` can build for, the best first."""
    candidate = candidate.normalise()
    machine, variant = candidate.architecture, candidate.variant
    below: list[str] = []
    if machine == "amd64":
        below = [f"amd64/v{level}" for level in range(_number(variant) - 1, 1, -1)]
        below += ["amd64"] if variant else []
        below += ["386"]
    elif machine == "arm":
        below = [f"arm/v{level}" for level in range(_number(variant) - 1, 4, -1)]
    elif machine == "arm64":
        below = [*_arm64_below(variant), "arm/v8", "arm/v7", "arm/v6", "arm/v5"]
    names = [name.partition("/") for name in below]
    return candidate, *(
        evolve(candidate, architecture=name, variant=variant) for name, _, variant in names
    )


def matches(candidate: Platform, request: Platform) -> bool:
    """Say whether a node that declares ``candidate`` can build for ``request``."""
    return rank(candidate, request) is not None


def rank(candidate: Platform, request: Platform) -> int | None:
    """Say how well ``candidate`` serves ``request``: 0 is exactly, None not at all."""
    request = request.normalise()
    for place, accepted in enumerate(accepts(candidate)):
        if _same(accepted, request):
            return place
    return None


def better(candidate: Platform, than: Platform, request: Platform) -> bool:
    """Say whether ``candidate`` serves ``request`` strictly better than ``than`` does."""
    ours, theirs = rank(candidate, request), rank(than, request)
    return ours is not None and (theirs is None or ours < theirs)


def _normalise_machine(machine: str, variant: str) -> tuple[str, str]:
    match machine:
        case "x86_64" | "x86-64" | "amd64":
            return "amd64", "" if variant == "v1" else variant
        case "i386":
            return "386", ""
        case "aarch64" | "arm64":
            named = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}
            return "arm64", named.get(variant, variant)
        case "armhf":
            return "arm", "v7"
        case "armel":
            return "arm", "v6"
        case "arm":
            return "arm", f"v{variant or 7}" if variant in {"", "5", "6", "7", "8"} else variant
        case _:
            return machine, variant


def _arm64_below(variant: str) -> list[str]:
    """Give the 64-bit variants below one: v9.x has everything that v8.(x+5) has."""
    generation, _, minor = variant.removeprefix("v").partition(".")
    level = _number(minor)
    below: list[str] = []
    if generation == "9":
        below = [f"arm64/v9.{lower}" for lower in range(level - 1, 0, -1)]
        below += ["arm64/v9"] if level else []
        level += 6
    elif generation != "8":
        return []
    return below + [f"arm64/v8.{lower}" for lower in range(level - 1, 0, -1)] + ["arm64"]


def _same(accepted: Platform, request: Platform) -> bool:
    if str(accepted) != str(request):
        return False
    if accepted.os != "windows" or not accepted.os_version or not request.os_version:
        return True
    # Windows containers need the host's build; the revision after it does not matter.
    return accepted.os_version.split(".")[:3] == request.os_version.split(".")[:3]


def _number(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdecimal() and len(digits) < 3 else 0


def _features(system: re.Match[str]) -> tuple[str, ...]:
    return tuple(filter(None, (system[3] or "").split("+")))


def _wrong_part(text: str, part: str, kind: str, name: str, pattern: str) -> InputError:
    from dockyard.quote import quoted

    expected = quoted(f"^{pattern}$")
    return _invalid(
        text,
        f"{name} component must match {expected}",
        before=f"{quoted(part)} is an invalid {kind} of ",
        hint="each part of a platform is made of letters, digits, _, . and -",
    )


def _invalid(text: str, why: str, *, before: str = "", hint: str | None = None) -> InputError:
    from dockyard.quote import quoted

    return InputError(f"{before}{quoted(text)}: {why}: invalid argument", hint=hint)
