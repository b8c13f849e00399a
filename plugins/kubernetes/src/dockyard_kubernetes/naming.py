"""What Kubernetes lets things be called: names, labels, annotations and variables.

Each function gives what it was given, or says in a ValueError what is wrong with it.
"""

from __future__ import annotations

import re

LONGEST_NAME = 63
"""A workload's name is a label's value, too."""
_LONGEST_SUBDOMAIN = 253
_LONGEST_STATEFUL_SET = 52
"""The controller makes a label of the name and a suffix of eleven characters."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"


def dns_label(value: str, what: str) -> str:
    """Check what has to be one DNS label, for example a namespace.

    Raises:
        ValueError: It is none.
    """
    if len(value) > LONGEST_NAME or not re.fullmatch(_LABEL, value):
        raise ValueError(
            f'invalid {what} "{value}": at most {LONGEST_NAME} lower case letters, digits '
            "and '-', with a letter or digit at both ends"
        )
    return value


def dns_name(value: str, what: str) -> str:
    """Check what has to be DNS labels with dots between them, as most objects' names.

    Raises:
        ValueError: It is none.
    """
    if len(value) > _LONGEST_SUBDOMAIN or not re.fullmatch(_SUBDOMAIN, value):
        raise ValueError(
            f'invalid {what} "{value}": at most {_LONGEST_SUBDOMAIN} lower case letters, digits, '
            "'-' and '.', with a letter or digit at both ends and beside each dot"
        )
    return value


def key(value: str, what: str) -> str:
    """Check a label's or annotation's key, ``name`` or ``prefix/name``.

    Raises:
        ValueError: It is none.
    """
    prefix, slash, name = value.rpartition("/")
    is_name = len(name) <= LONGEST_NAME and re.fullmatch(_WORD, name)
    is_prefix = len(prefix) <= _LONGEST_SUBDOMAIN and re.fullmatch(_SUBDOMAIN, prefix)
    if not is_name or (slash and not is_prefix):
        raise ValueError(
            f"invalid {what} \"{value}\": at most {LONGEST_NAME} letters, digits, '-', '_' "
            "and '.', with a letter or digit at both ends, after an optional DNS name and '/'"
        )
    return value


def label_value(value: str, what: str) -> str:
    """Check a label's value, which may be empty.

    Raises:
        ValueError: It is none.
    """
    if value and (len(value) > LONGEST_NAME or not re.fullmatch(_WORD, value)):
        raise ValueError(
            f"invalid {what} \"{value}\": at most {LONGEST_NAME} letters, digits, '-', '_' "
            "and '.', with a letter or digit at both ends"
        )
    return value


def variable(value: str) -> str:
    """Check an environment variable's name.

    Raises:
        ValueError: It is none.
    """
    if not value or "=" in value or not (value.isascii() and value.isprintable()):
        raise ValueError(
            f"invalid environment variable name {value!r}: "
            "printable ASCII characters other than '='"
        )
    return value


def config_key(value: str) -> str:
    """Check the name of a file in a config map.

    Raises:
        ValueError: It is none.
    """
    is_path = value == "." or value.startswith("..")
    if len(value) > _LONGEST_SUBDOMAIN or is_path or not re.fullmatch(_CONFIG_KEY, value):
        raise ValueError(
            f'invalid file name "{value}": '
            f"at most {_LONGEST_SUBDOMAIN} letters, digits, '-', '_' and '.'"
        )
    return value


def workload(node: str, *, stateful: bool) -> str:
    """Give the name of a node's workload.

    Raises:
        ValueError: No workload can be called so.
    """
    name = node.replace("_", "-")
    longest = _LONGEST_STATEFUL_SET if stateful else LONGEST_NAME
    if len(name) > longest:
        kind = "stateful set" if stateful else "deployment"
        raise ValueError(
            f'node name "{node}" is too long for a {kind}: '
            f"{len(name)} characters, at most {longest}"
        )
    return dns_label(name, "node name") if stateful else dns_name(name, "node name")
