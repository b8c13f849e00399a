from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from dockyard.session.ssh_key import KeyFormatError, PrivateKey, _rsa, parse_key, text


def generate(folder: Path, *arguments: str) -> bytes:
    """Make a key with OpenSSH, and give its file."""
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-f", path, "-N", "", *arguments], check=True, timeout=60)
    return path.read_bytes()


@pytest.mark.parametrize(
    "kind",
    [
        ["-t", "ed25519"],
        ["-t", "rsa", "-b", "2048"],
        ["-t", "rsa", "-b", "2048", "-m", "PEM"],
        ["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
        ["-t", "ecdsa", "-b", "256"],
        ["-t", "ecdsa", "-b", "384", "-m", "PEM"],
        ["-t", "ecdsa", "-b", "521"],
    ],
    ids="-".join,
)
def test_the_public_half_is_what_openssh_says(tmp_path: Path, kind: list[str]) -> None:
    import base64

    key = parse_key(generate(tmp_path, *kind))

    line = (tmp_path / "key.pub").read_text().split()
    assert base64.b64encode(key.blob).decode() == line[1]


@pytest.mark.parametrize(
    ("flags", "name", "digest"),
    [
        (0, b"ssh-rsa", hashes.SHA1()),
        (2, b"rsa-sha2-256", hashes.SHA256()),
        (4, b"rsa-sha2-512", hashes.SHA512()),
        (6, b"rsa-sha2-512", hashes.SHA512()),
    ],
)
def test_rsa_signs_with_what_the_flags_ask_for(
    tmp_path: Path, flags: int, name: bytes, digest: hashes.HashAlgorithm
) -> None:
    data = generate(tmp_path, "-t", "rsa", "-b", "2048")
    key = serialization.load_ssh_private_key(data, None)
    assert isinstance(key, rsa.RSAPrivateKey)

    signature = parse_key(data).sign(b"data", flags)

    head = text(name)
    assert signature.startswith(head)
    assert len(signature) == len(head) + 4 + 256
    key.public_key().verify(signature[-256:], b"data", PKCS1v15(), digest)


@pytest.mark.parametrize("form", [[], ["-m", "PEM"], ["-m", "PKCS8"]], ids=["own", "PEM", "PKCS8"])
def test_a_passphrase_is_told(tmp_path: Path, form: list[str]) -> None:
    data = generate(tmp_path, "-t", "rsa", "-b", "2048", *form, "-N", "secret")

    with pytest.raises(KeyFormatError, match=r"^ssh: this private key is passphrase protected$"):
        parse_key(data)


@pytest.mark.parametrize("data", [b"", b"hello", b"ssh-ed25519 AAAA", b"\0" * 1000])
def test_what_is_no_key_is_told(data: bytes) -> None:
    with pytest.raises(KeyFormatError, match=r"^ssh: no key found$"):
        parse_key(data)


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN ",
    ],
)
def test_a_damaged_key_is_told(data: bytes) -> None:
    with pytest.raises(KeyFormatError, match="damaged or of a kind"):
        parse_key(data)


def test_a_key_of_another_kind_is_told() -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    data = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    with pytest.raises(KeyFormatError, match="kind is not supported"):
        parse_key(data)


def test_nothing_of_a_key_is_in_its_repr() -> None:
    key = PrivateKey(blob=b"public", sign=lambda _data, _flags: b"")

    assert repr(key) == "PrivateKey(6 bytes)"


def test_a_key_that_is_too_short_for_a_signature_refuses_it() -> None:
    class Short:
        def sign(self, *_: object) -> bytes:
            raise ValueError("Digest or salt length too long for key size.")

    sign = _rsa(cast("rsa.RSAPrivateKey", Short()))

    with pytest.raises(KeyFormatError, match="sha512"):
        sign(b"data", 4)
