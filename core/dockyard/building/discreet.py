"""Keeping credentials out of what a daemon remembers of a build.

A daemon notes the attributes of every solve in its history, and a frontend finds the caches to
read among its attributes, with all that is needed to read them. What we tell the frontend
ourselves is not noted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.buildkit.gateway import Talk
    from dockyard.buildkit.request import SolveRequest


def without_secrets(request: SolveRequest) -> tuple[SolveRequest, Talk | None]:
    """Give a solve that can be remembered, and the conversation that it then needs.

    Args:
        request: A solve; one whose caches have no credentials stays as it is.
    """
    if not any(entry.has_secrets for entry in request.cache_imports):
        return request, None
    from dockyard.buildkit.forward import Forwarded, forward
    from dockyard.buildkit.request import imports_attribute

    attributes = {**request.attributes, "cache-imports": imports_attribute(request.cache_imports)}
    told = Forwarded(frontend=request.frontend, attributes=attributes)
    return request._replace(frontend="", cache_imports=()), forward(told)
