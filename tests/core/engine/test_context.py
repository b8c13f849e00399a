"""Docker contexts on disk, and which one is current."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.config import Environment, TLSFlags
from dockyard.engine.context import DockerContexts, parse_host, split_tcp
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.errors import BuilderNotFoundError, ConfigError, EndpointError


def contexts(directory: Path, *, tls: TLSFlags | None = None, **given: str) -> DockerContexts:
    return DockerContexts(
        Environment.from_process(
            docker_config=str(directory),
            host=given.pop("host", None),
            docker_context=given.pop("docker_context", None),
            tls=tls,
            variables={"HOME": "/nowhere", **given},
        )
    )


def add_context(directory: Path, name: str, content: object = None, **files: str) -> Path:
    """Write a docker context as ``docker context create`` does."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = directory / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    host = {"Host": f"tcp://{name}:2376", "SkipTLSVerify": False}
    meta.write_text(
        json.dumps(content or {"Name": name, "Metadata": {}, "Endpoints": {"docker": host}})
    )
    for part, text in files.items():
        file = directory / "contexts" / "tls" / key / "docker" / f"{part}.pem"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return meta


@pytest.mark.parametrize(
    ("given", "current"),
    [
        (
            {
                "docker_context": "flag",
                "host": "tcp://h",
                "DOCKER_HOST": "x",
                "DOCKER_CONTEXT": "v",
            },
            "flag",
        ),
        ({"host": "tcp://h", "DOCKER_CONTEXT": "v"}, "default"),
        ({"DOCKER_HOST": "tcp://h", "DOCKER_CONTEXT": "v"}, "default"),
        ({"DOCKER_CONTEXT": "v"}, "v"),
        ({}, "configured"),
    ],
)
def test_the_current_context_is_the_first_that_somebody_chose(
    tmp_path: Path, given: dict[str, Any], current: str
) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "configured"}')

    assert contexts(tmp_path, **given).current_name == current


def test_without_any_choice_the_default_context_is_current(tmp_path: Path) -> None:
    found = contexts(tmp_path).current()

    assert found == EngineEndpoint(host="unix:///var/run/docker.sock", context="default")


def test_a_chosen_host_spares_reading_the_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    assert contexts(tmp_path, DOCKER_HOST="tcp://h").current().host == "tcp://h:2375"


def test_the_host_flag_comes_before_the_variable(tmp_path: Path) -> None:
    found = contexts(tmp_path, host="tcp://flag", DOCKER_HOST="tcp://variable")

    assert found.current().host == "tcp://flag:2375"


def test_a_current_context_that_does_not_exist_is_an_error_when_needed(tmp_path: Path) -> None:
    missing = contexts(tmp_path, DOCKER_CONTEXT="nope")

    assert missing.current_name == "nope"
    with pytest.raises(BuilderNotFoundError, match=r'^no builder "nope" found$') as caught:
        missing.current()
    assert caught.value.hint is not None
    assert "docker context nope does not exist" in caught.value.hint


@pytest.mark.parametrize("name", ["", ".", "../../etc", "a/b", "-x"])
def test_a_name_that_no_context_can_have_is_not_looked_up(tmp_path: Path, name: str) -> None:
    add_context(tmp_path, name or "x")

    assert not contexts(tmp_path).exists(name)


def test_the_endpoint_key_is_the_context_or_the_default_s_host(tmp_path: Path) -> None:
    assert contexts(tmp_path).endpoint_key() == "unix:///var/run/docker.sock"
    assert contexts(tmp_path, DOCKER_HOST="tcp://h").endpoint_key() == "tcp://h:2375"
    assert contexts(tmp_path, DOCKER_CONTEXT="ctx2").endpoint_key() == "ctx2"


def test_a_stored_context_is_found_by_its_name(tmp_path: Path) -> None:
    add_context(tmp_path, "remote")

    found = contexts(tmp_path).get("remote")

    assert found == EngineEndpoint(host="tcp://remote:2376", context="remote")


def test_a_stored_context_brings_its_certificates(tmp_path: Path) -> None:
    meta = add_context(tmp_path, "remote", ca="a", cert="b", key="c")
    directory = tmp_path / "contexts" / "tls" / meta.parent.name / "docker"

    found = contexts(tmp_path).get("remote")

    assert found.tls == TLSFiles(
        ca=str(directory / "ca.pem"),
        cert=str(directory / "cert.pem"),
        key=str(directory / "key.pem"),
    )


