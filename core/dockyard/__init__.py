"""Dockyard: image builds with BuildKit, on drivers that you ``pip install``.

``dockyard.build`` builds and returns a result; ``dockyard.Builder`` names the builder to do it
with; ``dockyard.errors`` has everything that can go wrong. Nothing here starts a subprocess.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's own: `dockyard version` shall not pay 10 ms to import it
if TYPE_CHECKING:
    from typing import Any

    from dockyard.api import Build, Builder, BuildOptions, build, request
    from dockyard.cancellation import Cancellation
    from dockyard.driver import BuildRequest, BuildResult, Output
    from dockyard.errors import DockyardError

__version__ = "0.1.0"

__all__ = [
    "Build",
    "BuildOptions",
    "BuildRequest",
    "BuildResult",
    "Builder",
    "Cancellation",
    "DockyardError",
    "Output",
    "build",
    "request",
]

_PLACES = {
    "BuildRequest": "dockyard.driver",
    "BuildResult": "dockyard.driver",
    "Cancellation": "dockyard.cancellation",
    "DockyardError": "dockyard.errors",
    "Output": "dockyard.driver",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES.get(name, "dockyard.api")), name)
