"""Refusals, in the words of the real server."""

from __future__ import annotations

import json
from typing import NamedTuple

from support.kubernetes.resource import Json, Resource

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Refusal(Exception):  # noqa: N818  # an answer, not a mistake
    """What the server answers in place of doing what was asked."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        *,
        retry_after: int | None = None,
        plain: bool = False,
    ) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.plain = plain
        """Whether it goes out as text and not as a Status object."""
        super().__init__(message)

    def status(self) -> Json:
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        return {key: value for key, value in body.items() if value not in ("", None)}


class Cause(NamedTuple):
    """One thing that is wrong with an object."""

    reason: str
    field: str
    message: str


def required(field: str, words: str = "") -> Cause:
    return Cause("FieldValueRequired", field, f"Required value{': ' if words else ''}{words}")


def wrong(field: str, value: object, words: str) -> Cause:
    reason = f": {words}" if words else ""
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown(value)}{reason}")


def unsupported(field: str, value: object, *supported: str) -> Cause:
    choices = ", ".join(f'"{choice}"' for choice in supported)
    message = f"Unsupported value: {shown(value)}: supported values: {choices}"
    return Cause("FieldValueNotSupported", field, message)


def duplicate(field: str, value: object) -> Cause:
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def missing(field: str, value: object) -> Cause:
    return Cause("FieldValueNotFound", field, f"Not found: {shown(value)}")


def forbidden_field(field: str, words: str) -> Cause:
    return Cause("FieldValueForbidden", field, f"Forbidden: {words}")


def too_long(field: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def shown(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def details(resource: Resource, name: str = "") -> Json:
    known = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in known.items() if value}


def success(resource: Resource, name: str, uid: str) -> Json:
    """What a delete answers when the object is gone."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {**details(resource, name), "uid": uid},
    }


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def unauthorized() -> Refusal:
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, words: str) -> Refusal:
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    message = f"{subject} is forbidden: {words}"
    return Refusal(403, "Forbidden", message, details(resource, name))


def terminating(resource: Resource, name: str, namespace: str) -> Refusal:
    words = f"unable to create new content in namespace {namespace} because it is being terminated"
    refusal = forbidden(resource, name, words)
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    refusal.details = {**(refusal.details or {}), "causes": [cause]}
    return refusal


def not_found(resource: Resource, name: str) -> Refusal:
    message = f'{resource.qualified} "{name}" not found'
    return Refusal(404, "NotFound", message, details(resource, name))


def no_such_resource() -> Refusal:
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def broken(message: str) -> Refusal:
    """Refuse with a 500 that has no reason, as mistakes are that nobody thought of."""
    return Refusal(500, "", message)


def no_such_page() -> Refusal:
    return Refusal(404, "", "404 page not found\n", plain=True)


def method_not_allowed() -> Refusal:
    words = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", words, {})


def already_exists(resource: Resource, name: str) -> Refusal:
    message = f'{resource.qualified} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, details(resource, name))


def conflict(resource: Resource, name: str, words: str) -> Refusal:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {words}'
    return Refusal(409, "Conflict", message, details(resource, name))


def modified(resource: Resource, name: str) -> Refusal:
    return conflict(resource, name, MODIFIED)


def expired(wanted: int, oldest: int) -> Refusal:
    return Refusal(410, "Expired", f"too old resource version: {wanted} ({oldest})")


def from_the_future(wanted: int, newest: int) -> Refusal:
    words = f"Too large resource version: {wanted}, current: {newest}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Refusal(
        504,
        "Timeout",
        f"Timeout: {words}",
        {"causes": causes, "retryAfterSeconds": 1},
        retry_after=1,
    )


def invalid(resource: Resource, name: str, causes: list[Cause]) -> Refusal:
    words = [f"{cause.field}: {cause.message}" for cause in causes]
    text = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    listed = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    about: Json = {"name": name, "group": resource.group, "kind": resource.kind, "causes": listed}
    return Refusal(
        422,
        "Invalid",
        f'{resource.qualified_kind} "{name}" is invalid: {text}',
        {key: value for key, value in about.items() if value},
    )


def internal(words: str) -> Refusal:
    causes = {"causes": [{"message": words}]}
    return Refusal(500, "InternalError", f"Internal error occurred: {words}", causes)
