"""Which BuildKit is in which engine."""

from __future__ import annotations

import pytest

from dockyard_docker.version import buildkit_version


@pytest.mark.parametrize(
    ("engine", "buildkit"),
    [
        ("20.10.0", "v0.8.1"),
        ("20.10.3-rc.1", "v0.8.1+68bb095"),
        ("20.10.4", "v0.8.2"),
        ("20.10.16", "v0.8.2+bc07b2b8"),
        ("20.10.19", "v0.8.2+3a1eeca5"),
        ("20.10.23", "v0.8.2+eeb7b65"),
        ("20.10.24+dfsg1", "v0.8+unknown"),
        ("20.10.50", "v0.8+unknown"),
        ("22.06.0-beta.0", "v0.10.3"),
        ("23.0.0-rc.4", "v0.10.6"),
        ("23.0.1", "v0.10.6+4f0ee09"),
        ("23.0.5", "v0.10.6+d52b2d5"),
        ("23.0.10", "v0.10+unknown"),
        ("24.0.7", "24.0.7"),
        ("26.1.5+dfsg1", "26.1.5+dfsg1"),
        ("27.0.1-moby", "27.0.1"),
        ("19.03.13", ""),
        ("dev", "dev"),
    ],
)
def test_the_engine_s_version_tells_buildkit_s(engine: str, buildkit: str) -> None:
    assert buildkit_version(engine) == buildkit
