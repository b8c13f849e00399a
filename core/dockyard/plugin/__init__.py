"""The plugin framework: what a package imports to become a driver or to wrap every driver.

A driver package needs ``hookimpl`` from here, the values in :mod:`dockyard.driver`, and the
errors in :mod:`dockyard.errors`. The hooks and what each has to do stand in
:mod:`dockyard.plugin.hookspecs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockyard.plugin.marker import hookimpl

__all__ = ["hookimpl"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    # pluggy takes 20 ms to import: only who writes or calls a hook pays for it.
    if name == "hookimpl":
        from dockyard.plugin.marker import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
