"""The archive of configuration files that is put into a container."""

from __future__ import annotations

import io
import tarfile

import pytest

from dockyard.errors import BootstrapError
from dockyard_docker_container.upload import archive


def test_directories_come_first_and_everything_is_sorted() -> None:
    files = {"certs/r.test/ca.pem": b"ca", "buildkitd.toml": b"debug = true\n", "a": b""}

    with tarfile.open(fileobj=io.BytesIO(archive(files, "buildkit"))) as tar:
        entries = [(entry.name, entry.isdir(), entry.mode) for entry in tar]
        content = tar.extractfile("buildkit/buildkitd.toml")
        assert content is not None
        assert content.read() == b"debug = true\n"

    assert entries == [
        ("buildkit", True, 0o755),
        ("buildkit/certs", True, 0o755),
        ("buildkit/certs/r.test", True, 0o755),
        ("buildkit/a", False, 0o644),
        ("buildkit/buildkitd.toml", False, 0o644),
        ("buildkit/certs/r.test/ca.pem", False, 0o644),
    ]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b", "", "."])
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(BootstrapError, match="invalid config file path"):
        archive({name: b""}, "buildkit")


def test_a_file_cannot_be_a_directory_as_well() -> None:
    with pytest.raises(BootstrapError, match='config file path "a" conflicts with directory'):
        archive({"a": b"", "a/b": b""}, "buildkit")
