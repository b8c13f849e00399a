"""The two marks that tell pluggy which functions are hooks."""

from __future__ import annotations

import pluggy

PROJECT = "dockyard"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
