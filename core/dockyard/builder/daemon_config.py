"""A ``buildkitd.toml`` as it is stored with a node: read once, its certificates taken along.

Certificates that registries are configured with lie on this machine; the daemon needs copies and
the paths of those, so the file is written anew. Comments don't survive that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from dockyard.builder.daemon_schema import type_problems
from dockyard.errors import InputError
from dockyard.fsutil.name import reason

FILE = "buildkitd.toml"
_DAEMON_DIRECTORY = "/etc/buildkit"
_READ_LIMIT = 1 << 20

_Table = dict[str, Any]


def load_config(path: Path, *, working_directory: Path) -> dict[str, bytes]:
    """Read a configuration and everything it refers to.

    Args:
        path: The file.
        working_directory: What relative certificate paths are relative to.

    Returns:
        The files to store, by their path below BuildKit's configuration directory.

    Raises:
        InputError: The file or a certificate cannot be read, or makes no sense.
    """
    import tomllib

    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"buildkit configuration file not found: {path}: stat {path}: no such file or directory"
        ) from error
    except OSError as error:
        raise InputError(
            f"failed to load buildkit configuration file: {path}: {reason(error)}"
        ) from error
    if len(data) > _READ_LIMIT:
        raise InputError(
            f"failed to load buildkit configuration file: {path}: longer than {_READ_LIMIT} bytes"
        )
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"failed to load buildkit configuration file: {path}: {error}") from error
    except RecursionError as error:
        raise InputError(
            f"failed to load buildkit configuration file: {path}: nested too deeply"
        ) from error
    for problem in type_problems(values):
        raise InputError(f"failed to load buildkit configuration file: {path}: {problem}")
    files = _move_certificates(values, working_directory)
    files[FILE] = format_toml(values).encode("utf-8")
    return files


def configured_entitlements(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Give the rights that a stored configuration gives to builds."""
    if FILE not in files:
        return ()
    import tomllib

    try:
        found = tomllib.loads(files[FILE].decode("utf-8")).get("insecure-entitlements", [])
    except ValueError:
        return ()
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def format_toml(values: Mapping[str, Any]) -> str:
    """Write values as TOML, byte for byte as the reference does.

    Config maps hold it, and records that both programs read. Keys are sorted, tables come after
    plain keys, and no empty line is right below a header.
    """
    return "\n".join(_table_lines(values, ())) + "\n"


def _move_certificates(values: _Table, here: Path) -> dict[str, bytes]:
    """Give the certificates to store, and change the configuration to name the copies."""
    copies = _Copies(here)
    for registry, settings in values.get("registry", {}).items():
        directory = f"certs/{re.sub('[^a-zA-Z0-9.-]+', '_', registry)}"
        if "ca" in settings:
            settings["ca"] = [copies.add(directory, path, "CA") for path in settings["ca"]]
        for pair in settings.get("keypair", ()):
            for kind in ("key", "cert"):
                if kind in pair:
                    pair[kind] = copies.add(directory, pair[kind], kind)
    return copies.files


class _Copies:
    """The certificates of all registries, each file under a name of its own."""

    def __init__(self, here: Path) -> None:
        self.files: dict[str, bytes] = {}
        self._here = here
        self._names: dict[tuple[str, Path], str] = {}

    def add(self, directory: str, path: str, kind: str) -> str:
        """Take a file along, and give the path that it has for the daemon."""
        original = self._here / path
        if (directory, original) not in self._names:
            name = self._free_name(directory, original)
            self.files[name] = _read(original, kind)
            self._names[directory, original] = name
        return f"{_DAEMON_DIRECTORY}/{self._names[directory, original]}"

    def _free_name(self, directory: str, original: Path) -> str:
        """Keep the file's own name where no other file has it."""
        name, number = f"{directory}/{original.name}", 1
        while name in self.files:
            number += 1
            name = f"{directory}/{original.stem}-{number}{original.suffix}"
        return name


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()[:_READ_LIMIT]
    except OSError as error:
        raise InputError(f"failed to read {kind} file: {path}: {reason(error)}") from error


def _table_lines(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    ordered = sorted(values.items())
    nested = {key: value for key, value in ordered if _is_nested(value)}
    for key, value in ordered:
        if key not in nested:
            yield f"{_key(key)} = {_inline(value)}"
    stands_alone = len(nested) == len(values)
    for key, value in nested.items():
        name = (*path, key)
        header = ".".join(_key(part) for part in name)
        for table in value if isinstance(value, list) else [value]:
            if stands_alone:
                stands_alone = False
            else:
                yield ""
            yield f"[[{header}]]" if isinstance(value, list) else f"[{header}]"
            yield from _table_lines(table, name)


def _is_nested(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(_inline(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items())
        return f"{{ {pairs} }}"
    return str(value)


def _quoted(text: str) -> str:
    """Quote a text as it is, where TOML allows that, else with escapes."""
    if not re.search(r"['\x00-\x08\x0a-\x1f\x7f]", text):
        return f"'{text}'"
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return (
        '"'
        + "".join(
            marks.get(mark)
            or (f"\\u{ord(mark):04x}" if ord(mark) < 0x20 or ord(mark) == 0x7F else mark)
            for mark in text
        )
        + '"'
    )
