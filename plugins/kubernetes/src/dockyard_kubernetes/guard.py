"""What a person's template must leave alone, because the builder would not work without it."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import normpath
from typing import Any

from dockyard_kubernetes.option import BUILDER, NODE, PLATFORM
from dockyard_kubernetes.pod import CONTAINER
from dockyard_kubernetes.typecheck import TemplateError

_Object = Mapping[str, Any]

_HERE = f"spec.containers[name={CONTAINER}]"


def check_builder(before: _Object, after: _Object) -> None:
    """Compare a template of ours with what a person's made of it.

    Raises:
        TemplateError: The builder would break; names the field.
    """
    _check_metadata(before["metadata"], after.get("metadata", {}))
    spec = after.get("spec", {})
    ours, theirs = _container(before["spec"]), _container(spec)
    if ours is None or theirs is None:
        raise TemplateError(
            f"spec.containers: the container {CONTAINER} must stay", hint="BuildKit runs in it"
        )
    _check_container(ours, theirs)
    if spec.get("restartPolicy", "Always") != "Always":
        raise TemplateError("spec.restartPolicy: a builder's pods are always restarted")
    _check_mounts(before["spec"], spec, ours, theirs)


def _container(spec: _Object) -> _Object | None:
    found = (each for each in spec.get("containers", ()) if each["name"] == CONTAINER)
    return next(found, None)


def _check_metadata(before: _Object, after: _Object) -> None:
    labels = after.get("labels", {})
    for name, value in before["labels"].items():
        if labels.get(name) != value:
            raise TemplateError(
                f"metadata.labels.{name} belongs to the builder", hint="its pods are found by it"
            )
    old, new = before.get("annotations", {}), after.get("annotations", {})
    for name in (PLATFORM, BUILDER, NODE):
        if old.get(name) != new.get(name):
            raise TemplateError(f"metadata.annotations.{name} belongs to the builder")


def _check_container(ours: _Object, theirs: _Object) -> None:
    hint = "flags of buildkitd are given with --buildkitd-flags"
    for field in ("command", "args", "restartPolicy"):
        if theirs.get(field) != ours.get(field):
            raise TemplateError(
                f"{_HERE}.{field} belongs to the builder",
                hint=None if field == "restartPolicy" else hint,
            )
    if not theirs.get("readinessProbe"):
        raise TemplateError(
            f"{_HERE}.readinessProbe must stay", hint="builds wait for it; its times may change"
        )


def _check_mounts(before: _Object, after: _Object, ours: _Object, theirs: _Object) -> None:
    """Make sure that configuration and build cache are where BuildKit looks for them."""
    mounts = theirs.get("volumeMounts", ())
    for mount in ours.get("volumeMounts", ()):
        path = mount["mountPath"]
        # The same place may be written in several ways: the API server would take them all.
        if [each for each in mounts if normpath(each["mountPath"]) == path] != [mount]:
            raise TemplateError(f"{_HERE}.volumeMounts[mountPath={path}] belongs to the builder")
    volumes = {each["name"]: each for each in after.get("volumes", ())}
    for volume in before.get("volumes", ()):
        name = volume["name"]
        is_kept = name in volumes and ("configMap" not in volume or volumes[name] == volume)
        if not is_kept:
            raise TemplateError(f"spec.volumes[name={name}] belongs to the builder")
