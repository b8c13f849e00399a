"""Annotations that belong to an index, among the attributes of an exporter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dockyard.platforms import Platform
from dockyard.registry.descriptor import Descriptor

_KEY = r"annotation-(index|manifest-descriptor)(?:\[([^\]]*)\])?\.(.+)"


class Annotations(NamedTuple):
    """What is said of an index and of what it names."""

    on_index: Mapping[str, str] = MappingProxyType({})
    on_descriptors: tuple[tuple[Platform | None, str, str], ...] = ()
    """Each with the platform that it is for, None for all images."""

    @classmethod
    def take(cls, attributes: Mapping[str, str]) -> tuple[Annotations, dict[str, str]]:
        """Give the annotations in an exporter's attributes, and all other attributes.

        Raises:
            InputError: One is for a platform that is none.
        """
        index: dict[str, str] = {}
        descriptors = []
        others = {}
        for name, value in attributes.items():
            match = re.fullmatch(_KEY, name, re.DOTALL)
            if match is None:
                others[name] = value
            elif match[1] == "index":
                index[match[3]] = value
            else:
                platform = Platform.parse(match[2]) if match[2] else None
                descriptors.append((platform, match[3], value))
        return cls(index, tuple(descriptors)), others

    def annotated(self, manifest: Descriptor) -> Descriptor:
        """Give a manifest's descriptor with the annotations that are for it."""
        platform = manifest.platform
        if platform is None or platform.os == "unknown":  # what is attested of an image, not one
            return manifest
        added = {
            key: value
            for wanted, key, value in self.on_descriptors
            if wanted is None or wanted == platform.normalise()
        }
        if not added:
            return manifest
        all_of_them = {**manifest.more.get("annotations", {}), **added}
        more = {**manifest.more, "annotations": dict(sorted(all_of_them.items()))}
        return manifest._replace(more=more)
