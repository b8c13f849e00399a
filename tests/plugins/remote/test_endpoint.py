"""Endpoints as people write them."""

from __future__ import annotations

import pytest

from dockyard.errors import EndpointError
from dockyard_remote.endpoint import choose, parse

DIAL = ("buildctl", "dial-stdio")
SSH = ("ssh", "-T", "-o", "ConnectTimeout=10")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("docker-container://bk", ("docker", "exec", "-i", "bk", *DIAL)),
        ("docker-container://bk/", ("docker", "exec", "-i", "bk", *DIAL)),
        (
            "docker-container://my_bk.1?context=east",
            ("docker", "--context=east", "exec", "-i", "my_bk.1", *DIAL),
        ),
        ("podman-container://bk", ("podman", "exec", "-i", "bk", *DIAL)),
        ("nerdctl-container://bk", ("nerdctl", "exec", "-i", "bk", *DIAL)),
        (
            "nerdctl-container://bk?namespace=k8s.io",
            ("nerdctl", "--namespace=k8s.io", "exec", "-i", "bk", *DIAL),
        ),
        ("kube-pod://bk-0", ("kubectl", "exec", "-i", "bk-0", "--", *DIAL)),
        (
            "kube-pod://bk?context=arn:aws:eks:x/Y&namespace=ci&container=bkd",
            (
                *("kubectl", "--context=arn:aws:eks:x/Y", "--namespace=ci"),
                *("exec", "--container=bkd", "-i", "bk", "--", *DIAL),
            ),
        ),
        ("ssh://h", (*SSH, "--", "h", *DIAL)),
        ("ssh://me@h:2222", (*SSH, "-l", "me", "-p", "2222", "--", "h", *DIAL)),
        (
            "ssh://h/run/my bk.sock".replace(" ", "_"),
            (*SSH, "--", "h", "buildctl", "--addr", "unix:///run/my_bk.sock", "dial-stdio"),
        ),
        (
            "ssh://h/run/$(id);.sock",
            (*SSH, "--", "h", "buildctl", "--addr", "'unix:///run/$(id);.sock'", "dial-stdio"),
        ),
    ],
)
def test_some_are_reached_through_a_program(text: str, command: tuple[str, ...]) -> None:
    found = parse(text)

    assert found.command == command
    assert found.authority == "localhost"
    assert not found.is_plain_elsewhere


@pytest.mark.parametrize(
    ("text", "host", "port", "authority"),
    [
        ("tcp://build.example:1234", "build.example", 1234, "build.example:1234"),
        ("tcp://10.0.0.7:1", "10.0.0.7", 1, "10.0.0.7:1"),
        ("tcp://[fd00::7]:65535/", "fd00::7", 65535, "[fd00::7]:65535"),
    ],
)
def test_tcp_is_a_host_and_a_port(text: str, host: str, port: int, authority: str) -> None:
    found = parse(text)

    assert (found.host, found.port, found.authority) == (host, port, authority)


@pytest.mark.parametrize("path", ["/run/buildkit/buildkitd.sock", "@abstract"])
def test_unix_is_a_path(path: str) -> None:
    found = parse(f"unix://{path}")

    assert (found.path, found.authority) == (path, "localhost")


