"""Reading the files of a policy, and those that they import."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.building.inputs.rego.files import NoFileError, PolicyFiles
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.parser import parse
from dockyard.building.inputs.rego.language.tree import Module

_MOST = 100
"""Files of one policy."""


def load(sources: Iterable[tuple[str, bytes]], files: PolicyFiles) -> list[Module]:
    """Read files and all that they import from ``data``.

    Args:
        sources: Names and contents.
        files: Where imported ones lie: ``data.a.b`` is ``a/b.rego`` in the build context.

    Raises:
        PolicyFaultError: One makes no sense, or is not there.
        InputError: One cannot be read.
    """
    found = {name: parse(_text(data, name), name) for name, data in sources}
    waiting = list(found.values())
    while waiting:
        module = waiting.pop()
        for path, _alias in module.imports:
            if path[0] != "data" or len(path) < 2:
                continue
            name = "/".join(path[1:]) + ".rego"
            if name in found:
                continue
            if len(found) >= _MOST:
                raise PolicyFaultError(f"more than {_MOST} files", module.file)
            imported = _imported(name, path, module, files)
            found[name] = imported
            waiting.append(imported)
    return list(found.values())


def _imported(name: str, path: tuple[str, ...], module: Module, files: PolicyFiles) -> Module:
    try:
        data = files.read(name)
    except NoFileError as error:
        message = f"import {'.'.join(path)} not found: there is no {name} in the build context"
        raise PolicyFaultError(message, module.file) from error
    return parse(_text(data, name), name)._replace(package=path[1:])


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyFaultError("not in UTF-8", name) from error
