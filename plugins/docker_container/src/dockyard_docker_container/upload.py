"""What is put into a container before it starts: configuration, certificates, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.engine.http import request
from dockyard.errors import BootstrapError
from dockyard_docker_container.container import CONFIG_DIRECTORY
from dockyard_docker_container.state import container_path, engine_of

_SECONDS = 60.0


def upload(node: Node, files: Mapping[str, bytes], cancel: Cancellation) -> None:
    """Put files below BuildKit's configuration directory in the node's container.

    Raises:
        BootstrapError: A path leads elsewhere.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    if not files:
        return
    directory = PurePosixPath(CONFIG_DIRECTORY)
    request(
        engine_of(node),
        "PUT",
        f"{container_path(node)}/archive?noOverwriteDirNonDir=true&path=%2F{directory.parent.name}",
        headers=(("Content-Type", "application/x-tar"),),
        body=archive(files, directory.name),
        timeout=_SECONDS,
        cancel=cancel,
    )


def archive(files: Mapping[str, bytes], directory: str) -> bytes:
    """Make a tar of files below a directory: the directories first, then the files, by name.

    Raises:
        BootstrapError: A path leads elsewhere, or is a directory and a file.
    """
    import io
    import tarfile

    paths = {_checked(name): content for name, content in files.items()}
    directories = {parent for path in paths for parent in path.parents if parent.name}
    for path in paths:
        if path in directories:
            raise BootstrapError(f'config file path "{path}" conflicts with directory')
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in (PurePosixPath(), *sorted(directories)):
            entry = tarfile.TarInfo(str(directory / path))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in sorted(paths.items()):
            entry = tarfile.TarInfo(str(directory / path))
            entry.mode, entry.size = 0o644, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or set(name) & {"\\", "\0"}:
        raise BootstrapError(f'invalid config file path "{name}"')
    return path
