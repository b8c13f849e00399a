from __future__ import annotations

import base64
import json
from typing import Any

from dockyard.errors import CanceledError, ErrorSource, InputError, StepError
from dockyard.progress.failure import error_line


def read(line: str) -> dict[str, Any]:
    assert "\n" not in line
    values: dict[str, Any] = json.loads(line)
    assert set(values) == {"error"}
    found: dict[str, Any] = values["error"]
    return found


def test_a_failed_step_is_told_with_all_that_is_known() -> None:
    error = StepError(
        "it failed",
        sources=[ErrorSource("Dockerfile", 2, 3, b"FROM x\nRUN a \\\n  b\n")],
        vertex="sha256:1",
        step="[2/2] RUN a",
        step_exit_code=7,
        stdout=b"out",
        stderr=b"\xff\x00",
    )

    assert read(error_line(error)) == {
        "class": "StepError",
        "message": "it failed",
        "exitCode": 1,
        "code": "Unknown",
        "vertex": "sha256:1",
        "step": "[2/2] RUN a",
        "stepExitCode": 7,
        "sources": [
            {
                "filename": "Dockerfile",
                "start": {"line": 2},
                "end": {"line": 3},
                "text": "RUN a \\\n  b",
            }
        ],
        "stdout": base64.b64encode(b"out").decode(),
        "stderr": base64.b64encode(b"\xff\x00").decode(),
    }


def test_other_errors_are_told_with_their_class_and_what_to_do() -> None:
    assert read(error_line(CanceledError())) == {
        "class": "CanceledError",
        "message": "context canceled",
        "exitCode": 130,
    }
    assert read(error_line(InputError("no\nway", hint="try this"))) == {
        "class": "InputError",
        "message": "no\nway",
        "hint": "try this",
        "exitCode": 1,
    }
