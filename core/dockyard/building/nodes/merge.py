"""The index of what several nodes pushed by digest, made and pushed from here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildResult, Progress
from dockyard.errors import OutputError, ProtocolError
from dockyard.registry.annotation import Annotations
from dockyard.registry.client import RegistryClient
from dockyard.registry.descriptor import (
    INDEXES,
    MANIFESTS,
    Descriptor,
    Index,
    flatten,
    make_index,
)
from dockyard.registry.reference import DIGEST, Reference
from dockyard.registry.setting import RegistrySettings, registry_settings


class Push(NamedTuple):
    """An index that goes to registries when all nodes are done."""

    names: tuple[str, ...]
    annotations: Annotations
    insecure: bool = False
    """Whether plain HTTP and untrusted certificates will do."""
    by_digest: bool = False
    """Whether the index gets no tag."""


def push_index(
    push: Push,
    results: Sequence[BuildResult],
    *,
    workbench: Workbench,
    files: Sequence[Mapping[str, bytes]],
    progress: Progress,
    cancel: Cancellation,
) -> Index:
    """Make one index of the nodes' results, and push it under every name.

    Args:
        push: What was asked for.
        results: The nodes', in the order in which they shall stand in the index.
        workbench: What the process's builds share.
        files: All nodes' configuration files; the first that knows a registry says how it is
            reached.
        progress: Where to show it.
        cancel: Ends it.

    Raises:
        OutputError: A registry does not take it, or cannot be reached.
        CredentialError: A registry wants another login.
        ProtocolError: What is in the registry makes no sense.
    """
    client = RegistryClient(
        workbench.credentials,
        partial(_settings, files, insecure=push.insecure),
        variables=workbench.environment.variables,
        cancel=cancel,
    )
    names = [Reference.parse(name) for name in push.names]
    with progress.step(f"merging manifest list {','.join(push.names)}"):
        fetch = partial(_fetch, client, names[0])
        manifests = [
            manifest
            for result in results
            for manifest in flatten(_pushed(client, names[0], result), fetch)
        ]
        index = make_index(
            map(push.annotations.annotated, manifests), annotations=push.annotations.on_index
        )
        for name in names:
            target = name._replace(tag="", digest=index.descriptor.digest)
            client.put(target if push.by_digest else name, index.descriptor, index.data)
    return index


def _settings(
    files: Sequence[Mapping[str, bytes]], registry: str, *, insecure: bool
) -> RegistrySettings:
    if insecure:
        return RegistrySettings(insecure=True)
    known = (registry_settings(each, registry) for each in files)
    return next((settings for settings in known if settings is not None), RegistrySettings())


def _pushed(client: RegistryClient, name: Reference, result: BuildResult) -> Descriptor:
    """Give what a node says that it pushed."""
    found = result.metadata.get("containerimage.descriptor")
    if isinstance(found, dict):
        return Descriptor.read(found)
    if not result.digest:
        raise OutputError(f"build {result.ref} was to push an image, and reports no digest")
    if not re.fullmatch(DIGEST, result.digest):
        raise ProtocolError(f"build {result.ref} reports a digest that cannot be checked")
    return client.describe(name._replace(tag="", digest=result.digest))


def _fetch(client: RegistryClient, name: Reference, descriptor: Descriptor) -> bytes:
    if descriptor.media_type in INDEXES | MANIFESTS:
        return client.manifest(name, descriptor)
    return client.blob(name, descriptor)
