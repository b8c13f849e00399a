"""How the values of driver options are read, with the words in which wrong ones are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dockyard_kubernetes import naming
from dockyard_kubernetes.quantity import Quantity, parse_bytes, parse_quantity

PLATFORM = "buildx.docker.com/platform"
"""The annotation that names the platforms a person gave."""
_OURS = "dev.dockyard."
BUILDER, NODE = f"{_OURS}builder", f"{_OURS}node"
"""The annotations that say whose something is."""

_OPERATORS = {word.lower(): word for word in ("Exists", "Equal", "Lt", "Gt")}
_EFFECTS = {word.lower(): word for word in ("NoSchedule", "PreferNoSchedule", "NoExecute")}
_TOLERATION_KEYS = ("key", "operator", "value", "effect", "tolerationSeconds")

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST_DURATION = 100
"""Characters."""
_LONGEST_TIMEOUT = 9_223_372_036.0
"""Seconds; more is no duration in Go."""


def image(value: str) -> str:
    """Read an image's name; empty is the default image.

    Raises:
        ValueError: No image can have this name.
    """
    return _one_word(value, f'invalid image name "{value}"')


def replicas(value: str) -> int:
    """Read how many pods there are to be.

    Raises:
        ValueError: It is no number, or no pod could ever build.
    """
    number = _integer(value, bits=32)
    if number < 1:
        raise ValueError(f"invalid replicas ({number}): must be 1 or more")
    return number


def amount(value: str) -> Quantity | None:
    """Read a quantity; empty is none.

    Raises:
        ValueError: It is no quantity.
    """
    return parse_quantity(value) if value else None


def size(value: str) -> Quantity | None:
    """Read a quantity of bytes; empty is none.

    Raises:
        ValueError: It is no such quantity.
    """
    return parse_bytes(value) if value else None


def storage(value: str) -> Quantity | None:
    """Read how much a claim asks for; empty is no claim.

    Raises:
        ValueError: It is no quantity of bytes, or none at all.
    """
    found = size(value)
    if found and not found.nano:
        raise ValueError(f'invalid quantity "{value}": must be greater than zero')
    return found


def node_selector(value: str) -> dict[str, str]:
    """Read the labels that a cluster's node has to have.

    Raises:
        ValueError: It is no list of labels.
    """
    return _labels(value, "cannot parse node selector")


def labels(value: str) -> dict[str, str]:
    """Read labels for everything that is made.

    Raises:
        ValueError: It is no list of labels, or one of them is taken.
    """
    found = _labels(value, "cannot parse labels")
    if "app" in found:
        raise ValueError('the label "app" is reserved and cannot be customized')
    return found


def custom_annotations(value: str) -> dict[str, str]:
    """Read annotations for everything that is made.

    Raises:
        ValueError: It is no list of annotations, or one of them is taken.
    """
    found = _pairs(value, "cannot parse annotations")
    for name in found:
        if name == PLATFORM or name.startswith(_OURS):
            raise ValueError(f'the annotation "{name}" is reserved and cannot be customized')
        naming.key(name.lower(), "annotation key")
    return found


def tolerations(value: str) -> list[dict[str, Any]]:
    """Read tolerations: fields with commas between them, tolerations with semicolons.

    Raises:
        ValueError: One is malformed, or the server refuses it.
    """
    return [_toleration(each, value) for each in value.strip('"').split(";")]


def choice(name: str, *values: str) -> Callable[[str], str]:
    """Make what reads one of a few words."""

    def read(value: str) -> str:
        if value not in values:
            raise ValueError(f'invalid {name} "{value}"')
        return value

    return read


def namespace(value: str) -> str:
    """Read a namespace; empty is the kubeconfig file's.

    Raises:
        ValueError: No namespace can be called so.
    """
    return value and naming.dns_label(value, "namespace")


def service_account(value: str) -> str:
    """Read a service account's name; empty is the namespace's default.

    Raises:
        ValueError: No service account can be called so.
    """
    return value and naming.dns_name(value, "service account")


def scheduler(value: str) -> str:
    """Read a scheduler's name; empty is the cluster's default.

    The API server takes any name, and a pod whose scheduler there is not waits for ever.

    Raises:
        ValueError: No scheduler is called so.
    """
    return _one_word(value, f"invalid scheduler name {value!r}: printable ASCII without spaces")


def timeout(value: str) -> float:
    """Read a duration as Go writes it, and give it in seconds.

    Raises:
        ValueError: It is none, or no time at all.
    """
    if len(value) > _LONGEST_DURATION:
        raise _no_timeout(value[:_LONGEST_DURATION])
    parts = re.findall(r"([0-9]*\.?[0-9]*)([^0-9.+-]+)", value.removeprefix("+"))
    if "".join(number + unit for number, unit in parts) != value.removeprefix("+") or not parts:
        if re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", value) and value.strip("+-0."):
            raise ValueError(f'cannot parse timeout: time: missing unit in duration "{value}"')
        raise _no_timeout(value)
    seconds = 0.0
    for number, unit in parts:
        if not number.strip("."):
            raise _no_timeout(value)
        if unit not in _UNITS:
            raise ValueError(
                f'cannot parse timeout: time: unknown unit "{unit}" in duration "{value}"'
            )
        seconds += float(number) * _UNITS[unit]
    if not 0 < seconds < _LONGEST_TIMEOUT:
        raise _no_timeout(value)
    return seconds


def absolute_path(name: str) -> Callable[[str], str]:
    """Make what reads a path that means the same from every directory."""

    def read(value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"non-absolute path '{value}' provided for {name}")
        return value

    return read


def _one_word(value: str, problem: str) -> str:
    if not re.fullmatch(r"[!-~]*", value):
        raise ValueError(problem)
    return value


def _no_timeout(value: str) -> ValueError:
    return ValueError(f'cannot parse timeout: time: invalid duration "{value}"')


def _integer(value: str, *, bits: int, reader: str = "ParseInt") -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise ValueError(f'strconv.{reader}: parsing "{value}": invalid syntax')
    most = (1 << bits - 1) - 1
    number = int(value) if len(value) < 25 else most + 1
    if not -most - 1 <= number <= most:
        raise ValueError(f'strconv.{reader}: parsing "{value}": value out of range')
    return number


def _pairs(value: str, problem: str) -> dict[str, str]:
    """Read ``k=v,k=v``. The last of a key counts."""
    found = {}
    for pair in value.strip('"').split(","):
        name, equals, text = pair.partition("=")
        if not equals or "=" in text:
            raise ValueError(f"{problem}: invalid key-value pair: {pair}")
        found[name] = text
    return found


def _labels(value: str, problem: str) -> dict[str, str]:
    found = _pairs(value, problem)
    for name, text in found.items():
        try:
            naming.key(name, "label key")
            naming.label_value(text, f'value of label "{name}"')
        except ValueError as error:
            raise ValueError(f"{problem}: {error}") from error
    return found


def _toleration(text: str, whole: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if name not in _TOLERATION_KEYS or not equals or "=" in value:
            raise ValueError(f'invalid tolaration "{whole}"')
        fields[name] = value
    fields = {name: value for name, value in fields.items() if value}
    if "operator" in fields:
        fields["operator"] = _word(fields["operator"], _OPERATORS, "operator", whole)
    if "effect" in fields:
        fields["effect"] = _word(fields["effect"], _EFFECTS, "effect", whole)
    if "tolerationSeconds" in fields:
        fields["tolerationSeconds"] = _integer(fields["tolerationSeconds"], bits=64, reader="Atoi")
    problem = _toleration_problem(fields)
    if problem:
        raise ValueError(f'invalid tolaration "{whole}": {problem}')
    return fields


def _word(value: str, words: dict[str, str], what: str, whole: str) -> str:
    """Give a word in the server's own spelling."""
    found = words.get(value.lower())
    if found is None:
        raise ValueError(
            f'invalid tolaration "{whole}": unknown {what} "{value}", '
            f"there are {', '.join(words.values())}"
        )
    return found


def _toleration_problem(fields: dict[str, Any]) -> str:
    operator, value = fields.get("operator", "Equal"), fields.get("value", "")
    if "key" not in fields and operator != "Exists":
        return "operator must be Exists when there is no key"
    if "tolerationSeconds" in fields and fields.get("effect") != "NoExecute":
        return "effect must be NoExecute when tolerationSeconds is set"
    if operator == "Exists" and value:
        return "value must be empty when operator is Exists"
    try:
        if "key" in fields:
            naming.key(fields["key"], "key")
        if operator in ("Lt", "Gt"):
            _integer(value, bits=64)
        else:
            naming.label_value(value, "value")
    except ValueError as error:
        return str(error)
    return ""
