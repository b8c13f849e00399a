"""A pod's volumes, as an engine's volumes and files."""

from __future__ import annotations

import base64
from typing import NamedTuple

from support.kubernetes.name import quantity
from support.kubernetes.resource import CLAIMS, CONFIG_MAPS, SECRETS, Json, Resource
from support.kubernetes.runtime import Runtime
from support.kubernetes.store import Store


class NotYetError(Exception):
    """A volume cannot be mounted; the words are the event's."""


class Mounts(NamedTuple):
    """What one container gets."""

    mounts: list[Json]
    tmpfs: dict[str, str]
    files: dict[str, tuple[bytes, int]]


class Volumes:
    """The volumes of one pod."""

    def __init__(self, store: Store, runtime: Runtime, prefix: str, pod: Json) -> None:
        self._store = store
        self._runtime = runtime
        self._prefix = prefix
        self._namespace = pod["metadata"]["namespace"]
        self._uid = pod["metadata"]["uid"]
        self._volumes: dict[str, Json] = {
            volume["name"]: volume for volume in pod["spec"].get("volumes", [])
        }
        self._made: set[str] = set()

    def check(self) -> None:
        """Make sure that all can be mounted.

        Raises:
            NotYetError: One of them cannot, now.
        """
        for volume in self._volumes.values():
            self._content(volume)

    def of(self, container: Json) -> Mounts:
        """Give a container's part."""
        result = Mounts([], {}, {})
        for mount in container.get("volumeMounts", []):
            volume = self._volumes[mount["name"]]
            if "configMap" in volume or "secret" in volume:
                self._put_files(volume, mount, result)
            elif volume.get("emptyDir", {}).get("medium") == "Memory":
                limit = volume["emptyDir"].get("sizeLimit")
                result.tmpfs[mount["mountPath"]] = f"size={int(quantity(limit))}" if limit else ""
            elif "hostPath" in volume:
                result.mounts.append(
                    {
                        "Type": "bind",
                        "Source": volume["hostPath"]["path"],
                        "Target": mount["mountPath"],
                        "ReadOnly": mount.get("readOnly", False),
                    }
                )
            else:
                result.mounts.append(self._volume(volume, mount))
        return result

    def remove(self) -> None:
        """Remove what was the pod's alone."""
        for name in self._made:
            self._runtime.remove_volume(name)

    def _volume(self, volume: Json, mount: Json) -> Json:
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None:
            name = claim_volume(self._prefix, self._claim(claim))
        else:
            name = f"{self._prefix}-{self._uid}-{volume['name']}"
            self._made.add(name)
        self._runtime.make_volume(name)
        return {
            "Type": "volume",
            "Source": name,
            "Target": mount["mountPath"],
            "ReadOnly": mount.get("readOnly", False),
        }

    def _put_files(self, volume: Json, mount: Json, result: Mounts) -> None:
        source = volume.get("configMap") or volume["secret"]
        content = self._content(volume)
        items = source.get("items") or [{"key": key, "path": key} for key in content]
        for item in items:
            data, mode = content[item["key"]], item.get("mode", source["defaultMode"])
            if mount.get("subPath"):
                if item["path"] == mount["subPath"]:
                    result.files[mount["mountPath"]] = (data, mode)
            else:
                result.files[f"{mount['mountPath'].rstrip('/')}/{item['path']}"] = (data, mode)

    def _content(self, volume: Json) -> dict[str, bytes]:
        if "configMap" in volume:
            source, name = volume["configMap"], volume["configMap"]["name"]
            found = self._need(volume, CONFIG_MAPS, name, optional=source.get("optional", False))
            data = {key: text.encode() for key, text in found.get("data", {}).items()}
            binary = found.get("binaryData", {}).items()
            return data | {key: base64.b64decode(text) for key, text in binary}
        if "secret" in volume:
            source, name = volume["secret"], volume["secret"]["secretName"]
            found = self._need(volume, SECRETS, name, optional=source.get("optional", False))
            return {key: base64.b64decode(text) for key, text in found.get("data", {}).items()}
        return {}

    def _need(self, volume: Json, resource: Resource, name: str, *, optional: bool) -> Json:
        found = self._store.find(resource, self._namespace, name)
        if found is None and not optional:
            words = f'{resource.kind.lower()} "{name}" not found'
            raise NotYetError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {words}')
        return found or {}

    def _claim(self, name: str) -> Json:
        found = self._store.find(CLAIMS, self._namespace, name)
        if found is None:  # it may go while the pod is still being set up
            raise NotYetError(f'persistentvolumeclaim "{name}" not found')
        return found


def claim_volume(prefix: str, claim: Json) -> str:
    """Give the name of the engine's volume that a claim is."""
    return f"{prefix}-claim-{claim['metadata']['uid']}"
