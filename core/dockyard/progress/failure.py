"""The last line of ``--progress rawjson`` when a build fails: the error, for programs.

BuildKit's own lines have the keys ``vertexes``, ``statuses``, ``logs`` and ``warnings``; this one
has the key ``error`` and no other.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from dockyard.errors import BuildError, DaemonError, DockyardError, ErrorSource


def error_line(error: DockyardError) -> str:
    """Give an error as a line of JSON. What is not known is left out."""
    values: dict[str, Any] = {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exitCode": error.exit_code,
    }
    if isinstance(error, DaemonError):
        values["code"] = error.code
    if isinstance(error, BuildError):
        values |= {
            "vertex": error.vertex,
            "step": error.step,
            "stepExitCode": error.step_exit_code,
            "sources": [_source(one) for one in error.sources],
            "stdout": base64.b64encode(error.stdout).decode(),
            "stderr": base64.b64encode(error.stderr).decode(),
        }
    known = {key: value for key, value in values.items() if value not in (None, "", [])}
    return json.dumps({"error": known}, separators=(",", ":"))


def _source(source: ErrorSource) -> dict[str, Any]:
    return {
        "filename": source.filename,
        "start": {"line": source.first_line},
        "end": {"line": source.last_line},
        "text": source.text,
    }
