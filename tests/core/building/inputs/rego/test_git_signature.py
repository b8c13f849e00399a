from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from dockyard.building.inputs.rego.git_signature import SignatureFaultError, describe, verify

SIGNED = b"tree 1\n\nmessage\n"
PGP = (
    b"\x04\x00\x16\x08" + (len(b"\x05\x02abcd\x09\x10" + b"12345678")).to_bytes(2, "big")
    + b"\x05\x02abcd" + b"\x09\x10" + b"12345678" + b"\x00\x00"
)  # fmt: skip

Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def public(key: Key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )


def blob(key: Key) -> bytes:
    from base64 import b64decode

    return b64decode(public(key).split()[1])


def made(key: Key, message: bytes) -> bytes:
    match key:
        case ed25519.Ed25519PrivateKey():
            return packed(b"ssh-ed25519", key.sign(message))
        case rsa.RSAPrivateKey():
            signature = key.sign(message, padding.PKCS1v15(), hashes.SHA512())
            return packed(b"rsa-sha2-512", signature)
        case _:
            signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
            pair = packed(*map(number, utils.decode_dss_signature(signature)))
            return packed(b"ecdsa-sha2-nistp256", pair)


def armour(kind: str, data: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{b64encode(data).decode()}\n-----END {kind}-----"


def sign(
    key: Key, signed: bytes = SIGNED, *, space: bytes = b"git", algorithm: str = "sha512"
) -> str:
    digest = hashlib.new(algorithm, signed).digest()
    message = b"SSHSIG" + packed(space, b"", algorithm.encode(), digest)
    head = b"SSHSIG" + (1).to_bytes(4, "big")
    body = packed(blob(key), space, b"", algorithm.encode(), made(key, message))
    return armour("SSH SIGNATURE", head + body)


@pytest.mark.parametrize(
    "make",
    [
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
    ],
)
def test_a_signature_holds_for_what_was_signed(make: Callable[[], Key]) -> None:
    key = make()
    signature = sign(key)

    verify(signature, SIGNED, b"# comment\n\n" + public(key) + b" me@here\n")
    with pytest.raises(SignatureFaultError, match="^the signature does not hold$"):
        verify(signature, SIGNED + b"x", public(key))


def test_another_key_is_refused() -> None:
    key, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()

    with pytest.raises(SignatureFaultError, match="^the signature was made with another key$"):
        verify(sign(key), SIGNED, public(other))


def test_a_signature_for_something_else_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()

    for signature in (sign(key, space=b"file"), sign(key, algorithm="sha1")):
        with pytest.raises(SignatureFaultError, match="^the signature is none of git$"):
            verify(signature, SIGNED, public(key))


@pytest.mark.parametrize(
    "signature",
    ["", "x", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
     armour("SSH SIGNATURE", b""), armour("SSH SIGNATURE", b"SSHSIG" + b"\xff" * 40),
     armour("SSH SIGNATURE", b"SSHSIG\0\0\0\1" + packed(b"a")),
     "-----BEGIN SSH SIGNATURE-----\n!!\n-----END SSH SIGNATURE-----"],
)  # fmt: skip
def test_what_is_no_signature_is_refused(signature: str) -> None:
    key = public(ed25519.Ed25519PrivateKey.generate())

    with pytest.raises(SignatureFaultError):
        verify(signature, SIGNED, key)
    assert describe(signature) == []


@pytest.mark.parametrize("key", [b"", b"nothing", b"ssh-ed25519 !!!", b"ssh-ed25519 AAAA"])
def test_a_file_without_a_key_is_refused(key: bytes) -> None:
    with pytest.raises(SignatureFaultError):
        verify(sign(ed25519.Ed25519PrivateKey.generate()), SIGNED, key)


def test_a_signature_is_described() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    digest = b64encode(hashlib.sha256(blob(key)).digest()).decode().rstrip("=")

    ((name, about),) = describe(sign(key))
    assert name == "sshSignature"
    assert dict(about.items()) == {"version": 1, "pubKey": f"SHA256:{digest}"}  # type: ignore[union-attr]

    for packet in (b"\xc2" + bytes([len(PGP)]) + PGP, b"\x88" + bytes([len(PGP)]) + PGP):
        ((name, about),) = describe(armour("PGP SIGNATURE", packet))
        assert name == "pgpSignature"
        assert dict(about.items()) == {"version": 4, "keyID": b"12345678".hex()}  # type: ignore[union-attr]
