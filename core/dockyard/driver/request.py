"""A build, as it is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from attrs import field, frozen

from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.platforms import Platform


@frozen(kw_only=True, eq=False, repr=False)
class Output(Value):
    """One thing to do with a build's result."""

    type: str
    """``image``, ``docker``, ``oci``, ``local``, ``tar``, ``cacheonly``, or a daemon's own."""
    attributes: Mapping[str, str] = field(factory=dict)
    """Passed to the exporter as they are."""
    dest: str | None = None
    """A path on this machine; ``-`` is ``stdout``; None where the result stays elsewhere."""

    @property
    def is_load(self) -> bool:
        """Whether this means: put the image into a Docker Engine."""
        return self.type == "docker" and self.dest is None

    @property
    def pushes(self) -> bool:
        """Whether the image goes to a registry."""
        return self.attributes.get("push", "false").lower() in {"true", "1", "t"}

    @property
    def deletes(self) -> bool:
        """Whether everything is removed from a directory that the result does not have."""
        return self.type == "local" and self.attributes.get("mode", "").strip().lower() == "delete"


SECRET_ATTRIBUTES = frozenset(
    {"token", "ghtoken", "access_key_id", "secret_access_key", "session_token"}
)
"""What of a cache nobody may see."""


def _without_secrets(attributes: Mapping[str, str]) -> str:
    return repr(
        {key: "***" if key in SECRET_ATTRIBUTES else text for key, text in attributes.items()}
    )


def _without_login(address: str | None) -> str:
    """Show a place, without the user and password that an URL may hold."""
    return repr(address and _hide_login(address))


def _without_logins(addresses: Mapping[str, str]) -> str:
    return repr({name: _hide_login(address) for name, address in addresses.items()})


def _hide_login(address: str) -> str:
    return re.sub(r"^((?:https?|git|ssh)://)[^/?#]*@", r"\1***@", address, flags=re.IGNORECASE)


@frozen(kw_only=True, eq=False, repr=False)
class CacheEntry(Value):
    """One cache to read from or write to."""

    type: str
    attributes: Mapping[str, str] = field(factory=dict, repr=_without_secrets)

    @property
    def has_secrets(self) -> bool:
        """Whether the attributes hold what nobody may see."""
        return not SECRET_ATTRIBUTES.isdisjoint(self.attributes)


@frozen(kw_only=True, eq=False, repr=False)
class SshAgent(Value):
    """Keys that steps may sign with over ssh, without ever seeing them: an agent, or files."""

    id: str = "default"
    """By which a step asks for it."""
    socket: str = ""
    """Where an agent listens; it is asked for its keys and to sign, and for nothing else."""
    keys: tuple[str, ...] = ()
    """Instead: private keys without a passphrase, by path. A socket's path may stand alone."""


@frozen(kw_only=True, eq=False, repr=False)
class BuildRequest(Value):
    """Everything that says what to build.

    Checked when it is made from text. What any daemon would refuse or mistake, such as a tag that
    is none, is looked at again when it is built.
    """

    build_context: str = field(default=".", repr=_without_login)
    """A directory, ``-`` for ``stdin``, or a git or HTTP URL."""
    dockerfile: str | None = field(default=None, repr=_without_login)
    """A path, or ``-`` for ``stdin``; None looks for ``Dockerfile`` in the context."""
    tags: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    """Empty means: the driver's default."""
    target: str = ""
    build_args: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    platforms: tuple[Platform, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    add_hosts: tuple[tuple[str, str], ...] = ()
    """Pairs of host name and address; the address may be ``host-gateway``."""
    network: str = ""
    """``default``, ``none`` or ``host``; empty is default."""
    shm_size: int = 0
    """Bytes; 0 is the daemon's default."""
    ulimits: tuple[str, ...] = ()
    """Each ``name=soft[:hard]``."""
    cgroup_parent: str = ""
    resources: Mapping[str, str] = field(factory=dict)
    """Limits for ``RUN`` by name, such as ``memory``; sizes in bytes."""
    allow: tuple[str, ...] = ()
    """What the build may do beyond the usual: ``network.host`` and the like."""
    attestations: Mapping[str, str] = field(factory=dict)
    """What to attest of the image, by type: attributes, or empty text for nothing. Of types that
    are missing BuildKit attests what it always does."""
    annotations: Mapping[str, str] = field(factory=dict)
    """For the image: values by the exporters' names, such as ``annotation-index.key``."""
    metadata_provenance: str = ""
    """How much provenance the result's metadata shall have: ``min``, ``max`` or none."""
    cache_from: tuple[CacheEntry, ...] = ()
    cache_to: tuple[CacheEntry, ...] = ()
    secrets: Mapping[str, str | bytes] = field(factory=dict, repr=False)
    """By id: the value as bytes, or the path of a file as text."""
    ssh: tuple[SshAgent, ...] = ()
    build_contexts: Mapping[str, str] = field(factory=dict, repr=_without_logins)
    """By name: what stands for ``FROM`` or ``--from`` of that name. A directory, an URL, or what
    begins with ``docker-image://`` or ``oci-layout://``."""
    policies: tuple[str, ...] = ()
    """Which policies in Rego decide on what the build may use, as with ``--policy``; the one beside
    the Dockerfile does in any case, unless this says ``disabled=true``."""
    git: Mapping[str, str] = field(factory=dict)
    """What the frontend is told of the git repository around the context. Found when the build
    begins, unless it is given."""
    source_policy: Mapping[str, object] | None = field(default=None, repr=False)
    """BuildKit's own rules for sources, as its API has them. Read when the build begins from the
    file that ``EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`` names, unless they are given."""
    stdin: BinaryIO | None = field(default=None, repr=False)
    """Where ``-`` reads from."""
    stdout: BinaryIO | None = field(default=None, repr=False)
    """Where an output to ``-`` goes."""
    working_directory: str = "."
    """What relative paths are relative to."""
    ref: str = ""
    """The id that the build's record gets, where several nodes share one; empty makes a new one."""
    multi_platform: bool = False
    """Whether the result names its platform even if it has only one."""
    call: str = ""
    """What to ask the frontend instead of a build, such as ``lint``; the response has the answer
    then. Whoever answers the build hook without BuildKit has to refuse what they cannot ask."""
