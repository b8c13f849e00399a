"""Try each feature on a builder: what a node has works, and what it lacks is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import quote

import pytest

from dockyard.api import BuildOptions
from dockyard.conformance.bench import Bench
from dockyard.conformance.image import (
    Files,
    ImageError,
    get,
    read_docker_archive,
    read_oci_archive,
    read_registry,
)
from dockyard.conformance.sample import NOTE, Sample, make_sample
from dockyard.driver import Feature
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request
from dockyard.errors import (
    DockyardError,
    EngineError,
    HookNotAnsweredError,
    UnsupportedFeatureError,
)

Check = Callable[[Bench, str, bool], None]
"""Tries a feature on a builder; the last argument says whether its node has it."""

_PLATFORMS = ("linux/amd64", "linux/arm64")


def check_automatic_load(bench: Bench, name: str, has: bool) -> None:
    """Build without an output, and look into the engine."""
    if not bench.subject.engine:
        pytest.skip("not tried: give Subject(engine=...), where images are loaded")
    sample = make_sample(bench.home)
    tag = f"conformance-{sample.mark}:1"
    engine = EngineEndpoint(host=bench.subject.engine)
    with bench.promised("a build without an output fails"):
        built = bench.build(name, sample.context, tags=[tag])
    try:
        mark = _mark_of(engine, tag)
    finally:
        _remove_image(engine, tag)
    warned = any("No output specified" in warning for warning in built.warnings)
    if has and mark != sample.mark:
        bench.fault(f"{_has(Feature.AUTO_LOAD)}, but a build without an output loads no image")
    if not has and (mark or not warned):
        loaded = "loads an image" if mark else "is not warned of"
        bench.fault(f"{_lacks(Feature.AUTO_LOAD)}, but a build without an output {loaded}")


def check_tarball(bench: Bench, name: str, has: bool) -> None:
    """Write archives of both kinds, and read them."""
    sample = make_sample(bench.home)
    tag = f"conformance-{sample.mark}:1"
    oci, docker = (Path(f"{sample.context}.{kind}") for kind in ("oci", "docker"))
    if not has:
        _expect_refusal(bench, name, Feature.TARBALL, sample, outputs=[f"type=oci,dest={oci}"])
        _expect_refusal(
            bench, name, Feature.TARBALL, sample, outputs=[f"type=docker,dest={docker}"]
        )
        return
    promise = _has(Feature.TARBALL)
    with bench.promised(f"{promise}, but a build with -o type=oci fails"):
        bench.build(name, sample.context, outputs=[f"type=oci,dest={oci}"])
    with bench.promised(f"{promise}, but a build with -o type=docker,dest=FILE fails"):
        bench.build(name, sample.context, tags=[tag], outputs=[f"type=docker,dest={docker}"])
    try:
        found = [*read_oci_archive(oci).values(), read_docker_archive(docker)[1]]
        names = read_docker_archive(docker)[0]
    except ImageError as error:
        bench.fault(f"{promise}, but what is written is {error}")
    _expect_content(bench, promise, sample, found)
    if not any(each.endswith(tag) for each in names):
        bench.fault(f"{promise}, but the Docker archive lacks the image's name {tag}")


def check_several_platforms(bench: Bench, name: str, has: bool) -> None:
    """Build for two platforms at once, without running anything."""
    sample = make_sample(bench.home)
    folder = Path(f"{sample.context}.out")
    local = [f"type=local,dest={folder}"]
    if not has:
        _expect_refusal(
            bench, name, Feature.MULTI_PLATFORM, sample, platforms=_PLATFORMS, outputs=local
        )
        return
    promise = _has(Feature.MULTI_PLATFORM)
    archive = Path(f"{sample.context}.oci")
    archives = bench.features(bench.node(name)).has(Feature.TARBALL)
    outputs = [f"type=oci,dest={archive}"] if archives else local
    with bench.promised(f"{promise}, but a build for two platforms fails"):
        bench.build(name, sample.context, platforms=_PLATFORMS, outputs=outputs)
    try:
        found = read_oci_archive(archive) if archives else _read_folders(folder)
    except ImageError as error:
        bench.fault(f"{promise}, but what a build for two platforms writes is {error}")
    if set(found) != set(_PLATFORMS):
        had = ", ".join(sorted(found)) or "nothing"
        bench.fault(f"{promise}, but a build for {' and '.join(_PLATFORMS)} has {had}")
    _expect_content(bench, promise, sample, list(found.values()))


def check_cache_export(bench: Bench, name: str, has: bool) -> None:
    """Write a cache to a registry, and build from it."""
    sample = make_sample(bench.home)
    local = [f"type=local,dest={sample.context}.out"]
    repository = f"conformance-{sample.mark}"
    place = f"type=registry,ref={bench.subject.registry or 'registry.invalid'}/{repository}:cache"
    if not has:
        _expect_refusal(bench, name, Feature.CACHE_EXPORT, sample, cache_to=[place], outputs=local)
        return
    registry = _registry(bench)
    promise = _has(Feature.CACHE_EXPORT)
    with bench.promised(f"{promise}, but a build with --cache-to type=registry fails"):
        bench.build(name, sample.context, cache_to=[f"{place},mode=max"], outputs=local)
    try:
        get(registry, f"/v2/{repository}/manifests/cache")
    except ImageError as error:
        bench.fault(f"{promise}, but --cache-to type=registry writes no cache: {error}")
    with bench.fresh(name) as other, bench.promised(f"{promise}, but using the cache fails"):
        built = bench.build(other, sample.context, cache_from=[place], outputs=local)
    imports = [step for step in built.vertexes if "importing cache" in step.name]
    copied = any(f"COPY {NOTE}" in step.name and step.cached for step in built.vertexes)
    if not imports or any(step.error for step in imports) or not copied:
        bench.fault(f"{promise}, but a build with --cache-from does not use what was written")


def check_push(bench: Bench, name: str, has: bool) -> None:
    """Push an image; where BuildKit cannot, the driver has to, or to say that nobody can."""
    registry = _registry(bench)
    sample = make_sample(bench.home)
    repository = f"conformance-{sample.mark}"
    promise = _has(Feature.DIRECT_PUSH) if has else _lacks(Feature.DIRECT_PUSH)
    tag = f"{registry}/{repository}:1"
    try:
        bench.build(name, sample.context, tags=[tag], push=True)
    except HookNotAnsweredError as error:
        if has or error.hook != "dockyard_push":
            bench.fault(f"{promise}, but pushing fails: {error}")
        return
    except DockyardError as error:
        bench.fault(f"{promise}, but pushing fails: {error}")
    finally:
        if bench.subject.engine:
            _remove_image(EngineEndpoint(host=bench.subject.engine), tag)
    try:
        found = read_registry(registry, repository, "1")
    except ImageError as error:
        bench.fault(f"{promise}, but what is pushed is no image: {error}")
    _expect_content(bench, promise, sample, list(found.values()))


CHECKS: Mapping[Feature, Check] = {
    Feature.AUTO_LOAD: check_automatic_load,
    Feature.TARBALL: check_tarball,
    Feature.MULTI_PLATFORM: check_several_platforms,
    Feature.CACHE_EXPORT: check_cache_export,
    Feature.DIRECT_PUSH: check_push,
}
"""All features that show in builds."""


class DaemonConfig:
    """A ``buildkitd.toml`` that shows wherever it arrives."""

    LABEL = "dev.dockyard.conformance"

    def __init__(self, folder: Path) -> None:
        self.mark = os.urandom(8).hex()
        self.path = folder / f"{self.mark}.toml"
        self.path.write_text(f'[worker.oci.labels]\n"{self.LABEL}" = "{self.mark}"\n')

    def arrived(self, bench: Bench, name: str) -> bool:
        """Say whether the builder's daemon was given the file."""
        if bench.subject.read_config is not None:
            return self.mark.encode() in bench.subject.read_config(name)
        workers = bench.workers(bench.node(name))
        return any(worker.labels.get(self.LABEL) == self.mark for worker in workers)


