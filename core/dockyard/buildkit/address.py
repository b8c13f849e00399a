"""Addresses as they may be shown: without what nobody else shall read."""

from __future__ import annotations

import re

_USER = r"^([a-zA-Z][a-zA-Z0-9+.-]*://)([^/?#]*)@"
_MASK = "xxxxx"


def without_credentials(url: str) -> str:
    """Give an address in which user and password are only hinted at."""
    match = re.match(_USER, url)
    if match is None:
        return url
    user, colon, password = match[2].partition(":")
    shown = (_MASK if user else "") + (colon + _MASK if colon and (password or user) else colon)
    return f"{match[1]}{shown}@{url[match.end() :]}"
