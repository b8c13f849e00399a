"""Hand-made installed distributions: a module and its ``*.dist-info`` folder."""

from __future__ import annotations

import importlib
from pathlib import Path


def install(
    site: Path,
    name: str,
    entry_points: dict[str, dict[str, str]],
    *,
    version: str = "1.0",
    **modules: str,
) -> None:
    """Put a distribution into a directory of the import path, as an installer would.

    Args:
        site: The directory.
        name: The distribution's name.
        entry_points: By group, then by name: ``module`` or ``module:object``.
        version: The distribution's version.
        modules: Source text by module name.
    """
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
    importlib.invalidate_caches()  # Python may have looked into the directory a moment before
