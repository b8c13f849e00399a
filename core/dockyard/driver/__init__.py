"""What a driver and the core say to each other. Public: drivers are written against this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockyard.driver.connection import Buffer, ByteStream, Connection, Headers
    from dockyard.driver.content import ImageBlob, ImageContent
    from dockyard.driver.feature import Feature, Level, Support
    from dockyard.driver.image import Image, LoadResult, PushResult
    from dockyard.driver.node import Booted, GCPolicy, Node, NodeFeatures, Supported, Worker
    from dockyard.driver.option import Option, parse_options, text
    from dockyard.driver.progress import Progress, Step
    from dockyard.driver.request import BuildRequest, CacheEntry, Output, SshAgent
    from dockyard.driver.result import BuildResult
    from dockyard.driver.status import NodeStatus, Removed, State, Stopped
    from dockyard.driver.truth import boolean
    from dockyard.driver.type import HOOK_SPEC_VERSION, DriverType, EndpointForm

__all__ = [
    "HOOK_SPEC_VERSION",
    "Booted",
    "Buffer",
    "BuildRequest",
    "BuildResult",
    "ByteStream",
    "CacheEntry",
    "Connection",
    "DriverType",
    "EndpointForm",
    "Feature",
    "GCPolicy",
    "Headers",
    "Image",
    "ImageBlob",
    "ImageContent",
    "Level",
    "LoadResult",
    "Node",
    "NodeFeatures",
    "NodeStatus",
    "Option",
    "Output",
    "Progress",
    "PushResult",
    "Removed",
    "SshAgent",
    "State",
    "Step",
    "Stopped",
    "Support",
    "Supported",
    "Worker",
    "boolean",
    "parse_options",
    "text",
]

_PLACES = {
    "connection": {"Buffer", "ByteStream", "Connection", "Headers"},
    "content": {"ImageBlob", "ImageContent"},
    "feature": {"Feature", "Level", "Support"},
    "image": {"Image", "LoadResult", "PushResult"},
    "node": {"Booted", "GCPolicy", "Node", "NodeFeatures", "Supported", "Worker"},
    "option": {"Option", "parse_options", "text"},
    "progress": {"Progress", "Step"},
    "request": {"BuildRequest", "CacheEntry", "Output", "SshAgent"},
    "result": {"BuildResult"},
    "status": {"NodeStatus", "Removed", "State", "Stopped"},
    "truth": {"boolean"},
    "type": {"HOOK_SPEC_VERSION", "DriverType", "EndpointForm"},
}
"""The module of each name. Making one of the classes takes a millisecond: whoever needs it pays."""


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    for place, names in _PLACES.items():
        if name in names:
            import importlib

            value = getattr(importlib.import_module(f"{__name__}.{place}"), name)
            globals()[name] = value  # the next time it is found without coming here
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
