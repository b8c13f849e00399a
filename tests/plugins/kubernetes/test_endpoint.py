"""The endpoint of a kubernetes node: written as the reference does, read without surprises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import EndpointError
from dockyard_kubernetes.endpoint import Endpoint, choose, parse

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@pytest.mark.parametrize(
    ("kubeconfig", "written"),
    [
        ("", "kubernetes:///k20?deployment=k200&kubeconfig="),
        (
            "/home/me/.kube/my config",
            "kubernetes:///k20?deployment=k200&kubeconfig=%2Fhome%2Fme%2F.kube%2Fmy+config",
        ),
        ("~/a:b&c", "kubernetes:///k20?deployment=k200&kubeconfig=~%2Fa%3Ab%26c"),
    ],
)
def test_an_endpoint_is_written_as_the_reference_writes_it(kubeconfig: str, written: str) -> None:
    variables = {"KUBECONFIG": kubeconfig} if kubeconfig else {}

    assert choose(None, variables, "k200", "k20") == written


@given(NAMES, TEXTS, TEXTS)
def test_what_is_written_is_read_again(builder: str, deployment: str, kubeconfig: str) -> None:
    endpoint = Endpoint(builder, deployment, kubeconfig)

    assert parse(str(endpoint)) == endpoint


def test_an_argument_is_refused_by_name() -> None:
    with pytest.raises(
        EndpointError, match='^kubernetes driver does not support endpoint args "foo"$'
    ) as caught:
        choose("foo", {}, "k200", "k20")

    assert "KUBECONFIG" in (caught.value.hint or "")


def test_the_order_and_the_rest_of_the_query_do_not_matter() -> None:
    found = parse("kubernetes:///k?x=1&kubeconfig=%2Fa&deployment=d&kubeconfig=%2Fb")

    assert found == Endpoint("k", "d", "/a")


@pytest.mark.parametrize("stored", ["", "default", "mycontext", "tcp://1.2.3.4:5"])
def test_an_endpoint_of_another_form_says_nothing(stored: str) -> None:
    assert parse(stored) == Endpoint()


@pytest.mark.parametrize(
    "stored",
    ["kubernetes:///k?kubeconfig=%ff", "kubernetes:///%ff", "kubernetes:///?" + "a=1&" * 40],
)
def test_a_malformed_endpoint_is_refused(stored: str) -> None:
    with pytest.raises(EndpointError, match="malformed endpoint 'kubernetes:///"):
        parse(stored)


@given(st.text(max_size=60))
def test_no_stored_text_breaks_the_reading(rest: str) -> None:
    try:
        parse(f"kubernetes://{rest}")
    except EndpointError as error:
        assert "malformed endpoint" in str(error)  # noqa: PT017  # either way is right
