from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.session.ed25519 import public_key, sign


def test_the_first_vector_of_rfc_8032_comes_out() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")

    assert public_key(seed).hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert sign(seed, b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974")


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_keys_and_signatures_are_those_of_an_independent_library(
    seed: bytes, message: bytes
) -> None:
    oracle = Ed25519PrivateKey.from_private_bytes(seed)

    assert public_key(seed) == oracle.public_key().public_bytes_raw()
    assert sign(seed, message) == oracle.sign(message)


def test_a_seed_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        public_key(b"short")
