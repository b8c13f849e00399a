"""A connection to one BuildKit daemon: its loop, its channel, and what its errors mean to us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockyard.driver import Connection, GCPolicy, Worker
from dockyard.errors import (
    BuildError,
    CapabilityError,
    ConnectionLostError,
    DaemonError,
    DockyardError,
    InputError,
    ProtocolError,
)
from dockyard.platforms import Platform
from dockyard.wire import messages
from dockyard.wire.codec import CodecError, Message, decode, encode
from dockyard.wire.errors import CallError, PeerError, WireError
from dockyard.wire.grpc import Channel, Code
from dockyard.wire.limits import MAX_MESSAGE
from dockyard.wire.loop import Loop

if TYPE_CHECKING:
    from dockyard.buildkit.failure import StepLogs

CONTROL = "/moby.buildkit.v1.Control/"
"""What the names of the control service's methods begin with."""


class Client:
    """Speaks to BuildKit over a connection, which it owns. Belongs to one thread."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.loop = Loop()
        self.channel = Channel(self.loop, connection.stream, authority=connection.authority)
        self._workers: tuple[Worker, ...] | None = None
        self._capabilities: frozenset[str] | None = None

    def workers(self, timeout: float = 20) -> tuple[Worker, ...]:
        """Give the daemon's workers; it is asked once.

        Raises:
            DaemonError: It refused, or did not answer in time.
            ConnectionLostError: The connection broke.
        """
        if self._workers is None:
            answer = self._ask(
                "ListWorkers",
                (messages.LIST_WORKERS_REQUEST, messages.LIST_WORKERS_RESPONSE),
                timeout,
            )
            self._workers = tuple(_worker(record) for record in answer.get("record", ()))
        return self._workers

    @property
    def keeps_records(self) -> bool:
        """Whether the daemon remembers builds and attests images: from BuildKit 0.11 on."""
        return any(worker.tells_version for worker in self.workers())

    def capabilities(self, timeout: float = 20) -> frozenset[str]:
        """Give the names of all that the daemon can do in a build; it is asked once.

        Raises:
            DaemonError: It refused, or did not answer in time.
            ConnectionLostError: The connection broke.
        """
        if self._capabilities is None:
            from dockyard.buildkit.probe import ask_capabilities

            self._capabilities = ask_capabilities(self, timeout)
        return self._capabilities

    def version(self, timeout: float = 20) -> str | None:
        """Give BuildKit's version, or None where it is too old to tell.

        Raises:
            DaemonError: The daemon refused, or did not answer in time.
            ConnectionLostError: The connection broke.
        """
        try:
            answer = self._ask("Info", (messages.INFO_REQUEST, messages.INFO_RESPONSE), timeout)
        except DaemonError as error:
            if error.code == Code.UNIMPLEMENTED.go_name:
                return None
            raise
        version: str = answer.get("buildkitVersion", {}).get("version", "")
        return version or None

    def close(self) -> None:
        """Close the connection. A build that still runs on it is canceled by the daemon."""
        self.channel.close()
        self.loop.close()
        self.connection.close()

    def error(self, error: WireError, *, during: str = "") -> DockyardError:
        """Turn an error of the wire into ours. The only place where that is done.

        Args:
            error: What happened.
            during: What the connection was needed for, when it broke.
        """
        if isinstance(error, CallError):
            return DaemonError(describe(error.code, error.message), code=error.code.go_name)
        what = str(error) + self._diagnostics()
        if isinstance(error, (PeerError, CodecError)):
            return ProtocolError(f"what BuildKit sends makes no sense: {what}")
        return ConnectionLostError(f"lost the connection to BuildKit{during}: {what}")

    def _diagnostics(self) -> str:
        """What a helper process said last, such as ssh."""
        if self.connection.diagnostics is None:
            return ""
        try:
            words = self.connection.diagnostics().strip()
        except Exception as error:  # noqa: BLE001  # a driver's mistake must not hide the cause
            words = f"the driver cannot say more: {error!r}"
        return f" ({words})" if words else ""

    def _ask(
        self, method: str, tables: tuple[Message, Message], timeout: float
    ) -> Mapping[str, Any]:
        request, response = tables
        try:
            answer = self.channel.unary(CONTROL + method, encode(request, {}), timeout=timeout)
            return decode(response, answer)
        except WireError as error:
            raise self.error(error) from error


def describe(code: Code, message: str) -> str:
    """A status in words, as BuildKit's own client puts it."""
    if code in (Code.OK, Code.UNKNOWN):
        return message or "the daemon gave no reason"
    return f"{code.go_name}: {message}" if message else code.go_name