def check_config_refusal(bench: Bench) -> None:
    """Give a ``buildkitd.toml`` to a driver that takes none."""
    promise = _lacks(Feature.BUILDKIT_CONFIG)
    driver = bench.subject.driver
    if not bench.declared.creatable:
        words = bench.declared.config_refusal
    else:
        try:
            with bench.builder(config=DaemonConfig(bench.home).path):
                words = ""
        except DockyardError as error:
            words = str(error)
    if not words:
        bench.fault(f"{promise}, but takes a buildkitd.toml; refuse it with config_refusal")
    if driver not in words:
        bench.fault(f"{promise}, but refuses a buildkitd.toml without its name: {words}")


def _expect_refusal(
    bench: Bench, name: str, feature: Feature, sample: Sample, **options: Unpack[BuildOptions]
) -> None:
    """Ask for what the node lacks: an error that names it, before anything is sent."""
    before = bench.sent
    try:
        bench.build(name, sample.context, **options)
    except UnsupportedFeatureError as error:
        if error.feature != feature or bench.subject.driver not in str(error):
            bench.fault(f"{_lacks(feature)}, but is refused with: {error}")
    except DockyardError as error:
        bench.fault(f"{_lacks(feature)}, but a build that needs it is not refused: {error}")
    else:
        bench.fault(f"{_lacks(feature)}, but a build that needs it succeeds")
    if bench.sent != before:
        bench.fault(f"{_lacks(feature)}, but a build that needs it is sent to the node")


def _expect_content(bench: Bench, promise: str, sample: Sample, found: list[Files]) -> None:
    if not found or any(files.get(NOTE) != sample.content for files in found):
        bench.fault(f"{promise}, but the image does not have the content that was built")


def _has(feature: Feature) -> str:
    return f'has the feature "{feature.label}"'


def _lacks(feature: Feature) -> str:
    return f'lacks the feature "{feature.label}"'


def _registry(bench: Bench) -> str:
    if not bench.subject.registry:
        pytest.skip("not tried: give Subject(registry=...), which images are pushed to")
    return bench.subject.registry


def _read_folders(folder: Path) -> dict[str, Files]:
    """Read what ``-o type=local`` writes for several platforms."""
    return {
        path.name.replace("_", "/"): {file.name: file.read_bytes() for file in path.iterdir()}
        for path in folder.iterdir()
        if path.is_dir()
    }


def _mark_of(engine: EngineEndpoint, tag: str) -> str:
    """Give the label of an image in an engine; empty when there is no such image."""
    try:
        content: Any = json.loads(request(engine, "GET", f"/images/{quote(tag)}/json").body)
    except EngineError as error:
        if error.status == 404:
            return ""
        raise
    return str((content["Config"].get("Labels") or {}).get("mark", ""))


def _remove_image(engine: EngineEndpoint, tag: str) -> None:
    try:
        request(engine, "DELETE", f"/images/{quote(tag)}?force=true")
    except EngineError as error:
        if error.status != 404:
            raise