def test_skipping_verification_means_tls_without_certificates(tmp_path: Path) -> None:
    endpoint = {"Host": "tcp://h:1", "SkipTLSVerify": True}
    add_context(tmp_path, "remote", {"Name": "remote", "Endpoints": {"docker": endpoint}})

    assert contexts(tmp_path).get("remote").tls == TLSFiles(verify=False)


def test_all_contexts_are_listed_with_the_default(tmp_path: Path) -> None:
    add_context(tmp_path, "zeta")
    add_context(tmp_path, "alpha")

    assert contexts(tmp_path).names() == ("alpha", "default", "zeta")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "no JSON object"),
        ("{}", "no valid Name"),
        ('{"Name": 3}', "no valid Name"),
        ('{"Name": "other"}', "claims the name other"),
    ],
)
def test_a_damaged_context_is_set_aside_and_the_others_are_listed(
    tmp_path: Path, content: str, reason: str
) -> None:
    add_context(tmp_path, "good")
    add_context(tmp_path, "bad").write_text(content)

    names, problems = contexts(tmp_path).scan()

    assert names == ("default", "good")
    assert [reason in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"Name": "c"}, "Endpoints is missing"),
        ({"Name": "c", "Endpoints": {"kubernetes": {}}}, "docker is missing"),
        ({"Name": "c", "Endpoints": {"docker": {"Host": 3}}}, "Host is no string"),
    ],
)
def test_a_context_without_an_engine_says_so(tmp_path: Path, content: object, reason: str) -> None:
    add_context(tmp_path, "c1", content)

    with pytest.raises(ConfigError, match=reason):
        contexts(tmp_path).get("c1")


def test_an_endpoint_is_a_context_if_one_has_that_name(tmp_path: Path) -> None:
    add_context(tmp_path, "remote")

    assert contexts(tmp_path).resolve("remote").context == "remote"


def test_any_other_endpoint_is_an_address_without_tls(tmp_path: Path) -> None:
    found = contexts(tmp_path, DOCKER_TLS_VERIFY="1").resolve("tcp://h:2376")

    assert found == EngineEndpoint(host="tcp://h:2376", context="")


def test_docker_tls_verify_secures_the_default_context(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("x")

    found = contexts(
        tmp_path, DOCKER_HOST="tcp://h", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)
    ).current()

    assert found.host == "tcp://h:2376"
    assert found.tls == TLSFiles(
        ca=str(tmp_path / "ca.pem"), cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem")
    )


def test_docker_tls_alone_does_not_verify(tmp_path: Path) -> None:
    found = contexts(tmp_path, DOCKER_HOST="tcp://h", DOCKER_TLS="1").current()

    assert found.tls == TLSFiles(verify=False)


@pytest.mark.parametrize("flag", [True, False])
def test_the_tlsverify_flag_switches_tls_on_either_way(tmp_path: Path, *, flag: bool) -> None:
    found = contexts(tmp_path, tls=TLSFlags(verify=flag, ca="/ca"), DOCKER_HOST="tcp://h").current()

    assert found.tls == TLSFiles(ca="/ca", verify=flag)


def test_a_socket_file_is_never_encrypted(tmp_path: Path) -> None:
    found = contexts(tmp_path, DOCKER_HOST="unix:///s", DOCKER_TLS_VERIFY="1").current()

    assert found.tls is None


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", "unix:///var/run/docker.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("unix:///run/d.sock", "unix:///run/d.sock"),
        ("tcp://h", "tcp://h:2375"),
        ("tcp://h:1", "tcp://h:1"),
        ("tcp://", "tcp://localhost:2375"),
        ("tcp://:80", "tcp://localhost:80"),
        ("myctx", "tcp://myctx:2375"),
        ("h:80", "tcp://h:80"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://[::1]:80/base/", "tcp://[::1]:80/base"),
        ("ssh://u@h:22/s", "ssh://u@h:22/s"),
        ("npipe:////./pipe/x", "npipe:////./pipe/x"),
    ],
)
def test_an_address_is_completed(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text", ["http://h", "tcp://h:x", "tcp://h:0", "tcp://h:65536", "tcp://[::1", "tcp://a b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(EndpointError, match="invalid engine address"):
        parse_host(text)


def test_taking_an_address_apart_keeps_its_path() -> None:
    assert split_tcp("h:80/a/b") == ("h", 80, "/a/b")
    assert split_tcp("[::1]") == ("::1", None, "")
