"""Where a daemon is: an endpoint's text, checked and taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dockyard.engine.context import split_tcp
from dockyard.engine.ssh import ssh_login
from dockyard.errors import EndpointError
from dockyard_remote.declaration import DRIVER, VARIABLE

_SSH_SECONDS = 10.0
"""What ssh is told how long it may take to connect."""
_DIAL = ("buildctl", "dial-stdio")
"""The program that joins its standard streams to the daemon beside it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_KUBERNETES_NAME = re.compile(r"[a-z0-9.][-a-z0-9.]*")


class Endpoint(NamedTuple):
    """A way to a daemon: a socket file, an address, or a command whose streams lead there."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    command: tuple[str, ...] = ()

    @property
    def authority(self) -> str:
        """What the daemon is called in calls, when no option says so."""
        if not self.host:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_plain_elsewhere(self) -> bool:
        """Whether bytes would travel unencrypted, and to another machine."""
        return bool(self.host) and not _is_loopback(self.host)


def choose(argument: str | None, variables: Mapping[str, str]) -> str:
    """Give the endpoint to store: the argument or ``BUILDKIT_HOST``, once it is found good.

    Raises:
        EndpointError: There is none, or it makes no sense.
    """
    text = argument or variables.get(VARIABLE, "")
    if not text:
        raise EndpointError(
            "no remote endpoint provided", hint=f"give one, or set {VARIABLE}: {_forms()}"
        )
    parse(text)
    return text


def parse(text: str) -> Endpoint:
    """Take an endpoint apart.

    Raises:
        EndpointError: It is of an unknown kind, or makes no sense.
    """
    scheme, _, rest = text.partition("://")
    reader = _READERS.get(scheme)
    if reader is None:
        raise _unrecognized(text)
    return reader(text, rest)


def _unrecognized(text: str) -> EndpointError:
    # What stands before a colon counts as the scheme, also in a bare HOST:PORT.
    scheme, colon, rest = text.partition(":")
    hint = f"did you mean tcp://{text}? " if rest.isdecimal() else ""
    return EndpointError(
        f"unrecognized url scheme {scheme if colon else ''}".rstrip(),
        hint=f"{hint}endpoints are {_forms()}",
    )


def _forms() -> str:
    return ", ".join(form.form for form in DRIVER.endpoints if form.scheme != "npipe")


def _invalid(text: str, reason: str, hint: str | None = None) -> EndpointError:
    return EndpointError(f"invalid endpoint {text}: {reason}", hint=hint)


def _is_loopback(host: str) -> bool:
    import ipaddress

    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


# --- one reader a scheme -------------------------------------------------------------------


def _unix(text: str, rest: str) -> Endpoint:
    hint = "for example unix:///run/buildkit/buildkitd.sock"
    if not rest.strip("/@"):
        raise _invalid(text, "the path is missing", hint)
    if not rest.startswith(("/", "@")):
        raise _invalid(text, "the path is not absolute", hint)
    return Endpoint(text, path=rest)


def _tcp(text: str, rest: str) -> Endpoint:
    try:
        host, port, path = split_tcp(rest)
    except ValueError as error:
        raise _invalid(text, str(error)) from error
    if not host:
        raise _invalid(text, "the host is missing", "for example tcp://HOST:1234")
    if port is None:
        raise _invalid(text, "the port is missing", f"for example tcp://{host}:1234")
    if path.strip("/"):
        raise _invalid(text, "a path makes no sense in it")
    return Endpoint(text, host=host, port=port)


def _ssh(text: str, _: str) -> Endpoint:
    import shlex

    command, socket = ssh_login(text, timeout=_SSH_SECONDS)
    # ssh joins the words with spaces, and the shell on the other side takes them apart again.
    address = ["--addr", shlex.quote(f"unix://{socket}")] if socket else []
    return Endpoint(text, command=(*command, _DIAL[0], *address, _DIAL[1]))


def _docker(text: str, rest: str) -> Endpoint:
    name, query = _container(text, rest, ("context",))
    context = [f"--context={query['context']}"] if query.get("context") else []
    return Endpoint(text, command=("docker", *context, "exec", "-i", name, *_DIAL))


def _podman(text: str, rest: str) -> Endpoint:
    name, _ = _container(text, rest, ())
    return Endpoint(text, command=("podman", "exec", "-i", name, *_DIAL))


def _nerdctl(text: str, rest: str) -> Endpoint:
    name, query = _container(text, rest, ("namespace",))
    namespace = [f"--namespace={query['namespace']}"] if query.get("namespace") else []
    return Endpoint(text, command=("nerdctl", *namespace, "exec", "-i", name, *_DIAL))


def _kubernetes(text: str, rest: str) -> Endpoint:
    pod, query = _split(text, rest, ("context", "namespace", "container"))
    if not pod:
        raise _invalid(text, "the pod's name is missing")
    names = {"pod": pod, "namespace": query.get("namespace"), "container": query.get("container")}
    for what, name in names.items():
        if name and not _KUBERNETES_NAME.fullmatch(name):
            raise _invalid(text, f'unsupported {what} name: "{name}"')

    def flag(key: str) -> list[str]:
        return [f"--{key}={query[key]}"] if query.get(key) else []

    before, after = flag("context") + flag("namespace"), flag("container")
    return Endpoint(text, command=("kubectl", *before, "exec", *after, "-i", pod, "--", *_DIAL))


def _npipe(text: str, _: str) -> Endpoint:
    raise EndpointError(
        f"{text} is a named pipe, which only Windows has",
        hint="on this system use unix://, tcp:// or ssh://",
    )


def _container(text: str, rest: str, keys: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    name, query = _split(text, rest, keys)
    if not name:
        raise _invalid(text, "the container's name is missing")
    if not _NAME.fullmatch(name):
        raise _invalid(text, f'"{name}" is no name of a container')
    return name, query


def _split(text: str, rest: str, keys: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Separate a name from the query behind it, whose keys have to be among these."""
    from urllib.parse import parse_qsl

    place, _, asked = rest.partition("?")
    query = dict(parse_qsl(asked, keep_blank_values=True))
    for key in query:
        if key not in keys:
            known = f"it knows {', '.join(keys)}" if keys else "it takes none"
            raise _invalid(text, f'unknown parameter "{key}"', known)
    if any(not value.isprintable() for value in query.values()):
        raise _invalid(text, "a character does not belong there")
    return place.rstrip("/"), query


_READERS: Mapping[str, Callable[[str, str], Endpoint]] = {
    "unix": _unix,
    "tcp": _tcp,
    "ssh": _ssh,
    "docker-container": _docker,
    "podman-container": _podman,
    "nerdctl-container": _nerdctl,
    "kube-pod": _kubernetes,
    "npipe": _npipe,
}
