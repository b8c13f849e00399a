"""Ask Amazon's own library for credentials: a program of its own, which ``aws`` runs.

There the library sees the environment that was meant for it, and can be ended at any moment. It
says one line of JSON: the credentials, or why there are none.
"""

from __future__ import annotations

import json
import sys

_CONNECT = 3
_READ = 4
_ATTEMPTS = 2
"""Seconds and attempts for each question over the network; the library's own are minutes."""
_REGION = "us-east-1"
"""Where a role is asked for when no region is set; what is given there counts everywhere."""


def find() -> dict[str, str]:
    """Give credentials by the names that a cache has for them; empty when there are none."""
    from botocore.config import Config
    from botocore.session import Session

    session = Session()
    session.set_default_client_config(
        Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"total_max_attempts": _ATTEMPTS},
        )
    )
    try:
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", _REGION)
        credentials = session.get_credentials()
        found = credentials.get_frozen_credentials() if credentials else None
    except Exception as error:  # noqa: BLE001  # there is no other way to tell of it
        return {"error": _words(error)}
    if found is None:
        return {}
    return {
        "access_key_id": found.access_key or "",
        "secret_access_key": found.secret_key or "",
        "session_token": found.token or "",
    }


def _words(error: Exception) -> str:
    """Say what went wrong, but not in words that may be secret."""
    from botocore.exceptions import BotoCoreError, ClientError

    if getattr(error, "kwargs", {}).get("provider") == "custom-process":
        return "credential_process failed"
    if isinstance(error, BotoCoreError | ClientError):
        return str(error)
    if isinstance(error, EOFError):
        return "a code would have to be typed"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"failed ({type(error).__name__})"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(find()))
