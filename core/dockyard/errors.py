"""Every error that Dockyard raises, on one page.

An error says in one line what was wrong, in lower case and without a full stop: it names the
thing and quotes it. What to do about it stands in ``hint``. ``exit_code`` is what the command
line exits with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class DockyardError(Exception):
    """Base of all errors that are not a mistake in the program itself."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(DockyardError):
    """The command line itself is wrong: an unknown flag, a missing argument."""

    exit_code = 2


class FlagError(UsageError):
    """A flag is unknown, lacks its value, or has a wrong one. Docker has an exit code for it."""


class CanceledError(DockyardError):
    """The caller, or Ctrl-C, ended the work."""

    exit_code = 130

    def __init__(self, message: str = "context canceled") -> None:
        super().__init__(message)


class InputError(DockyardError):
    """A value that a person gave cannot be used: a flag's value, an option, a reference."""


class ConfigError(DockyardError):
    """A configuration file (docker's or ours) cannot be read or makes no sense."""


# --- builders and their records ------------------------------------------------------------


class StoreError(DockyardError):
    """The builder records on disk cannot be read or written."""


class InvalidNameError(InputError):
    """A builder's or node's name breaks the rule for names."""

    def __init__(self, name: str) -> None:
        self.name = name
        shown = name if name.isprintable() else repr(name)
        super().__init__(
            f"invalid name {shown}, name needs to start with a letter "
            "and may not contain symbols, except ._-"
        )


class BuilderNotFoundError(DockyardError):
    """No stored builder and no docker context has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f'no builder "{name}" found')


class BuilderError(DockyardError):
    """A builder cannot be made, changed or used as asked."""


# --- plugins and drivers -------------------------------------------------------------------


class PluginError(DockyardError):
    """An installed plugin is broken or does not fit."""


class PluginLoadError(PluginError):
    """A plugin's entry point cannot be imported, or what it names is no plugin."""

    def __init__(self, name: str, distribution: str, reason: str) -> None:
        self.name = name
        self.distribution = distribution
        super().__init__(
            f"plugin {name!r} of {distribution} cannot be loaded: {reason}",
            hint=f"fix or uninstall it, or switch it off with DOCKYARD_DISABLE_PLUGINS={name}",
        )


class DriverConflictError(PluginError):
    """Two installed distributions offer a driver of the same name."""

    def __init__(self, name: str, providers: Iterable[str]) -> None:
        self.name = name
        self.providers = tuple(sorted(providers))
        super().__init__(
            f"driver {name!r} is provided by both {' and '.join(self.providers)}",
            hint="uninstall one of them",
        )


class DriverNotFoundError(PluginError):
    """No installed plugin offers the driver."""

    def __init__(self, name: str, *, installed: Iterable[str], hint: str | None = None) -> None:
        self.name = name
        self.installed = tuple(sorted(installed))
        super().__init__(f'failed to find driver "{name}"', hint=hint)


class HookVersionError(PluginError):
    """A plugin was written for a version of the hook spec that this core does not speak."""

    def __init__(self, distribution: str, theirs: str, ours: str) -> None:
        super().__init__(
            f"{distribution} is written for hook-spec version {theirs}, this core has {ours}",
            hint="install versions of dockyard and of the plugin that fit together",
        )


class HookNotAnsweredError(PluginError):
    """A driver left a hook unanswered that it has to answer."""

    def __init__(self, driver: str, hook: str) -> None:
        self.driver = driver
        self.hook = hook
        super().__init__(f"driver {driver!r} does not answer the hook {hook}")


class DriverError(DockyardError):
    """A driver cannot do what it was asked to."""


class OptionError(DriverError, InputError):
    """A driver option is unknown or has a wrong value."""


class EndpointError(DriverError, InputError):
    """An endpoint is malformed or of a kind that the driver does not know."""


class BootstrapError(DriverError):
    """A node's BuildKit did not come up."""


class ConnectError(DriverError):
    """A node's BuildKit, or the engine that holds it, cannot be reached."""


class UnsupportedFeatureError(DriverError):
    """A build needs a feature that its node does not have. Raised before anything is sent."""

    def __init__(self, message: str, *, feature: str, driver: str, hint: str | None) -> None:
        self.feature = feature
        self.driver = driver
        super().__init__(message, hint=hint)


