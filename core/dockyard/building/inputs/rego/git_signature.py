"""Signatures of commits and tags: what they say of themselves, and whether they hold.

Those made with ssh keys can be checked; those of PGP can only be described.
"""

from __future__ import annotations

import hashlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from itertools import pairwise
from typing import NamedTuple

from dockyard.building.inputs.rego.language.value import RObject, Value

_SSH = "SSH SIGNATURE"
_PGP = "PGP SIGNATURE"
_MAGIC = b"SSHSIG"
_NAMESPACE = b"git"
_HASHES = (b"sha256", b"sha512")


class SignatureFaultError(Exception):
    """A signature does not hold, or cannot be read."""


class _SshSignature(NamedTuple):
    version: int
    key: bytes
    namespace: bytes
    reserved: bytes
    algorithm: bytes
    signature: bytes


def is_pgp(signature: str) -> bool:
    """Say whether a signature is one of PGP."""
    return signature.startswith(f"-----BEGIN {_PGP}-----")


def describe(signature: str) -> list[tuple[str, Value]]:
    """Give what policies may know of a signature; nothing if it makes no sense."""
    try:
        if is_pgp(signature):
            return [("pgpSignature", _describe_pgp(_plain(signature, _PGP)))]
        found = _read(_plain(signature, _SSH))
    except SignatureFaultError:
        return []
    digest = b2a_base64(hashlib.sha256(found.key).digest(), newline=False).decode().rstrip("=")
    about = RObject([("version", found.version), ("pubKey", f"SHA256:{digest}")])
    return [("sshSignature", about)]


def verify(signature: str, signed: bytes, authorized_key: bytes) -> None:
    """Check a signature that was made with an ssh key.

    Args:
        signature: As git keeps it.
        signed: What was signed.
        authorized_key: The public key, as in ``authorized_keys``.

    Raises:
        SignatureFaultError: It does not hold.
        ImportError: What checks it is not installed.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    found = _read(_plain(signature, _SSH))
    if found.version != 1 or found.namespace != _NAMESPACE or found.algorithm not in _HASHES:
        raise SignatureFaultError("the signature is none of git")
    kind, key = _authorized(authorized_key)
    if key != found.key:
        raise SignatureFaultError("the signature was made with another key")
    digest = hashlib.new(found.algorithm.decode(), signed).digest()
    parts = (found.namespace, found.reserved, found.algorithm, digest)
    message = _MAGIC + b"".join(map(_packed, parts))
    try:
        _check(kind, key, found.signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise SignatureFaultError("the signature does not hold") from error


def _check(kind: bytes, key: bytes, signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    name, rest = _unpacked(signature)
    value, _ = _unpacked(rest)
    line = kind + b" " + b2a_base64(key, newline=False)
    match serialization.load_ssh_public_key(line):
        case ed25519.Ed25519PublicKey() as public if name == b"ssh-ed25519":
            public.verify(value, message)
        case rsa.RSAPublicKey() as public if name in (b"rsa-sha2-256", b"rsa-sha2-512"):
            algorithm = hashes.SHA256() if name.endswith(b"256") else hashes.SHA512()
            public.verify(value, message, padding.PKCS1v15(), algorithm)
        case ec.EllipticCurvePublicKey() as public if name == kind:
            first, rest = _unpacked(value)
            second, _ = _unpacked(rest)
            pair = utils.encode_dss_signature(
                int.from_bytes(first, "big"), int.from_bytes(second, "big")
            )
            sizes = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
            public.verify(pair, message, ec.ECDSA(sizes[public.key_size]))
        case _:
            raise SignatureFaultError("the signature is of another kind than the key")


def _authorized(data: bytes) -> tuple[bytes, bytes]:
    """Give the kind and the content of the first key in a file."""
    for line in data.splitlines():
        words = line.split()
        for kind, key in pairwise(words):
            if kind.startswith((b"ssh-", b"ecdsa-")) and not line.lstrip().startswith(b"#"):
                try:
                    return kind, a2b_base64(key)
                except (Base64Error, ValueError) as error:
                    raise SignatureFaultError("the public key cannot be read") from error
    raise SignatureFaultError("the file has no public ssh key")


def _plain(armour: str, kind: str) -> bytes:
    """Take the armour of dashes and base64 off."""
    lines = [line.strip() for line in armour.strip().splitlines()]
    if (
        len(lines) < 3
        or lines[0] != f"-----BEGIN {kind}-----"
        or lines[-1] != f"-----END {kind}-----"
    ):
        raise SignatureFaultError("the signature cannot be read")
    body = lines[1:-1]
    if "" in body:  # headers stand before an empty line
        body = body[body.index("") + 1 :]
    body = [line for line in body if not line.startswith("=")]  # PGP's checksum
    try:
        return a2b_base64("".join(body).encode("ascii"))
    except (Base64Error, ValueError) as error:
        raise SignatureFaultError("the signature cannot be read") from error


def _read(data: bytes) -> _SshSignature:
    if not data.startswith(_MAGIC) or len(data) < 10:
        raise SignatureFaultError("the signature cannot be read")
    version, rest = int.from_bytes(data[6:10], "big"), data[10:]
    parts = []
    for _ in range(5):
        part, rest = _unpacked(rest)
        parts.append(part)
    return _SshSignature(version, *parts)


def _packed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _unpacked(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise SignatureFaultError("the signature is cut off")
    return data[4 : 4 + size], data[4 + size :]


def _describe_pgp(data: bytes) -> RObject:
    """Read the version and the key's id from a signature packet."""
    body = _packet(data)
    if len(body) < 6 or body[0] not in (4, 5, 6):
        raise SignatureFaultError("the signature cannot be read")
    wide = 4 if body[0] == 6 else 2
    about: list[tuple[Value, Value]] = [("version", body[0])]
    at = 4
    for _ in range(2):  # what is signed with the rest, and what is not
        size = int.from_bytes(body[at : at + wide], "big")
        key = _key_id(body[at + wide : at + wide + size])
        if key:
            about.append(("keyID", key))
            break
        at += wide + size
    return RObject(about)


def _packet(data: bytes) -> bytes:
    """Give the content of the first packet, which has to be a signature."""
    if len(data) < 3 or not data[0] & 0x80:
        raise SignatureFaultError("the signature cannot be read")
    if data[0] & 0x40:
        kind, first = data[0] & 0x3F, data[1]
        if first < 192:
            start, size = 2, first
        elif first < 224:
            start, size = 3, (first - 192 << 8) + data[2] + 192
        else:
            start, size = 6, int.from_bytes(data[2:6], "big")
    else:
        kind, wide = data[0] >> 2 & 15, 1 << (data[0] & 3)
        start, size = 1 + wide, int.from_bytes(data[1 : 1 + wide], "big")
    if kind != 2:
        raise SignatureFaultError("the signature cannot be read")
    return data[start : start + size]


def _key_id(area: bytes) -> str:
    at = 0
    while at < len(area):
        size, wide = area[at], 1
        if size >= 192 and at + 1 < len(area):
            size, wide = (size - 192 << 8) + area[at + 1] + 192, 2
        content = area[at + wide : at + wide + size]
        if len(content) == 9 and content[0] & 0x7F == 16:
            return content[1:].hex()
        at += wide + max(size, 1)
    return ""
