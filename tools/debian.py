"""Programs from Debian's packages, unpacked into the cache and never installed.

``apt-get`` fetches them with a source list of its own, so the machine's package state stays as it
is and every package is verified by Debian's signatures. The mirror is the one that the machine's
own sources name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cache import cache_root, locked
from tools.report import DevError, say

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OLDEST_RELEASE = 12
"""Packages of Debian 13 need the C library of Debian 12 (2.34 or newer) and no more."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of one Debian release."""

    name: str
    suite: str
    """The release's code name."""
    version: str
    """What the version starts with."""
    architecture: str = ""
    """Debian's name of the machine that it is for; empty for this one."""

    @property
    def folder(self) -> str:
        """What the names of its folders begin with."""
        return f"{self.name}@{self.architecture}" if self.architecture else self.name


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place that the machine's own apt takes packages from."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def why_not() -> str | None:
    """Say why Debian's packages cannot be had on this machine; None when they can."""
    release = _os_release()
    if release.get("ID") != "debian":
        return "this machine does not run Debian"
    number = release.get("VERSION_ID", "")
    if number.isdigit() and int(number) < OLDEST_RELEASE:
        return f"this is Debian {number}, and {OLDEST_RELEASE} or newer is needed"
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    return f"{missing[0]} is not installed" if missing else None


def unpacked(packages: Sequence[Package]) -> list[Path]:
    """Return the folder of each package, fetched and unpacked if it is not in the cache yet."""
    if reason := why_not():
        raise DevError(f"cannot use Debian's packages: {reason}")
    folder = cache_root() / "packages"
    folder.mkdir(exist_ok=True)
    with locked(folder / "lock"):
        missing = [package for package in packages if _find(folder, package) is None]
        groups: dict[tuple[str, str], list[Package]] = {}
        for package in missing:
            groups.setdefault((package.suite, package.architecture), []).append(package)
        for (suite, architecture), group in sorted(groups.items()):
            _fetch(folder, suite, architecture, group)
    found = [_find(folder, package) for package in packages]
    return [path for path in found if path is not None]


def install(names: Sequence[str], *, why: str) -> None:
    """Install packages on the machine itself, as its own apt is set up; needs root."""
    say(f"installing {', '.join(names)} with apt-get: {why}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
    if _run(command, environment).returncode == 0:
        return
    _run(["apt-get", "update", "-qq"], environment)  # a fresh machine has no package lists
    done = _run(command, environment)
    if done.returncode != 0:
        raise DevError(f"apt-get could not install {', '.join(names)}: {_last_line(done.stdout)}")


def mirror() -> str:
    """Return the address of the Debian mirror that this machine uses."""
    codename = _os_release().get("VERSION_CODENAME", "stable")
    for source in _sources(Path("/etc/apt")):
        if {codename, "stable"} & set(source.suites) and "main" in source.components:
            return source.uri
    raise DevError(f"no apt source of this machine offers {codename}/main: which mirror to use?")


def _fetch(folder: Path, suite: str, architecture: str, packages: Sequence[Package]) -> None:
    names = ", ".join(package.folder for package in packages)
    say(f"fetching {names} of Debian {suite} into {folder}")
    own_name = f"{suite}-{architecture}" if architecture else suite
    options = _apt_options(folder.parent / "apt" / own_name, suite, architecture)
    folders = {package.name: package.folder for package in packages}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as work:
        wanted = [f"{package.name}={package.version}*" for package in packages]
        _checked(["apt-get", *options, "-qq", "update"], work)
        _checked(["apt-get", *options, "-qq", "download", *wanted], work)
        for archive in sorted(Path(work).glob("*.deb")):
            name, version, _ = archive.stem.split("_")
            tree = Path(work) / f"{folders[name]}_{version}"
            _checked(["dpkg", "-x", str(archive), str(tree)], work)
            tree.rename(folder / tree.name)


def _apt_options(state: Path, suite: str, architecture: str) -> list[str]:
    """Make apt's own folder for one release and return the options that lead apt there."""
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    architecture = architecture or _checked(["dpkg", "--print-architecture"], state).strip()
    signed_by = f" signed-by={KEYRING}" if KEYRING.exists() else ""
    sources = state / "sources.list"
    sources.write_text(f"deb [arch={architecture}{signed_by}] {mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::Cache": state / "cache",
        "Acquire::Languages": "none",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",  # the cache is below a home directory, closed to user _apt
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _find(folder: Path, package: Package) -> Path | None:
    # apt writes the colon of an epoch as %3a in file names.
    version = package.version.replace(":", "%3a")
    found = sorted(folder.glob(f"{package.folder}_{version}*"))
    return found[-1] if found else None


def _sources(etc: Path) -> Iterator[Source]:
    """Yield what the machine's source lists name, in both of apt's formats."""
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if path.exists():
            yield from parse_list(path.read_text(errors="replace"))
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        yield from parse_deb822(path.read_text(errors="replace"))


def parse_list(text: str) -> Iterator[Source]:
    """Yield the sources of a one-line-style list: ``deb [options] uri suite component...``."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        end = next((at for at, word in enumerate(words) if word.endswith("]")), 0)
        uri, suite, *components = [*words[end + 1 :], "", ""]
        yield Source(uri=uri, suites=(suite,), components=tuple(filter(None, components)))


def parse_deb822(text: str) -> Iterator[Source]:
    """Yield the sources of a stanza-style file: ``URIs:``, ``Suites:``, ``Components:``."""
    for stanza in text.split("\n\n"):
        fields: dict[str, list[str]] = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ")):
                fields[name.lower()] = value.split()
        if "deb" in fields.get("types", ()) and fields.get("enabled") != ["no"]:
            for uri in fields.get("uris", ()):
                yield Source(
                    uri=uri,
                    suites=tuple(fields.get("suites", ())),
                    components=tuple(fields.get("components", ())),
                )


def _os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip('"') for name, _, value in pairs}


def _checked(command: Sequence[str], directory: Path | str) -> str:
    done = _run(command, os.environ, directory)
    if done.returncode != 0:
        raise DevError(f"{command[0]} failed: {_last_line(done.stdout)}")
    return done.stdout


def _run(
    command: Sequence[str], environment: Mapping[str, str], directory: Path | str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _last_line(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("E:")]
    return (errors or text.splitlines() or ["no output"])[-1]
