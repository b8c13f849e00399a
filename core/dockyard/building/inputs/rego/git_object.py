"""Commits and tags, as git stores them: who made them, and what was signed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from dockyard.building.inputs.rego.fields import filled
from dockyard.building.inputs.rego.language.value import RObject, Value

_ARMOURS = ("-----BEGIN PGP SIGNATURE-----", "-----BEGIN SSH SIGNATURE-----")
_HASHES = {40: "sha1", 64: "sha256"}
_SIGNED = ("gpgsig ", "gpgsig-sha256 ")


class GitObjectError(Exception):
    """It is no commit and no tag, or not the one that was meant."""


class GitObject(NamedTuple):
    """A commit or a tag."""

    kind: str
    headers: dict[str, list[str]]
    message: str
    signature: str
    signed: bytes
    """What was signed."""


def read_object(data: bytes, digest: str) -> GitObject:
    """Read a commit or a tag.

    Args:
        data: Its content.
        digest: What it has to hash to.

    Raises:
        GitObjectError: It makes no sense, or is another one.
    """
    kind = "tag" if data.startswith(b"object ") else "commit"
    algorithm = _HASHES.get(len(digest))
    if algorithm is None:
        raise GitObjectError(f"{digest} is no hash of git")
    made = hashlib.new(algorithm, usedforsecurity=False)
    made.update(b"%s %d\0" % (kind.encode(), len(data)))
    made.update(data)
    if made.hexdigest() != digest:
        raise GitObjectError(f"the daemon sent another {kind} than {digest}")
    head, _, body = data.partition(b"\n\n")
    found = _tag(head, body) if kind == "tag" else _commit(head, body, data)
    wanted = (
        ("object", "type", "tag", "tagger") if kind == "tag" else ("tree", "author", "committer")
    )
    if any(name not in found.headers for name in wanted):
        raise GitObjectError(f"{digest} is no whole {kind}")
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _commit(head: bytes, body: bytes, data: bytes) -> GitObject:
    """Read a commit, whose signature is among its headers."""
    headers: dict[str, list[str]] = {}
    signed: list[bytes] = []
    signature: list[str] = []
    inside = False
    for line in head.split(b"\n"):
        start = next((each for each in _SIGNED if line.startswith(each.encode())), None)
        if start is not None:
            inside = True
            signature.append(_text(line[len(start) :]))
        elif inside and line.startswith(b" "):
            signature.append(_text(line[1:]))
        else:
            inside = False
            signed.append(line)
            _add(headers, line)
    rest = data[len(head) :]
    message = _text(body).removesuffix("\n")
    return GitObject("commit", headers, message, "\n".join(signature), b"\n".join(signed) + rest)


def _tag(head: bytes, body: bytes) -> GitObject:
    """Read a tag, whose signature is the end of its message."""
    headers: dict[str, list[str]] = {}
    for line in head.split(b"\n"):
        _add(headers, line)
    lines = body.split(b"\n")
    starts = [number for number, line in enumerate(lines) if _text(line) in _ARMOURS]
    end = starts[0] if starts else len(lines)
    message = b"\n".join(lines[:end])
    signed = head + b"\n\n" + message + (b"\n" if starts else b"")
    signature = _text(b"\n".join(lines[end:]))
    return GitObject("tag", headers, _text(message).removesuffix("\n"), signature, signed)


def _add(headers: dict[str, list[str]], line: bytes) -> None:
    name, space, value = line.partition(b" ")
    if space:
        headers.setdefault(_text(name), []).append(_text(value))


# --- as policies see them -------------------------------------------------------------------


def described(found: GitObject) -> RObject:
    """Give what a policy may know of a commit or a tag."""
    headers = found.headers
    pairs: list[tuple[str, Value]] = []
    if found.kind == "commit":
        pairs.append(("tree", headers["tree"][0]))
        pairs.append(("parents", tuple(headers.get("parent", ()))))
        pairs.append(("author", _actor(headers["author"][0])))
        pairs.append(("committer", _actor(headers["committer"][0])))
    else:
        pairs += [(name, headers[name][0]) for name in ("object", "type", "tag")]
        pairs.append(("tagger", _actor(headers["tagger"][0])))
    pairs.append(("message", found.message))
    if found.signature:
        from dockyard.building.inputs.rego.git_signature import describe

        pairs += describe(found.signature)
    return filled(pairs)


def _actor(line: str) -> RObject:
    line = line.strip()
    start, end = line.rfind("<"), line.rfind(">")
    if start < 0 or end < start:
        return filled([("name", line)])
    name, email = line[:start].strip(), line[start + 1 : end].strip()
    return filled([("name", name), ("email", email), ("when", _when(line[end + 1 :]))])


def _when(text: str) -> str:
    seconds, _, zone = text.strip().partition(" ")
    if len(zone) != 5 or zone[0] not in "+-" or not zone[1:].isdigit():
        return ""
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    try:
        place = timezone(-offset if zone[0] == "-" else offset)
        moment = datetime.fromtimestamp(int(seconds), UTC).astimezone(place)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat().replace("+00:00", "Z")
