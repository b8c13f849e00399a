"""Builders whose endpoint is a docker context: the cluster that it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.wait import Wait
from dockyard_kubernetes.credential import Shown
from dockyard_kubernetes.exec_plugin import Plugin
from dockyard_kubernetes.failure import KubeconfigError
from dockyard_kubernetes.kubeconfig import Access, find_access

SECRET = "s3cr3t-s3cr3t"

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the docker context ``prod`` as docker has it, its ``kubernetes`` endpoint as given."""

    def run(kubernetes: object, **pems: str) -> None:
        key = hashlib.sha256(b"prod").hexdigest()
        contexts = tmp_path / ".docker" / "contexts"
        meta = contexts / "meta" / key / "meta.json"
        meta.parent.mkdir(parents=True)
        endpoints: dict[str, object] = {"docker": {"Host": "tcp://engine:2376"}}
        if kubernetes is not None:
            endpoints["kubernetes"] = kubernetes
        meta.write_text(json.dumps({"Name": "prod", "Metadata": {}, "Endpoints": endpoints}))
        for part, text in pems.items():
            file = contexts / "tls" / key / "kubernetes" / f"{part}.pem"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return run


def access(tmp_path: Path, endpoint: str = "prod", **more: Any) -> Access:  # noqa: ANN401  # of find_access
    usual = tmp_path / ".kube" / "config"
    usual.parent.mkdir()
    usual.write_text(
        "current-context: usual\n"
        "contexts: [{name: usual, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: https://usual}}]\n"
    )
    return find_access(endpoint, {"HOME": str(tmp_path), **more.pop("variables", {})}, **more)


def shown(found: Access) -> Shown:
    with Wait(5) as wait:
        return found.credential.show(wait)


def test_the_cluster_of_a_docker_context_is_taken_with_its_certificates(
    write: Write, tmp_path: Path
) -> None:
    write(
        {"Host": "https://h:6443", "SkipTLSVerify": False, "DefaultNamespace": "ci"},
        ca="the ca",
        cert="the certificate",
        key="the key",
    )

    found = access(tmp_path)

    assert (found.server, found.context, found.namespace) == ("https://h:6443", "prod", "ci")
    assert found.verify
    assert found.authority is not None
    assert found.authority.data == b"the ca"
    proof = shown(found)
    assert proof.certificate is not None
    assert proof.key is not None
    assert (proof.certificate.data, proof.key.data) == (b"the certificate", b"the key")


def test_it_comes_before_kubeconfig_files_and_options_before_it(
    write: Write, tmp_path: Path
) -> None:
    write({"Host": "https://h"})

    found = access(tmp_path, namespace="mine", variables={"KUBECONFIG": "/nowhere"})

    assert (found.server, found.namespace) == ("https://h", "mine")


def test_another_directory_of_docker_s_is_looked_into(write: Write, tmp_path: Path) -> None:
    write({"Host": "https://h"})

    variables = {"HOME": "/nowhere", "DOCKER_CONFIG": str(tmp_path / ".docker")}

    assert access(tmp_path, variables=variables).server == "https://h"


@pytest.mark.parametrize(
    ("more", "authorization"),
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"usernamePassword": {"username": "u", "password": "p"}}, "Basic dTpw"),
        ({}, ""),
    ],
    ids=["token", "password", "nothing"],
)
def test_it_says_who_we_are(
    write: Write, tmp_path: Path, more: dict[str, object], authorization: str
) -> None:
    write({"Host": "https://h", "SkipTLSVerify": True, "ProxyURL": "http://p:1", **more})

    found = access(tmp_path)

    assert shown(found).authorization == authorization
    assert not found.verify
    assert found.proxy == "http://p:1"
    assert SECRET not in repr(found)


def test_its_credential_plugin_is_asked(write: Write, tmp_path: Path) -> None:
    plugin = {"command": "login", "apiVersion": "client.authentication.k8s.io/v1", "Config": None}
    write({"Host": "https://h", "Exec": plugin, "AuthProvider": None})

    assert isinstance(access(tmp_path).credential, Plugin)


@pytest.mark.parametrize("endpoint", ["prod", "default", "other", "", "tcp://h:1", "../prod"])
def test_without_a_cluster_there_the_usual_file_is_read(
    write: Write, tmp_path: Path, endpoint: str
) -> None:
    write(None)

    assert access(tmp_path, endpoint).server == "https://usual"


@pytest.mark.parametrize(
    ("kubernetes", "words"),
    [
        ([], "kubernetes is missing or no object"),
        ({}, r'the cluster of context "prod" has no server'),
        ({"Host": 7.5, "usernamePassword": "x"}, "usernamePassword is no object"),
        ({"Host": {}}, "server: expected text, got a mapping"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_file(
    write: Write, tmp_path: Path, kubernetes: object, words: str
) -> None:
    write(kubernetes)

    with pytest.raises(KubeconfigError, match=words) as caught:
        access(tmp_path)

    assert "meta.json" in str(caught.value)
    assert caught.value.hint
