"""What a driver and the core say to each other. Public: drivers are written against this."""

from __future__ import annotations

from dockyard.driver.connection import Buffer, ByteStream, Connection, Headers
from dockyard.driver.feature import Feature, Level, Support
from dockyard.driver.node import (
    Booted,
    GCPolicy,
    Node,
    NodeFeatures,
    NodeStatus,
    Removed,
    State,
    Stopped,
    Supported,
    Worker,
)
from dockyard.driver.option import Option, boolean, parse_options, text
from dockyard.driver.progress import Progress, Step
from dockyard.driver.request import (
    BuildRequest,
    BuildResult,
    CacheEntry,
    Image,
    ImageBlob,
    ImageContent,
    LoadResult,
    Output,
    PushResult,
    SshAgent,
)
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
