"""A build, as it is asked for, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import define, field, frozen

from dockyard.events import VertexWarning
from dockyard.platforms import Platform

if TYPE_CHECKING:
    from dockyard.engine.credential import Credentials


@frozen(kw_only=True)
class Output:
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


@frozen(kw_only=True)
class CacheEntry:
    """One cache to read from or write to."""

    type: str
    attributes: Mapping[str, str] = field(factory=dict, repr=_without_secrets)

    @property
    def has_secrets(self) -> bool:
        """Whether the attributes hold what nobody may see."""
        return not SECRET_ATTRIBUTES.isdisjoint(self.attributes)


@frozen(kw_only=True)
class SshAgent:
    """Keys that steps may sign with over ssh, without ever seeing them: an agent, or files."""

    id: str = "default"
    """By which a step asks for it."""
    socket: str = ""
    """Where an agent listens; it is asked for its keys and to sign, and for nothing else."""
    keys: tuple[str, ...] = ()
    """Instead: private keys without a passphrase, by path. A socket's path may stand alone."""


@frozen(kw_only=True)
class BuildRequest:
    """Everything that says what to build. Checked when it is made from text, never after."""

    build_context: str = "."
    """A directory, ``-`` for ``stdin``, or a git or HTTP URL."""
    dockerfile: str | None = None
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
    build_contexts: Mapping[str, str] = field(factory=dict)
    """By name: what stands for ``FROM`` or ``--from`` of that name. A directory, an URL, or what
    begins with ``docker-image://`` or ``oci-layout://``."""
    policies_disabled: bool = False
    """Whether a policy in Rego beside the Dockerfile is left aside; it ends the build otherwise."""
    git: Mapping[str, str] = field(factory=dict)
    """What the frontend is told of the git repository around the context. Found when the build
    begins, unless it is given."""
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


@frozen(kw_only=True)
class BuildResult:
    """What a finished build left."""

    ref: str
    """``<builder>/<node>/<id>``, the name of the build's record; empty when it has none."""
    response: Mapping[str, str] = field(factory=dict)
    """What the exporters answered, in BuildKit's own keys."""
    warnings: tuple[VertexWarning, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the manifest or index; the image's id on a classic image store."""
        return self.response.get("containerimage.digest", "")

    @property
    def image_id(self) -> str:
        """What ``docker image ls`` calls the image; empty when none was made."""
        return self.response.get("containerimage.config.digest", "") or self.digest

    @property
    def names(self) -> tuple[str, ...]:
        """The image's names, in full."""
        return tuple(filter(None, self.response.get("image.name", "").split(",")))

    @property
    def metadata(self) -> dict[str, Any]:
        """The content of the metadata file: the answers, those that hold JSON taken apart."""
        values: dict[str, Any] = {
            key: _parsed(value) if key == _RESULT else _decoded(value)
            for key, value in self.response.items()
        }
        if self.ref:
            values["buildx.build.ref"] = self.ref
        return dict(sorted(values.items()))


_RESULT = "result.json"
_DEEPEST = 100
"""How deep JSON of a daemon may be nested, to be written again without harm."""


def _parsed(value: str | bytes) -> Any:  # noqa: ANN401  # it is whatever JSON the frontend sent
    """Give the JSON value that a text is, or the text itself."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if _is_shallow(found, _DEEPEST) else value


def _decoded(value: str) -> Any:  # noqa: ANN401  # it is whatever JSON the daemon sent
    """Give the JSON object that a base64 text holds, or the text itself."""
    import base64

    try:
        decoded = _parsed(base64.b64decode(value, validate=True))
    except ValueError:
        return value
    if isinstance(decoded, dict) and decoded:
        return decoded
    if isinstance(decoded, list) and decoded and all(isinstance(item, dict) for item in decoded):
        return decoded
    return value


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in value)


@frozen(kw_only=True)
class ImageBlob:
    """One piece of an image, as a registry or a content store knows it."""

    digest: str
    size: int
    media_type: str
    diff_id: str = ""
    """Of a layer: the digest of what it unpacks to, by which classic image stores know it."""


@define(eq=False, kw_only=True)
class ImageContent:
    """An image for one platform, piece by piece; its layers still lie where it was built."""

    manifest: ImageBlob
    config: ImageBlob
    layers: tuple[ImageBlob, ...]
    """From the bottom up. The same blob may be there more than once."""
    index: ImageBlob | None = None
    """What names the manifest, where something is attested of the image; the image is known by
    it then."""
    attested: tuple[ImageBlob, ...] = ()
    """All else that the index leads to."""
    _opener: Callable[[ImageBlob], BinaryIO] = field(repr=False)

    @property
    def root(self) -> ImageBlob:
        """What the image is known by in a store that knows images by their manifests."""
        return self.index or self.manifest

    def open(self, blob: ImageBlob) -> BinaryIO:
        """Give one of the blobs as a file to read from, which has to be closed.

        One at a time, and from the thread that was given the image. What is read is checked
        against the digest; reading raises our own errors.
        """
        return self._opener(blob)


@define(eq=False, kw_only=True)
class Image:
    """A build's image on its way into an engine."""

    names: tuple[str, ...] = ()
    image_id: str = ""
    """The id the build reported, as the engine's store will know it; empty while the image still
    streams."""
    stream: BinaryIO | None = None
    """The image as a Docker or OCI archive; None when it already lies in the node's store."""
    content: ImageContent | None = None
    """The same, for who can do with less than all of it. Either is read, never both."""
    credentials: Credentials | None = field(default=None, repr=False)
    """What docker's configuration knows about registries, for who pushes the image."""


@frozen(kw_only=True)
class LoadResult:
    """Answer: the image is in the engine."""

    image_id: str = ""
    names: tuple[str, ...] = ()


@frozen(kw_only=True)
class PushResult:
    """Answer: the image is in the registry."""

    digest: str = ""
    """The digest that the registry knows the image by."""
