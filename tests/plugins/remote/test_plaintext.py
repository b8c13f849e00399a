"""What is said of endpoints that others can listen to."""

from __future__ import annotations

import pytest

from dockyard.errors import OptionError
from dockyard_remote.plaintext import warnings

from .conftest import MakeNode


def test_plain_tcp_to_another_machine_is_warned_of_with_the_remedies(make_node: MakeNode) -> None:
    (line,) = warnings(make_node("tcp://build.example:1234"))

    assert line.startswith("tcp://build.example:1234 is not encrypted")
    for remedy in ("cacert=", "cert=", "key=", "ssh://", "--driver-opt allow-plaintext=true"):
        assert remedy in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://localhost:1", "tcp://127.0.0.1:1", "tcp://[::1]:1", "unix:///s", "ssh://build.example"],
)
def test_what_stays_on_the_machine_or_is_encrypted_is_not(
    make_node: MakeNode, endpoint: str
) -> None:
    assert warnings(make_node(endpoint)) == ()


def test_tls_is_what_is_wanted(make_node: MakeNode) -> None:
    assert warnings(make_node("tcp://build.example:1", cacert="/ca.pem")) == ()


def test_consent_is_enough(make_node: MakeNode) -> None:
    assert warnings(make_node("tcp://build.example:1", allow_plaintext=True)) == ()
    assert warnings(make_node("tcp://build.example:1", allow_plaintext=False))


def test_tls_options_that_have_no_effect_are_named(make_node: MakeNode) -> None:
    (line,) = warnings(make_node("docker-container://bk", cacert="/ca.pem", servername="x"))

    assert line.startswith("cacert, servername: without effect on docker-container://bk")


def test_options_that_do_not_fit_together_are_an_error(make_node: MakeNode) -> None:
    with pytest.raises(OptionError, match="^tls enabled, but missing keys cacert, key$"):
        warnings(make_node("tcp://build.example:1", cert="/cert.pem"))
