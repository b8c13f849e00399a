"""Where a Docker Engine is and how it is secured."""

from __future__ import annotations

from attrs import frozen

from dockyard.value import Value


@frozen(kw_only=True, eq=False, repr=False)
class TLSFiles(Value):
    """Certificate files for an engine behind TLS, as paths; empty where there is none."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


@frozen(kw_only=True, eq=False, repr=False)
class EngineEndpoint(Value):
    """The address of a Docker Engine."""

    host: str
    """``unix://``, ``tcp://``, ``ssh://`` or ``npipe://`` and what follows."""
    context: str = "default"
    """The docker context it came from."""
    tls: TLSFiles | None = None
