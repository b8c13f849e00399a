"""Dockyard: image builds with BuildKit, on drivers that you ``pip install``.

``dockyard.build`` builds and returns a result; ``dockyard.Builder`` names the builder to do it
with; ``dockyard.errors`` has everything that can go wrong. BuildKit is spoken to without any
program in between. What may be started is ``git``, when the context lies in a repository, and
what the user's own settings name: ssh for an engine, helpers for credentials.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's own: `dockyard version` shall not pay 10 ms to import it
if TYPE_CHECKING:
    from typing import Any

    from dockyard.api import Build, Builder, BuildOptions, build, call, check, request
    from dockyard.building.call.result import CallResult, LintResult, Outline, Targets
    from dockyard.cancellation import Cancellation
    from dockyard.driver import BuildRequest, BuildResult, Output, SshAgent
    from dockyard.errors import DockyardError

__version__ = "0.1.0"

__all__ = [
    "Build",
    "BuildOptions",
    "BuildRequest",
    "BuildResult",
    "Builder",
    "CallResult",
    "Cancellation",
    "DockyardError",
    "LintResult",
    "Outline",
    "Output",
    "SshAgent",
    "Targets",
    "build",
    "call",
    "check",
    "request",
]

_PLACES = {
    "BuildRequest": "dockyard.driver",
    "BuildResult": "dockyard.driver",
    "CallResult": "dockyard.building.call.result",
    "Cancellation": "dockyard.cancellation",
    "DockyardError": "dockyard.errors",
    "LintResult": "dockyard.building.call.result",
    "Outline": "dockyard.building.call.result",
    "Output": "dockyard.driver",
    "SshAgent": "dockyard.driver",
    "Targets": "dockyard.building.call.result",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES.get(name, "dockyard.api")), name)
