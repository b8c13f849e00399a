from __future__ import annotations

import time

import pytest

from dockyard.registry.challenge import read_challenge


def test_a_token_server_is_preferred_to_a_password() -> None:
    found = read_challenge(
        ['Basic realm="x"', 'Bearer realm="https://a/token",service="b",scope="repository:c:pull"']
    )

    assert found is not None
    assert (found.scheme, found.realm, found.service) == ("bearer", "https://a/token", "b")


@pytest.mark.parametrize(
    ("header", "scheme", "realm"),
    [
        ('BASIC realm="a \\"quoted\\" one"', "basic", 'a "quoted" one'),
        ("Basic", "basic", ""),
        ("Bearer realm=plain , service=x", "bearer", "plain"),
        ('Negotiate, Basic realm="y"', "basic", "y"),
        ('Basic realm="y", Bearer realm="z"', "bearer", "z"),
    ],
)
def test_the_forms_that_a_header_may_have(header: str, scheme: str, realm: str) -> None:
    found = read_challenge([header])

    assert found is not None
    assert (found.scheme, found.realm) == (scheme, realm)


@pytest.mark.parametrize("header", ["", "Digest realm=x", "=", '"', "," * 9000, "a" * 100000])
def test_what_we_cannot_do_is_no_challenge(header: str) -> None:
    assert read_challenge([header]) is None


def test_a_header_of_blanks_is_soon_read() -> None:
    begun = time.process_time()

    assert read_challenge([f"Digest{' ' * 8000}!"] * 100) is None

    assert time.process_time() - begun < 10