def build_error(error: CallError, steps: StepLogs | None = None) -> BuildError:
    """Turn the status that ended a solve into our error, with all that is known of the failure."""
    from dockyard.buildkit.details import parse_details
    from dockyard.buildkit.failure import Failure, classify

    details = parse_details(error.details)
    message = error.message or details.message
    step = steps.failed(details.vertex, message) if steps is not None else None
    exit_code = _exit_code(message) if details.exit_code is None else details.exit_code
    too_old = _too_old(message)
    failure = Failure(error.code, message, details, exit_code, step.name if step else "")
    kind = CapabilityError if too_old else classify(failure)
    return kind(
        too_old or describe(error.code, message),
        code=error.code.go_name,
        excerpts=details.excerpts,
        sources=details.sources,
        vertex=details.vertex or (step.digest if step else None),
        step=step.name if step else "",
        step_exit_code=exit_code,
        stdout=step.stdout if step else b"",
        stderr=step.stderr if step else b"",
        stacks=details.stacks,
    )


def encode_request(table: Message, values: Mapping[str, Any]) -> bytes:
    """Encode a request that has values in it that a person gave.

    Raises:
        InputError: It cannot be sent; says why.
    """
    try:
        data = encode(table, values)
    except CodecError as error:
        raise InputError(f"the build request cannot be sent: {error}") from error
    if len(data) > MAX_MESSAGE:
        raise InputError(
            f"the build request cannot be sent: it has {len(data) >> 20} MiB, and BuildKit takes "
            f"{MAX_MESSAGE >> 20}"
        )
    return data


def _exit_code(message: str) -> int | None:
    """A step's exit code from the text, for Docker Engine 20.10, which sends no details."""
    _, found, code = message.rpartition("exit code: ")
    return int(code) if found and code.isdecimal() and len(code) < 6 else None


_CAPABILITY = "unsupported frontend capability moby.buildkit.frontend."
_TOO_OLD = {
    "contexts": "current frontend does not support --build-context. Named contexts are supported "
    "since Dockerfile v1.4. Use #syntax directive in Dockerfile or update to latest BuildKit.",
    "gitquerystring": "current frontend does not support Git URLs with query string components. "
    "Git URLs with query string are supported since Dockerfile v1.18 and BuildKit v0.24. Use "
    "BUILDKIT_SYNTAX build-arg, #syntax directive in Dockerfile or update to latest BuildKit.",
}


def _too_old(message: str) -> str | None:
    """Say of a frontend that lacks a capability what it is too old for."""
    _, found, name = message.partition(_CAPABILITY)
    if not found:
        return None
    return next((words for key, words in _TOO_OLD.items() if name.startswith(key)), None)


def _worker(values: Mapping[str, Any]) -> Worker:
    return Worker(
        id=values.get("ID", ""),
        labels=values.get("Labels", {}),
        tells_version="BuildkitVersion" in values,
        platforms=tuple(_platform(one) for one in values.get("platforms", ())),
        gc_policies=tuple(_gc_policy(one) for one in values.get("GCPolicy", ())),
    )


def _platform(values: Mapping[str, Any]) -> Platform:
    return Platform(
        os=values.get("OS", ""),
        architecture=values.get("Architecture", ""),
        variant=values.get("Variant", ""),
        os_version=values.get("OSVersion", ""),
        os_features=tuple(values.get("OSFeatures", ())),
    )


def _gc_policy(values: Mapping[str, Any]) -> GCPolicy:
    return GCPolicy(
        all=values.get("all", False),
        filters=tuple(values.get("filters", ())),
        keep_duration=values.get("keepDuration", 0),
        reserved_space=values.get("reservedSpace", 0),
        max_used_space=values.get("maxUsedSpace", 0),
        min_free_space=values.get("minFreeSpace", 0),
    )