# --- engines -------------------------------------------------------------------------------


class EngineError(DockyardError):
    """A Docker Engine refused a request; says so in the engine's words."""

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        self.status = status
        super().__init__(message, hint=hint)


class EngineUnreachableError(EngineError, ConnectError):
    """No Docker Engine answers at the address."""


class CredentialError(DockyardError):
    """A credential helper is missing, failed, hung, or answered nonsense; names the helper."""


# --- builds --------------------------------------------------------------------------------


class ContextError(InputError):
    """The build context or the Dockerfile is missing or cannot be read."""


class AgentError(DockyardError):
    """An ssh agent that a build may use cannot be reached, or answers nonsense."""


class OutputError(DockyardError):
    """A build's result cannot be written where it was asked for."""


class TransferError(DockyardError):
    """The other side of a file transfer broke its rules, or asked for what it was not given."""


class ConnectionLostError(DockyardError):
    """The connection to BuildKit broke or fell silent while it was needed."""


class ProtocolError(ConnectionLostError):
    """What came over the connection is not the protocol that was expected."""


class DaemonError(DockyardError):
    """BuildKit answered a call with an error.

    ``code`` is the gRPC code's name as Go spells it, for example ``NotFound``.
    """

    def __init__(self, message: str, *, code: str = "Unknown", hint: str | None = None) -> None:
        self.code = code
        super().__init__(message, hint=hint)

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # depends on the code
        return {"Internal": 100, "ResourceExhausted": 102, "Canceled": 130}.get(self.code, 1)


class ErrorSource(NamedTuple):
    """Lines of a Dockerfile that a daemon pointed at, counted from 1."""

    filename: str
    first_line: int
    last_line: int
    data: bytes
    """The whole file, as the daemon has it."""

    @property
    def text(self) -> str:
        """The lines themselves."""
        lines = self.data.decode("utf-8", "replace").split("\n")
        return "\n".join(lines[self.first_line - 1 : self.last_line])


class BuildError(DaemonError):
    """A build failed on the daemon. Its subclasses say what kind of failure it was.

    ``excerpts`` are the Dockerfile lines that the daemon pointed at, ready to print, and
    ``sources`` the same as values; ``vertex`` is the digest of the failed step and ``step`` its
    name; ``step_exit_code`` is its process's exit code, and ``stdout`` and ``stderr`` are all that
    it wrote. What the daemon does not tell, is empty.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "Unknown",
        excerpts: Sequence[str] = (),
        sources: Sequence[ErrorSource] = (),
        vertex: str | None = None,
        step: str = "",
        step_exit_code: int | None = None,
        stdout: bytes = b"",
        stderr: bytes = b"",
        stacks: Sequence[str] = (),
    ) -> None:
        self.excerpts = tuple(excerpts)
        self.sources = tuple(sources)
        self.vertex = vertex
        self.step = step
        self.step_exit_code = step_exit_code
        self.stdout = stdout
        self.stderr = stderr
        self.stacks = tuple(stacks)
        super().__init__(message, code=code)


class StepError(BuildError):
    """The process of a ``RUN`` failed."""


class DockerfileError(BuildError):
    """The Dockerfile makes no sense: its syntax, an instruction, a stage that is not there."""


class MissingFileError(BuildError):
    """A file is not there: one that is copied, or the Dockerfile itself."""


class SourceError(BuildError):
    """A base image, git repository or URL cannot be had; it may not exist."""


class DeniedError(BuildError):
    """A registry or another server refuses: the login is missing, wrong, or not enough."""


class SecretError(BuildError):
    """A secret or an ssh agent is needed and was not given."""


class EntitlementError(BuildError):
    """Something needs a permission that was not given, or that the daemon never gives."""


class PolicyError(BuildError):
    """A policy forbids a source."""


class FrontendError(BuildError):
    """The Dockerfile's frontend cannot do what was asked, or cannot be had itself."""


class CapabilityError(FrontendError):
    """The Dockerfile's frontend is too old for something that was asked; says what."""


class ExportError(BuildError):
    """The result was built and cannot be brought where it shall be, or in that form."""


class CacheError(BuildError):
    """A cache cannot be read or written."""


class ResourceError(BuildError):
    """The daemon ran out of something: space, memory, a limit."""
