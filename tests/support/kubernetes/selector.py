"""Label and field selectors, as queries write them."""

from __future__ import annotations

import re
from collections.abc import Callable

from support.kubernetes.resource import EVENTS, PODS, Json, Resource
from support.kubernetes.status import bad_request

Matches = Callable[[Json], bool]

_TERM = re.compile(
    r"\s*(?P<key>!?[A-Za-z0-9][A-Za-z0-9_./-]*)\s*"
    r"(?:(?P<sign>==|!=|=)\s*(?P<value>[A-Za-z0-9_.-]*)|(?P<word>in|notin)\s*\((?P<set>[^)]*)\))?\s*"
)
_FIELDS = {
    PODS: (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    EVENTS: (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
}


def parse(resource: Resource, labels: str, fields: str) -> Matches:
    """Make one question of both selectors."""
    questions = [*_labels(labels), *_fields(resource, fields)]
    return lambda found: all(question(found) for question in questions)


def named(fields: str) -> str:
    """Give the one name that a field selector asks for; empty when it asks for more."""
    for term in fields.split(","):
        key, _, value = term.replace("==", "=").partition("=")
        if key == "metadata.name":
            return value
    return ""


def labels_match(selector: Json, labels: Json) -> bool:
    """Answer whether an object's own selector takes these labels."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(term, labels) for term in selector.get("matchExpressions") or [])


def _expression(term: Json, labels: Json) -> bool:
    present = term["key"] in labels
    values = term.get("values") or []
    match term["operator"]:
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case "In":
            return present and labels[term["key"]] in values
        case _:
            return not present or labels[term["key"]] not in values


def _labels(text: str) -> list[Matches]:
    questions: list[Matches] = []
    place = 0
    while place < len(text):
        found = _TERM.match(text, place)
        if found is None or (found.end() < len(text) and text[found.end()] != ","):
            rest = (text[found.end() :] if found else text[place:]).split() or [""]
            raise bad_request(
                f"unable to parse requirement: found '{rest[0]}', expected: in, notin, =, ==, !=, "
                "gt, lt"
            )
        place = found.end() + 1
        questions.append(_label(found))
    return questions


def _label(found: re.Match[str]) -> Matches:
    key, sign, word = found["key"], found["sign"], found["word"]
    if key.startswith("!"):
        return lambda item: key[1:] not in _of(item)
    if sign is None and word is None:
        return lambda item: key in _of(item)
    if word:
        values = {value.strip() for value in found["set"].split(",")}
        if word == "in":
            return lambda item: _of(item).get(key) in values
        return lambda item: _of(item).get(key) not in values
    value = found["value"]
    if sign == "!=":
        return lambda item: _of(item).get(key) != value
    return lambda item: _of(item).get(key) == value


def _of(item: Json) -> Json:
    labels: Json = item["metadata"].get("labels") or {}
    return labels


def _fields(resource: Resource, text: str) -> list[Matches]:
    questions = []
    for term in filter(None, text.split(",")):
        found = re.fullmatch(r"\s*([A-Za-z.]+)\s*(==|=|!=)(.*)", term)
        if found is None:
            raise bad_request(f'invalid selector: "{text}"; can\'t understand "{term}"')
        key, sign, value = found.groups()
        if key not in ("metadata.name", "metadata.namespace", *_FIELDS.get(resource, ())):
            raise bad_request(f"field label not supported: {key}")
        questions.append(_field(key, value, wanted=sign != "!="))
    return questions


def _field(key: str, value: str, *, wanted: bool) -> Matches:
    def question(item: Json) -> bool:
        found: object = item
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if key == "source":
            found = (item.get("source") or {}).get("component")
        if isinstance(found, bool):
            found = str(found).lower()
        return ((found or "") == value) is wanted

    return question
