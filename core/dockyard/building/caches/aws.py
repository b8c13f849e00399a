"""Where Amazon's own tools look for credentials: variables, and the two files in ``~/.aws``.

What they would ask somebody over the network for is not asked for: a role, a web identity, single
sign-on, a container's or a machine's own role. The daemon asks for the last two by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import ConfigError
from dockyard.fsutil.name import reason

_LARGEST = 1 << 20
_SECONDS = 60.0
_ASKED = (
    "credential_source",
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
)
"""Settings of a profile that need somebody to be asked."""


class AwsCredentials(NamedTuple):
    """A key, and what proves that it is ours. Never shown."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return "AwsCredentials(***)"


def aws_credentials(variables: Mapping[str, str], home: Path) -> AwsCredentials | None:
    """Find credentials; None when there is no trace of any.

    Raises:
        ConfigError: There is a trace, but none can be had; says why.
    """
    found = _of(
        _first(variables, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
        _first(variables, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
        variables.get("AWS_SESSION_TOKEN", ""),
    )
    if found is not None:
        return found
    if variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        raise ConfigError(
            "AWS credentials: AWS_WEB_IDENTITY_TOKEN_FILE is not supported", hint=_EXPORT
        )
    named = _first(variables, "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    return _of_profile(named or "default", variables, home, named=bool(named))


_EXPORT = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for example by "
    "'eval $(aws configure export-credentials --format env)'"
)


def _of_profile(
    profile: str, variables: Mapping[str, str], home: Path, *, named: bool
) -> AwsCredentials | None:
    settings: dict[str, str] = {}
    known = False
    for variable, name, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        path = Path(variables.get(variable) or home / ".aws" / name)
        found = _section(path, section)
        known = known or found is not None
        settings |= found or {}
    if not known and named:
        raise ConfigError(f"AWS credentials: there is no profile {profile}")
    credentials = _of(
        settings.get("aws_access_key_id", ""),
        settings.get("aws_secret_access_key", ""),
        settings.get("aws_session_token", ""),
    )
    if "role_arn" not in settings:
        if credentials is not None:
            return credentials
        if settings.get("credential_process"):
            return _of_process(settings["credential_process"], profile, variables)
    for name in _ASKED:
        if settings.get(name):
            raise ConfigError(
                f"AWS credentials: {name} of profile {profile} is not supported", hint=_EXPORT
            )
    return None


def _of_process(command: str, profile: str, variables: Mapping[str, str]) -> AwsCredentials | None:
    """Ask the program that a profile names, as Amazon's tools do."""
    import json
    import subprocess

    wrong = f"AWS credentials: credential_process of profile {profile} "
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        values = json.loads(done.stdout[:_LARGEST]) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, RecursionError) as error:
        # Without the error itself: it may show what the program said, which is secret.
        raise ConfigError(f"{wrong}failed ({type(error).__name__})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{wrong}ended with status {done.returncode}")
    texts = [
        str(values.get(key) or "") for key in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ]
    found = _of(*texts)
    if found is None:
        raise ConfigError(f"{wrong}gave none")
    return found


def _section(path: Path, name: str) -> dict[str, str] | None:
    """Give the settings of one section of a file; None when there is no such section."""
    from configparser import ConfigParser, Error

    parser = ConfigParser(
        interpolation=None,
        strict=False,
        delimiters=("=",),
        comment_prefixes=("#", ";"),
        default_section="\0",
        allow_no_value=True,
    )
    try:
        parser.read_string(_text(path))
    except Error as error:
        # Without the error itself: it shows the line, which may be secret.
        line = getattr(error, "lineno", None)
        where = f"line {line} of {path}" if line else str(path)
        raise ConfigError(f"AWS credentials: {where} makes no sense") from None
    if not parser.has_section(name):
        return None
    return {key: (value or "").strip() for key, value in parser.items(name)}


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LARGEST + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise ConfigError(f"AWS credentials: {path} cannot be read: {reason(error)}") from error
    if len(data) > _LARGEST:
        raise ConfigError(f"AWS credentials: {path} is longer than 1 MiB")
    return data.decode("utf-8-sig", "replace")


def _of(key: str, secret: str, token: str) -> AwsCredentials | None:
    return AwsCredentials(key, secret, token) if key and secret else None


def _first(variables: Mapping[str, str], *names: str) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")
