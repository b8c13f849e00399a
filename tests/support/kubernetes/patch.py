"""The three ways of changing an object in part: merge, strategic merge and JSON patch."""

from __future__ import annotations

import copy

from support.kubernetes.resource import Json, Value
from support.kubernetes.status import Refusal, bad_request

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
    "conditions": "type",
}
"""The lists whose items are told apart by a field, and that field."""


def apply(kind: str, current: Json, change: Value) -> Json:
    """Give the object as the patch makes it."""
    changed = copy.deepcopy(current)
    match kind:
        case _ if kind == JSON:
            return _json_patch(changed, change)
        case _ if not isinstance(change, dict):
            raise bad_request("error decoding patch: json: cannot unmarshal array into Go value")
        case _ if kind == MERGE:
            return _merge(changed, change)
        case _ if kind == STRATEGIC:
            return _strategic(changed, change)
    raise Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def _merge(current: Json, change: Json) -> Json:
    for key, value in change.items():
        if value is None:
            current.pop(key, None)
        elif isinstance(value, dict):
            before = current.get(key)
            current[key] = _merge(before if isinstance(before, dict) else {}, value)
        else:
            current[key] = copy.deepcopy(value)
    return current


def _strategic(current: Json, change: Json) -> Json:
    order = change.get("$patch")
    if order == "replace":
        return {key: copy.deepcopy(value) for key, value in change.items() if key != "$patch"}
    if order == "delete":
        return {}
    for key, value in change.items():
        if key.startswith("$"):
            continue
        if value is None:
            current.pop(key, None)
        elif isinstance(value, dict):
            before = current.get(key)
            current[key] = _strategic(before if isinstance(before, dict) else {}, value)
        elif isinstance(value, list) and key in _KEYS and isinstance(current.get(key), list):
            current[key] = _merge_lists(current[key], value, _KEYS[key])
        else:
            current[key] = copy.deepcopy(value)
    return current


def _merge_lists(current: list[Json], change: list[Json], key: str) -> list[Json]:
    if any(item.get("$patch") == "replace" for item in change):
        return [copy.deepcopy(item) for item in change if "$patch" not in item]
    result = list(current)
    for item in change:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((at for at, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif place is None:
            result.append(copy.deepcopy(item))
        else:
            result[place] = _strategic(result[place], item)
    return result


def _json_patch(current: Json, change: Value) -> Json:
    if not isinstance(change, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value")
    for operation in change:
        _operate(current, operation)
    return current


def _operate(current: Value, operation: Json) -> None:
    word, path = operation.get("op"), str(operation.get("path", ""))
    *parents, last = [
        part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]
    ] or [""]
    place = current
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            _operate_list(place, word, last, operation.get("value"))
        elif word == "remove":
            del place[last]
        elif word == "test":
            _test(place.get(last), operation.get("value"))
        else:
            if word == "replace":
                del place[last]  # which fails when there is nothing to replace
            place[last] = operation.get("value")
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _unprocessable() from error


def _test(found: Value, wanted: Value) -> None:
    if found != wanted:
        raise _unprocessable()


def _operate_list(place: list[Value], word: object, last: str, value: Value) -> None:
    if word == "remove":
        del place[int(last)]
    elif word == "add":
        place.insert(len(place) if last == "-" else int(last), value)
    else:
        place[int(last)] = value


def _unprocessable() -> Refusal:
    words = "the server rejected our request due to an error in our request"
    return Refusal(422, "Invalid", words, {})
