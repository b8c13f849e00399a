"""What a request needs of the BuildKit that is to serve it, whichever driver it stands behind."""

from __future__ import annotations

from collections.abc import Iterator

from dockyard.building.export import ExportPlan
from dockyard.building.grammar.attestation import attestation_attributes, without_artifacts
from dockyard.building.grammar.resource import CAPABILITY as LIMITS
from dockyard.building.grammar.resource import resource_attributes
from dockyard.building.link import Link
from dockyard.building.need import Need, require
from dockyard.config import Environment
from dockyard.driver import BuildRequest, Feature
from dockyard.errors import UnsupportedFeatureError

_SEVERAL = "exporter.multiple"
_ANNOTATIONS = "exporter.image.annotations"
_EPOCH = "exporter.sourcedateepoch"
_IMAGES = frozenset({"image", "oci", "moby"})


class Ability:
    """One node's BuildKit. It is asked only about what not every version can."""

    def __init__(self, link: Link, driver: str, environment: Environment) -> None:
        """Name the BuildKit.

        Args:
            link: The connection, and what the node can do.
            driver: The node's driver.
            environment: Switches some defaults off.
        """
        self._link = link
        self._driver = driver
        self._variables = environment.variables
        self._attests = link.client.keeps_records

    def check(self, request: BuildRequest, plan: ExportPlan) -> None:
        """Refuse what the daemon would ignore.

        Raises:
            UnsupportedFeatureError: It is too old for the request; says for what.
        """
        if len(plan.exports) > 1 and not self._has(_SEVERAL):
            raise UnsupportedFeatureError(
                "multiple outputs currently unsupported by the current BuildKit daemon, please "
                "upgrade to version v0.13+ or use a single output",
                feature=_SEVERAL,
                driver=self._driver,
                hint=None,
            )
        require(_needs(request), self._link.client.capabilities, self._driver)

    def losses(self, request: BuildRequest) -> Iterator[str]:
        """Say what of a request does not reach the image, and why."""
        features = self._link.features
        classic = features.loads_itself and not features.has(Feature.MULTI_PLATFORM)
        if request.annotations and not self._has(_ANNOTATIONS):
            yield f"annotations are ignored: BuildKit lacks {_ANNOTATIONS}, which version 0.11 has"
        elif request.annotations and classic:
            yield "annotations are ignored: the engine's image store has no place for them"
        if self._variables.get("SOURCE_DATE_EPOCH") and not self._has(_EPOCH):
            yield (
                "SOURCE_DATE_EPOCH is only a build argument here, the current BuildKit daemon "
                "gives the image times of its own; version v0.11 does not"
            )

    def attributes(self, request: BuildRequest) -> dict[str, str]:
        """Give the attributes that tell the daemon what to attest.

        Raises:
            UnsupportedFeatureError: It cannot attest anything.
            InputError: A variable makes no sense.
        """
        return attestation_attributes(
            request,
            self._link.features,
            attests=self._attests,
            driver=self._driver,
            variables=self._variables,
        )

    def fitted(self, plan: ExportPlan) -> ExportPlan:
        """Give a plan whose images have the form that a variable may want.

        Raises:
            InputError: The variable makes no sense.
        """
        if not without_artifacts(
            self._link.features, attests=self._attests, variables=self._variables
        ):
            return plan
        exports = tuple(
            export._replace(attributes={"oci-artifact": "false", **export.attributes})
            if export.type in _IMAGES or export.is_load
            else export
            for export in plan.exports
        )
        return plan._replace(exports=exports)

    def _has(self, capability: str) -> bool:
        return capability in self._link.client.capabilities()


def _needs(request: BuildRequest) -> Iterator[Need]:
    if request.ulimits:
        yield Need("--ulimit is", "exec.meta.ulimit", "v0.10")
    if request.shm_size:
        yield Need("--shm-size is", "exec.mount.tmpfs.size", "v0.10")
    if request.cgroup_parent:
        yield Need("--cgroup-parent is", "exec.meta.cgroup.parent", "v0.10")
    if resource_attributes(request.resources):
        names = ", ".join(request.resources)
        hint = "some drivers can limit the whole daemon; see: drivers inspect NAME"
        yield Need(f"resource limits ({names}) are", LIMITS, "v0.31", hint)
