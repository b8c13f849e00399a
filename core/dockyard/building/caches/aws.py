"""Where Amazon's own tools look for credentials.

What lies on this machine is read here: variables, and keys in the two files in ``~/.aws``. What
somebody has to be asked for (a role, a web identity, single sign-on, a program, the service of a
container or of a machine in Amazon's cloud) is asked by ``botocore``, Amazon's own library.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.errors import ConfigError
from dockyard.fsutil.name import reason

_LARGEST = 1 << 20
_SECONDS = 60.0
"""For a profile's program, which may do anything; the network has less, see ``aws_chain``."""
_GLANCE = 0.25
"""Seconds for a machine's service to answer a knock. It is in the same machine, or not there."""
_LONGEST_WORDS = 300
_ASKED = (
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "login_session",
    "credential_process",
)
"""Settings of a profile that need somebody to be asked."""
_CONTAINERS = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_MACHINE = "169.254.169.254"
_ELSEWHERE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"


class AwsCredentials(NamedTuple):
    """A key, and what proves that it is ours. Never shown."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return "AwsCredentials(***)"


def aws_credentials(
    variables: Mapping[str, str], home: Path, cancel: Cancellation
) -> AwsCredentials | None:
    """Find credentials; None when there is no trace of any.

    Raises:
        ConfigError: There is a trace, but none can be had; says why.
        CanceledError: ``cancel`` was turned while somebody was asked.
    """
    found = _of(
        _first(variables, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
        _first(variables, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
        variables.get("AWS_SESSION_TOKEN", ""),
    )
    if found is not None:
        return found
    named = _first(variables, "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    settings = _settings(named or "default", variables, home, named=bool(named))
    web = variables.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not web and not settings.get("role_arn"):
        found = _of(
            settings.get("aws_access_key_id", ""),
            settings.get("aws_secret_access_key", ""),
            settings.get("aws_session_token", ""),
        )
        if found is not None:
            return found
    trace = _trace(variables, settings, named or "default")
    if not trace and not _on_amazons_machine(variables):
        return None
    environment = _environment(variables, home, named)
    return _ask(environment, cancel, trace or "the role of this machine")


def _trace(variables: Mapping[str, str], settings: Mapping[str, str], profile: str) -> str:
    """Name what says that somebody has to be asked."""
    if variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return "AWS_WEB_IDENTITY_TOKEN_FILE"
    for name in _ASKED:
        if settings.get(name):
            return f"{name} of profile {profile}"
    return next((name for name in _CONTAINERS if variables.get(name)), "")


def _on_amazons_machine(variables: Mapping[str, str]) -> bool:
    """Say whether it makes sense to ask the service of a machine in Amazon's cloud.

    Without the library nobody is told: such a service is elsewhere too, and BuildKit asks it
    by itself.
    """
    import socket

    if not _has_library() or variables.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if variables.get(_ELSEWHERE) or variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"):
        return True
    try:
        socket.create_connection((_MACHINE, 80), timeout=_GLANCE).close()
    except OSError:
        return False
    return True


def _has_library() -> bool:
    from importlib.util import find_spec

    return find_spec("botocore") is not None


def _environment(variables: Mapping[str, str], home: Path, profile: str) -> dict[str, str]:
    """Give the variables that have the library look where we do."""
    found = {
        name: value for name, value in variables.items() if value or not name.startswith("AWS_")
    }
    found["HOME"] = str(home)
    found.pop("AWS_DEFAULT_PROFILE", None)
    if profile:
        found["AWS_PROFILE"] = profile
    if "AWS_REGION" in found:  # all other tools of Amazon's know it
        found["AWS_DEFAULT_REGION"] = found["AWS_REGION"]
    direct = _first(variables, "no_proxy", "NO_PROXY")
    if direct != "*":
        # A proxy has another machine's role, and hears what nobody should.
        own = (direct, _MACHINE, "fd00:ec2::254", _host(found.get(_ELSEWHERE, "")))
        found["no_proxy"] = ",".join(filter(None, own))
    return found


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _ask(environment: Mapping[str, str], cancel: Cancellation, trace: str) -> AwsCredentials | None:
    """Have the library ask, in a process of its own."""
    import json
    import sys

    from dockyard.building.inputs.spawn import run_program

    if not _has_library():
        raise ConfigError(
            f"AWS credentials: {trace} needs botocore", hint="pip install 'dockyard[aws]'"
        )
    program = str(Path(__file__).with_name("aws_chain.py"))
    command = (sys.executable, "-P", program)
    try:
        ended = run_program(command, environment, cancel, monotonic() + _SECONDS)
        answer = json.loads(ended.out) if ended.code == 0 else None
    except (OSError, ValueError, RecursionError) as error:
        # Without the error itself: it may show the answer, which is secret.
        raise ConfigError(f"AWS credentials: {trace} failed ({type(error).__name__})") from None
    cancel.check()
    if not isinstance(answer, dict):
        raise ConfigError(
            f"AWS credentials: {trace} gave none within {_SECONDS:.0f} seconds"
            if ended.code < 0
            else f"AWS credentials: {trace} ended with status {ended.code}"
        )
    if answer.get("error"):
        raise ConfigError(f"AWS credentials: {trace}: {_one_line(str(answer['error']))}")
    return _of(*(str(answer.get(key) or "") for key in AwsCredentials._fields))


def _one_line(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:_LONGEST_WORDS]


def _settings(
    profile: str, variables: Mapping[str, str], home: Path, *, named: bool
) -> dict[str, str]:
    """Give a profile's settings; of those in both files, the file of credentials counts."""
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
    return settings


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