@pytest.mark.parametrize(
    ("host", "elsewhere"),
    [
        ("localhost", False),
        ("LOCALHOST.", False),
        ("bk.localhost", False),
        ("127.0.0.1", False),
        ("127.8.9.1", False),
        ("[::1]", False),
        ("0.0.0.0", True),
        ("10.0.0.7", True),
        ("[fe80::1]", True),
        ("[::ffff:10.0.0.7]", True),
        ("localhost.example", True),
        ("build", True),
    ],
)
def test_loopback_addresses_stay_on_the_machine(host: str, elsewhere: bool) -> None:
    assert parse(f"tcp://{host}:1").is_plain_elsewhere is elsewhere


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo://x", "unrecognized url scheme foo"),
        ("FOO", "unrecognized url scheme"),
        ("build:1234", "unrecognized url scheme build"),
        ("http://x:1", "unrecognized url scheme http"),
        ("tcp:/x:1", "unrecognized url scheme tcp"),
        ("tcp://", "invalid endpoint tcp://: the host is missing"),
        ("tcp://build", "invalid endpoint tcp://build: the port is missing"),
        ("tcp://build:", "invalid endpoint tcp://build:: the port is missing"),
        ("tcp://build:0", "invalid endpoint tcp://build:0: the port is no number from 1 to 65535"),
        ("tcp://b:65536", "invalid endpoint tcp://b:65536: the port is no number from 1 to 65535"),
        ("tcp://b:x", "invalid endpoint tcp://b:x: the port is no number from 1 to 65535"),
        ("tcp://:1", "invalid endpoint tcp://:1: the host is missing"),
        ("tcp://b:1/p", "invalid endpoint tcp://b:1/p: a path makes no sense in it"),
        ("tcp://b:1?a=b", "invalid endpoint tcp://b:1?a=b: a character does not belong there"),
        ("tcp://[::1:1", "invalid endpoint tcp://[::1:1: a bracket is missing"),
        ("unix://", "invalid endpoint unix://: the path is missing"),
        ("unix:///", "invalid endpoint unix:///: the path is missing"),
        ("unix://run/s", "invalid endpoint unix://run/s: the path is not absolute"),
        ("ssh://", "invalid ssh address ssh://: the host or the user is missing"),
        ("ssh://me:secret@h", "invalid ssh address ssh://h: a password cannot be given"),
        ("ssh://h?x=y", "invalid ssh address ssh://h?x=y: a query makes no sense in it"),
        ("ssh://h#f", "invalid ssh address ssh://h#f: a fragment makes no sense in it"),
        ("docker-container://", "the container's name is missing"),
        ("docker-container://?context=x", "the container's name is missing"),
        ("docker-container://-v", '"-v" is no name of a container'),
        ("docker-container://a b", '"a b" is no name of a container'),
        ("docker-container://a/b", '"a/b" is no name of a container'),
        ("docker-container://a?namespace=x", 'unknown parameter "namespace"'),
        ("podman-container://a?context=x", 'unknown parameter "context"'),
        ("kube-pod://", "the pod's name is missing"),
        ("kube-pod://Pod", 'unsupported pod name: "Pod"'),
        ("kube-pod://--help", 'unsupported pod name: "--help"'),
        ("kube-pod://p?namespace=a/b", 'unsupported namespace name: "a/b"'),
        ("kube-pod://p?container=a%20b", 'unsupported container name: "a b"'),
        ("kube-pod://p?context=a%0ab", "a character does not belong there"),
        ("npipe:////./pipe/bk", "npipe:////./pipe/bk is a named pipe, which only Windows has"),
    ],
)
def test_others_are_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse(text)

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(EndpointError) as caught:
        parse("foo://x")

    assert caught.value.hint is not None
    for known in ("unix://", "tcp://", "ssh://", "docker-container://", "kube-pod://"):
        assert known in caught.value.hint


def test_a_bare_host_and_port_is_guessed() -> None:
    with pytest.raises(EndpointError) as caught:
        parse("build:1234")

    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean tcp://build:1234?")


def test_the_argument_counts_more_than_the_variable() -> None:
    variables = {"BUILDKIT_HOST": "tcp://b:2"}

    assert choose("tcp://a:1", variables) == "tcp://a:1"
    assert choose(None, variables) == "tcp://b:2"


@pytest.mark.parametrize("variables", [{}, {"BUILDKIT_HOST": ""}])
def test_without_either_there_is_no_endpoint(variables: dict[str, str]) -> None:
    with pytest.raises(EndpointError, match="^no remote endpoint provided$"):
        choose(None, variables)


def test_the_variable_is_checked_as_well() -> None:
    with pytest.raises(EndpointError, match="unrecognized url scheme foo"):
        choose(None, {"BUILDKIT_HOST": "foo://x"})
