"""Push an image through an engine whose BuildKit cannot: one with the classic image store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Image, Node, Progress, PushResult, Step
from dockyard.engine.credential import Credentials
from dockyard.engine.image import checked, tagged
from dockyard.engine.layer import Layers
from dockyard.errors import ConnectError, InputError

if TYPE_CHECKING:
    from docker import APIClient

_SILENCE = 300.0
"""Seconds for which an engine may say nothing while it pushes."""


def push(node: Node, image: Image, progress: Progress, cancel: Cancellation) -> PushResult:
    """Push the image by each of its names, and give the digest that its registry knows.

    Raises:
        EngineError: The engine or the registry refuses.
        CredentialError: The credentials for the registry cannot be had.
        CanceledError: ``cancel`` was turned.
    """
    if node.engine is None:
        raise ConnectError("docker driver requires docker API access")
    if not image.names:
        raise InputError("tag is needed when pushing to registry")
    from dockyard.engine.client import api_client, login_for, translated

    credentials = image.credentials or Credentials({})
    digests = []
    with (
        translated(cancel, "the push"),
        api_client(node.engine, silence=_SILENCE, cancel=cancel) as client,
    ):
        for name in map(tagged, image.names):
            cancel.check()
            login = login_for(credentials, name, cancel)
            with progress.step(f"pushing {name} with docker") as step:
                digests.append(_push_one(client, name, login, step, cancel))
    return PushResult(digest=digests[0])


def _push_one(
    client: APIClient, name: str, login: dict[str, str], step: Step, cancel: Cancellation
) -> str:
    repository, _, tag = name.rpartition(":")
    layers = Layers(step, "pushing")
    events = client.push(repository, tag, stream=True, decode=True, auth_config=login)
    digest = ""
    for event in events:
        cancel.check()
        message = checked(event)
        digest = _pushed_digest(message) or digest
        layers.take(message)
    return _registry_digest(client, name, login) or digest


def _registry_digest(client: APIClient, name: str, login: dict[str, str]) -> str:
    """Ask the registry for the digest, through the engine."""
    answer: object = client.inspect_distribution(  # type: ignore[no-untyped-call]  # not in the stubs
        name, auth_config=login
    )
    descriptor = answer.get("Descriptor") if isinstance(answer, dict) else None
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) else ""


def _pushed_digest(event: dict[str, Any]) -> str:
    """Give the digest that the engine says it has pushed."""
    detail = event.get("aux")
    digest = detail.get("Digest") if isinstance(detail, dict) else None
    return digest if isinstance(digest, str) else ""
