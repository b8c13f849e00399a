"""From a request to what is done: paths, users, rules, faults, and the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote

import attrs

from support.kubernetes import watch
from support.kubernetes.access import ADMIN_GROUP, Attempt, refusal
from support.kubernetes.call import Call, HangUp, Recorded, Reply
from support.kubernetes.fault import DELAY, DROP, LOSE, STATUS, TRUNCATE, Faults
from support.kubernetes.objects import Objects
from support.kubernetes.resource import (
    GROUPS,
    NAMESPACES,
    Json,
    Resource,
    discovery,
    find,
)
from support.kubernetes.runtime import RuntimeFailure
from support.kubernetes.schema import decode
from support.kubernetes.selector import named, parse
from support.kubernetes.status import (
    Refusal,
    bad_request,
    broken,
    forbidden,
    from_the_future,
    internal,
    method_not_allowed,
    no_such_page,
    no_such_resource,
    unauthorized,
)

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_OPEN = ("/healthz", "/livez", "/readyz", "/version")
"""What anybody may ask."""


class Subresources(Protocol):
    """What the node's side of the cluster answers."""

    def logs(self, pod: Json, call: Call) -> Reply: ...

    def exec(self, pod: Json, call: Call) -> Reply: ...


class Api:
    """The whole API."""

    def __init__(self, objects: Objects, faults: Faults, pods: Subresources) -> None:
        self.objects = objects
        self.store = objects.store
        self.faults = faults
        self.requests: list[Recorded] = []
        self.cold_until = 0.0
        """Until when only administrators are known, by the monotonic clock."""
        self._pods = pods

    def answer(self, call: Call, uri: str, gone: Callable[[], bool]) -> tuple[Reply, Recorded]:
        """Do what a request asks.

        Raises:
            HangUp: A fault says so.
        """
        attempt = self._attempt(call)
        verb = attempt.verb if attempt else call.method.lower()
        recorded = Recorded(
            verb,
            uri,
            call.body,
            call.user.name if call.user else "",
            call.headers.get("user-agent", ""),
            attempt,
        )
        self.requests.append(recorded)
        try:
            faults = self.faults.take(attempt)
            for fault in faults:
                if fault.kind == DELAY:
                    _sleep(fault.seconds, gone)
                elif fault.kind == DROP:
                    raise HangUp
                elif fault.kind == STATUS and fault.refusal is not None:
                    raise fault.refusal
            reply = self._answer(call, attempt, gone)
            if any(fault.kind == LOSE for fault in faults):
                raise HangUp
            reply.truncated = any(fault.kind == TRUNCATE for fault in faults)
        except Refusal as refused:
            reply = _refused(refused)
        except RuntimeFailure as failure:
            reply = _refused(internal(str(failure)))
        recorded.code = reply.code
        return reply, recorded

    def _attempt(self, call: Call) -> Attempt | None:
        """Read what is wanted from the path; None for what is no resource."""
        parts = [unquote(part) for part in call.path.strip("/").split("/")]
        if parts[:2] == ["api", "v1"]:
            group, rest = "", parts[2:]
        elif parts[0] == "apis" and len(parts) > 3 and parts[2] == "v1":
            group, rest = parts[1], parts[3:]
        else:
            return None
        namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        if not rest or not rest[0] or len(rest) > 3:
            return None
        plural, name, part = [*rest, "", ""][:3]
        resource = find(group, plural) or Resource(plural, "", group)
        if resource is NAMESPACES and name:
            namespace = name
        fields = call.value("fieldSelector")
        return Attempt(
            verb=_verb(call, name),
            resource=resource,
            namespace=namespace,
            name=name or (named(fields) if call.method == "GET" else ""),
            subresource=part,
        )

    def _answer(self, call: Call, attempt: Attempt | None, gone: Callable[[], bool]) -> Reply:
        if call.user is None:
            raise unauthorized()
        if attempt is None:
            return self._page(call)
        cold = time.monotonic() < self.cold_until and ADMIN_GROUP not in call.user.groups
        if cold or not call.user.may(attempt):
            raise refusal(call.user, attempt)
        if attempt.resource.kind == "":
            raise no_such_resource() if attempt.group in ("", *GROUPS) else no_such_page()
        if attempt.subresource:
            return self._subresource(call, attempt)
        if attempt.verb not in attempt.resource.verbs:
            raise method_not_allowed()
        return self._verb(call, attempt, gone)

    def _page(self, call: Call) -> Reply:
        assert call.user is not None
        found = discovery(call.path)
        if call.path not in _OPEN and "system:unauthenticated" in call.user.groups:
            words = f'forbidden: User "{call.user.name}" cannot get path "{call.path}"'
            raise Refusal(403, "Forbidden", words, {})
        if found is not None:
            return Reply(200, found)
        if call.path in _OPEN:
            return Reply(200, b"ok")
        raise no_such_page()

    def _verb(self, call: Call, attempt: Attempt, gone: Callable[[], bool]) -> Reply:
        resource, name = attempt.resource, attempt.name
        namespace = attempt.namespace if resource.namespaced else ""
        match attempt.verb:
            case "get":
                return Reply(200, self.store.get(resource, namespace, name))
            case "list":
                return self._list(call, resource, namespace)
            case "watch":
                return self._watch(call, resource, namespace, gone)
            case "create":
                return self._create(call, resource, namespace, name)
            case "update":
                decoded = decode(resource, call.body, strict=_strict(call))
                dry = call.value("dryRun") == "All"
                item = self.objects.replace(resource, namespace, name, decoded.item, dry=dry)
                return Reply(200, item, warnings=_warnings(decoded.unknown))
            case "patch":
                return Reply(200, self._patch(call, resource, namespace, name))
            case _:
                options = _options(call)
                return Reply(200, self.objects.delete(resource, namespace, name, options))

    def _create(self, call: Call, resource: Resource, namespace: str, name: str) -> Reply:
        if (resource.namespaced and not namespace) or name:
            raise method_not_allowed()
        decoded = decode(resource, call.body, strict=_strict(call))
        dry = call.value("dryRun") == "All"
        item = self.objects.create(resource, namespace, decoded.item, dry=dry)
        return Reply(201, item, warnings=_warnings(decoded.unknown))

    def _patch(
        self, call: Call, resource: Resource, namespace: str, name: str, part: str = ""
    ) -> Json:
        kind = call.headers.get("content-type", "").partition(";")[0]
        return self.objects.patch(
            resource, namespace, name, kind, call.body, part=part, strict=_strict(call)
        )

    def _list(self, call: Call, resource: Resource, namespace: str) -> Reply:
        matches = parse(resource, call.value("labelSelector"), call.value("fieldSelector"))
        wanted = call.value("resourceVersion") or "0"
        if not wanted.isdecimal():
            raise bad_request(f"invalid resource version: {_unparsed(wanted)}")
        with self.store.changed:
            if int(wanted) > self.store.version:
                raise from_the_future(int(wanted), self.store.version)
            items = [item for item in self.store.all(resource, namespace) if matches(item)]
            version = str(self.store.version)
        for item in items:  # the list says it for all of them
            item.pop("kind", None)
            item.pop("apiVersion", None)
        return Reply(
            200,
            {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {"resourceVersion": version},
                "items": items,
            },
        )

    def _watch(
        self, call: Call, resource: Resource, namespace: str, gone: Callable[[], bool]
    ) -> Reply:
        version = call.value("resourceVersion")
        if version and not version.isdecimal():
            raise broken(_unparsed(version))
        seconds = call.value("timeoutSeconds")
        if seconds and not seconds.isdecimal():
            raise bad_request(f"unable to decode timeoutSeconds: {seconds}")
        wish = watch.Wish(
            resource,
            namespace,
            parse(resource, call.value("labelSelector"), call.value("fieldSelector")),
            version,
            watch.seconds_of(seconds if seconds != "0" else ""),
            call.on("allowWatchBookmarks"),
        )
        return Reply(200, stream=watch.lines(self.store, wish, self.faults, gone))

    def _subresource(self, call: Call, attempt: Attempt) -> Reply:
        resource, namespace, name = attempt.resource, attempt.namespace, attempt.name
        part = attempt.subresource
        if part not in resource.subresources:
            raise no_such_resource()
        item = self.store.get(resource, namespace, name)
        if part == "log":
            return self._pods.logs(item, call)
        if part == "exec":
            return self._exec(item, call, attempt)
        if part == "scale":
            return Reply(200, self._scale(call, attempt, item))
        if attempt.verb == "get":
            return Reply(200, item)
        if attempt.verb == "patch":
            return Reply(200, self._patch(call, resource, namespace, name, part))
        item = decode(resource, call.body, strict=_strict(call)).item
        return Reply(200, self.objects.replace(resource, namespace, name, item, part=part))

    def _exec(self, item: Json, call: Call, attempt: Attempt) -> Reply:
        # A WebSocket begins with GET, and reading alone shall not let anybody in.
        creating = attrs.evolve(attempt, verb="create")
        if call.user is not None and not call.user.may(creating):
            # The real server says no more than this.
            raise forbidden(attempt.resource, attempt.name, "")
        return self._pods.exec(item, call)

    def _scale(self, call: Call, attempt: Attempt, item: Json) -> Json:
        from support.kubernetes import patch

        resource, namespace, name = attempt.resource, attempt.namespace, attempt.name
        current = _scale_of(item)
        if attempt.verb == "get":
            return current
        if attempt.verb == "patch":
            kind = call.headers.get("content-type", "").partition(";")[0]
            wanted = patch.apply(kind, current, call.body)
            # A patch is for whatever version there is, unless it names one.
            if not isinstance(call.body, dict) or "resourceVersion" not in (
                call.body.get("metadata") or {}
            ):
                wanted["metadata"].pop("resourceVersion", None)
        else:
            wanted = call.body
        wanted = decode(resource, wanted, strict=False, kind="Scale").item
        item["spec"]["replicas"] = wanted.get("spec", {}).get("replicas", 0)
        item["metadata"]["resourceVersion"] = wanted["metadata"].get("resourceVersion", "")
        return _scale_of(self.objects.replace(resource, namespace, name, item))


