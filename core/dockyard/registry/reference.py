"""Names of images, in full: registry, repository, and a tag or a digest."""

from __future__ import annotations

import re
from typing import NamedTuple

from dockyard.errors import InputError

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HOST = r"(?a)(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_PART}(?:/{_PART})*"
_TAG = r"(?a)\w[\w.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
"""The digests that can be checked."""


class Reference(NamedTuple):
    """One image, or one repository where it does not matter which of its images."""

    registry: str
    """Host and port as people write them, ``docker.io`` for Docker Hub."""
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        """Host and port of the registry's server."""
        return _HUB_HOST if self.registry == HUB else self.registry

    @property
    def name(self) -> str:
        """The repository's name, in full."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag or "latest"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as it stands on a command line.

        Raises:
            InputError: It is none.
        """
        name, at, digest = text.partition("@")
        first, slash, rest = name.partition("/")
        if slash and (any(mark in first for mark in ".:") or first == "localhost"):
            registry, path = first, rest
        else:
            registry, path = HUB, name
        repository, colon, tag = path.partition(":")
        if registry in _HUB_ALIASES:
            registry = HUB
            repository = repository if "/" in repository else f"library/{repository}"
        parts = [(_HOST, registry), (_REPOSITORY, repository)]
        parts += [(_TAG, tag)] if colon else []
        parts += [(DIGEST, digest)] if at else []
        if not all(re.fullmatch(pattern, part) for pattern, part in parts):
            raise InputError(f'invalid reference "{text}"')
        return cls(registry, repository, tag, digest)
