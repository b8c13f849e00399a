"""Private keys for the agent of our own: read from files, known by their public half, able to sign.

The arithmetic is that of the package ``cryptography``, which is asked for only here, when a key
was named: signing in plain Python would tell a daemon that measures time something of the key.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from struct import pack
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MAX_KEY = 100 << 10
"""Bytes of a key's file that are read."""

_RSA_SHA2_256 = 2
_RSA_SHA2_512 = 4
"""What a request to sign asks for in its flags."""

Sign = Callable[[bytes, int], bytes]


class PrivateKey(NamedTuple):
    """One key. Nothing of its secret half is in its ``repr``."""

    blob: bytes
    """The public key, as ssh writes it."""
    sign: Sign
    """Gives the signature of some data, as ssh writes it, for the flags of a request.

    Raises KeyFormatError where there can be none.
    """

    def __repr__(self) -> str:
        return f"PrivateKey({len(self.blob)} bytes)"


class KeyFormatError(Exception):
    """What was read is no key that can be used; the text says why."""


def parse_key(data: bytes) -> PrivateKey:
    """Read an unencrypted private key: OpenSSH's own format or PEM.

    Raises:
        KeyFormatError: It is encrypted, of a kind that is not supported, or no key.
        InputError: The package that keys need is not installed.
    """
    if b"-----BEGIN " not in data:
        raise KeyFormatError("ssh: no key found")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise InputError(
            "private keys for --ssh need the Python package cryptography",
            hint="pip install cryptography, or ssh-add the key and give --ssh the agent's socket",
        ) from error
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        return _usable(load(data, None))
    except TypeError as error:  # what the package raises where a password is missing
        raise KeyFormatError("ssh: this private key is passphrase protected") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFormatError("ssh: it is damaged or of a kind that is not supported") from error


def text(value: bytes) -> bytes:
    """Write bytes as ssh does: their number in front."""
    return pack(">I", len(value)) + value


def _usable(key: object) -> PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        sign = _ed25519(key)
    elif isinstance(key, rsa.RSAPrivateKey):
        sign = _rsa(key)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        sign = _ecdsa(key)
    else:
        raise KeyFormatError("ssh: its kind is not supported: RSA, ECDSA and Ed25519 are")
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return PrivateKey(blob=b64decode(line.split(b" ")[1]), sign=sign)


def _ed25519(key: ed25519.Ed25519PrivateKey) -> Sign:
    return lambda data, _flags: text(b"ssh-ed25519") + text(key.sign(data))


def _rsa(key: rsa.RSAPrivateKey) -> Sign:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    kinds: dict[int, tuple[bytes, hashes.HashAlgorithm]] = {
        0: (b"ssh-rsa", hashes.SHA1()),
        _RSA_SHA2_256: (b"rsa-sha2-256", hashes.SHA256()),
        _RSA_SHA2_512: (b"rsa-sha2-512", hashes.SHA512()),
    }

    def sign(data: bytes, flags: int) -> bytes:
        name, digest = kinds[flags & _RSA_SHA2_512 or flags & _RSA_SHA2_256]
        try:
            return text(name) + text(key.sign(data, PKCS1v15(), digest))
        except (UnsupportedAlgorithm, ValueError) as error:
            # SHA-1 may be switched off here, or the key too short for SHA-512.
            raise KeyFormatError(f"the key cannot make signatures of {digest.name}") from error

    return sign


def _ecdsa(key: ec.EllipticCurvePrivateKey) -> Sign:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    size = key.curve.key_size
    digests: dict[int, hashes.HashAlgorithm] = {
        256: hashes.SHA256(),
        384: hashes.SHA384(),
        521: hashes.SHA512(),
    }
    if size not in digests or not key.curve.name.startswith("secp"):
        raise KeyFormatError(f"ssh: the curve {key.curve.name} is not supported")

    def sign(data: bytes, _flags: int) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digests[size])))
        pair = text(_number(r)) + text(_number(s))
        return text(b"ecdsa-sha2-nistp%d" % size) + text(pair)

    return sign


def _number(value: int) -> bytes:
    """Write a positive number as ssh does: its first bit is free for the sign."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")