def _verb(call: Call, name: str) -> str:
    if call.method == "GET":
        if call.on("watch"):
            return "watch"
        return "get" if name else "list"
    if call.method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(call.method, call.method.lower())


def _unparsed(version: str) -> str:
    words = f'strconv.ParseUint: parsing "{version}": invalid syntax'
    return f'resourceVersion: Invalid value: "{version}": {words}'


def _strict(call: Call) -> bool:
    return call.value("fieldValidation") == "Strict"


def _warnings(unknown: list[str]) -> list[str]:
    return [f'unknown field "{path}"' for path in unknown]


def _options(call: Call) -> Json:
    options: Json = dict(call.body) if isinstance(call.body, dict) else {}
    for key in ("propagationPolicy", "gracePeriodSeconds"):
        if call.value(key):
            text = call.value(key)
            options.setdefault(key, int(text) if text.isdecimal() else text)
    return options


def _scale_of(item: Json) -> Json:
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = item["spec"]["selector"].get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: item["metadata"][key] for key in kept},
        "spec": {"replicas": count} if (count := item["spec"]["replicas"]) else {},
        "status": {
            "replicas": item.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def _refused(refused: Refusal) -> Reply:
    body = refused.message.encode() if refused.plain else refused.status()
    return Reply(refused.code, body, retry_after=refused.retry_after)


def _sleep(seconds: float, gone: Callable[[], bool]) -> None:
    """Be late; a client that leaves is not waited for."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not gone():
        time.sleep(min(left, 0.05))
