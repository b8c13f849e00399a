"""What may keep a pod from being made: accounts, pod security and quotas."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from support.kubernetes.name import quantity
from support.kubernetes.resource import ACCOUNTS, NAMESPACES, PODS, QUOTAS, Json
from support.kubernetes.status import forbidden
from support.kubernetes.store import Store

ENFORCE = "pod-security.kubernetes.io/enforce"
ENFORCE_VERSION = "pod-security.kubernetes.io/enforce-version"


class Admission:
    """The plugins of the real server that matter here."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, namespace: str, pod: Json) -> None:
        """Complete a pod with its account, or refuse it."""
        self._account(namespace, pod)
        _tolerate(pod["spec"])
        self._security(namespace, pod)
        self._quota(namespace, pod)

    def _account(self, namespace: str, pod: Json) -> None:
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if self._store.find(ACCOUNTS, namespace, name) is None:
            words = (
                f"error looking up service account {namespace}/{name}: "
                f'serviceaccount "{name}" not found'
            )
            # The end of the name is made up later.
            name = pod["metadata"].get("generateName") or pod["metadata"]["name"]
            raise forbidden(PODS, name, words)

    def _security(self, namespace: str, pod: Json) -> None:
        found = self._store.get(NAMESPACES, "", namespace)
        labels = found["metadata"].get("labels", {})
        level = labels.get(ENFORCE, "privileged")
        if level == "privileged":
            return
        breaches = list(_baseline(pod))
        if breaches:
            version = labels.get(ENFORCE_VERSION, "latest")
            words = f'violates PodSecurity "{level}:{version}": {", ".join(breaches)}'
            raise forbidden(PODS, pod["metadata"]["name"], words)

    def _quota(self, namespace: str, pod: Json) -> None:
        name = pod["metadata"]["name"]
        running = [
            other
            for other in self._store.all(PODS, namespace)
            if other["status"]["phase"] not in ("Failed", "Succeeded")
        ]
        for quota in self._store.all(QUOTAS, namespace):
            title, hard = quota["metadata"]["name"], quota["spec"].get("hard", {})
            unset = sorted(key for key in hard if "." in key and not _has(pod, key))
            if unset:
                containers = ",".join(item["name"] for item in pod["spec"]["containers"])
                listed = "; ".join(f"{key} for: {containers}" for key in unset)
                raise forbidden(PODS, name, f"failed quota: {title}: must specify {listed}")
            over = [
                key
                for key in sorted(hard)
                if sum((_use(other, key) for other in running), _use(pod, key))
                > quantity(hard[key])
            ]
            if over:
                asked = ",".join(f"{key}={_asked(pod, key)}" for key in over)
                used = {
                    key: sum((_use(other, key) for other in running), Decimal()) for key in over
                }
                now = ",".join(f"{key}={_plain(used[key])}" for key in over)
                limited = ",".join(f"{key}={hard[key]}" for key in over)
                words = (
                    f"exceeded quota: {title}, requested: {asked}, used: {now}, limited: {limited}"
                )
                raise forbidden(PODS, name, words)


def _tolerate(spec: Json) -> None:
    """Let a pod stay a while on a node that fails, as every pod may."""
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(one.get("key") in (None, "", key) for one in tolerations):
            entry = {"key": key, "operator": "Exists", "effect": "NoExecute"}
            tolerations.append({**entry, "tolerationSeconds": 300})


def _baseline(pod: Json) -> Iterator[str]:
    containers = _containers(pod)
    privileged = [item["name"] for item in containers if _security_of(item).get("privileged")]
    if privileged:
        yield (f"privileged ({_listed(privileged)} must not set securityContext.privileged=true)")
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod["spec"].get(key):
            yield f"host namespaces ({key}=true)"
    paths = [volume["name"] for volume in pod["spec"].get("volumes", []) if "hostPath" in volume]
    if paths:
        yield f'hostPath volumes (volume "{paths[0]}")'
    open_profile = [
        item["name"]
        for item in containers
        if _security_of(item).get("seccompProfile", {}).get("type") == "Unconfined"
    ]
    if open_profile:
        yield (
            f"seccompProfile ({_listed(open_profile)} must not set "
            'securityContext.seccompProfile.type to "Unconfined")'
        )
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    notes = pod["metadata"].get("annotations", {})
    for key, value in notes.items():
        if key.startswith(prefix) and value == "unconfined":
            yield f'forbidden AppArmor profile ({key}="{value}")'


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f'container "{names[0]}"'
    return "containers " + ", ".join(f'"{name}"' for name in names)


def _containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _security_of(container: Json) -> Json:
    security: Json = container.get("securityContext", {})
    return security


def _split(key: str) -> tuple[str, str]:
    group, _, resource = key.partition(".")
    return group, resource


def _has(pod: Json, key: str) -> bool:
    group, resource = _split(key)
    if group not in ("requests", "limits") or resource == "storage":
        return True
    return all(resource in item["resources"].get(group, {}) for item in pod["spec"]["containers"])


def _use(pod: Json, key: str) -> Decimal:
    if key in ("pods", "count/pods"):
        return Decimal(1)
    group, resource = _split(key)
    if group in ("cpu", "memory") and not resource:
        group, resource = "requests", group
    amounts = [
        item["resources"].get(group, {}).get(resource, "0") for item in pod["spec"]["containers"]
    ]
    return sum((quantity(amount) for amount in amounts), Decimal())


def _asked(pod: Json, key: str) -> str:
    return _plain(_use(pod, key))


def _plain(number: Decimal) -> str:
    if number and number == number.to_integral_value():
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20)):
            if number % size == 0:
                return f"{int(number) // size}{unit}"
        return str(int(number))
    return f"{int(number * 1000)}m" if number else "0"
