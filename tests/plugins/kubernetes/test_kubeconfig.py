"""Kubeconfig files and service accounts: what is taken from them, and what is wrong with them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dockyard.engine.wait import Wait
from dockyard_kubernetes.credential import Fixed, TokenFile
from dockyard_kubernetes.exec_plugin import Plugin
from dockyard_kubernetes.failure import KubeconfigError
from dockyard_kubernetes.kubeconfig import Access, find_access

SECRET = "s3cr3t-s3cr3t"
NO_API = "kubernetes driver requires kubernetes API access"
NO_NAMESPACE = "cannot determine Kubernetes namespace, specify manually"

Write = Callable[..., Path]


def config(name: str = "here", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # parts of a kubeconfig
    """Make a kubeconfig with one context; what is given goes into its parts."""
    return {
        "current-context": name,
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"} | more.get("context", {})}
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://h:6443"} | more.get("cluster", {})}
        ],
        "users": [{"name": "u", "user": more.get("user", {"token": SECRET})}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(content: object, name: str = "config") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return run


def access(kubeconfig: object, **more: Any) -> Access:  # noqa: ANN401  # find_access's arguments
    variables = {"KUBECONFIG": str(kubeconfig)} | more.pop("variables", {})
    return find_access("kubernetes:///k?kubeconfig=", variables, **more)


def shown(found: Access) -> str:
    with Wait(5) as wait:
        return found.credential.show(wait).authorization


# --- which ---------------------------------------------------------------------------------


def test_the_current_context_is_taken_with_its_namespace(write: Write) -> None:
    found = access(write(config(context={"namespace": "ci"})))

    assert (found.server, found.context, found.namespace) == ("https://h:6443", "here", "ci")
    assert shown(found) == f"Bearer {SECRET}"
    assert found.verify


def test_context_and_namespace_can_be_chosen(write: Write) -> None:
    content = config()
    content["contexts"].append({"name": "there", "context": {"cluster": "c", "namespace": "x"}})
    path = write(content)

    assert access(path, context="there").namespace == "x"
    assert access(path, context="there", namespace="y").namespace == "y"
    assert shown(access(path, context="there")) == ""
    assert access(path).namespace == "default"


def test_the_endpoints_kubeconfig_comes_before_the_environments(write: Write) -> None:
    path = write(config("stored"), "stored")
    other = write(config("other"), "other")

    found = find_access(f"kubernetes:///k?kubeconfig={path}", {"KUBECONFIG": str(other)})

    assert found.context == "stored"


def test_without_any_the_usual_file_is_read(write: Write, tmp_path: Path) -> None:
    write(config("usual"), ".kube/config")

    for endpoint in ("kubernetes:///k?kubeconfig=", "some-docker-context"):
        assert find_access(endpoint, {"HOME": str(tmp_path)}).context == "usual"


def test_a_tilde_and_a_relative_path_are_understood(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config("mine"), "d/mine")
    monkeypatch.chdir(tmp_path)

    assert access("~/d/mine", variables={"HOME": str(tmp_path)}).context == "mine"
    assert access("d/mine").context == "mine"


def test_of_several_files_the_first_counts_that_has_it(write: Write) -> None:
    first = config("one")
    del first["current-context"]
    second = config("two", user={"token": "second"})
    second["contexts"].append({"name": "one", "context": {"cluster": "nowhere"}})
    paths = f"/dev/null/x:{write(first, '1')}:{write(second, '2')}:"

    assert access(paths).context == "two"
    assert access(paths, context="one").server == "https://h:6443"
    assert shown(access(paths)) == f"Bearer {SECRET}"  # the user's entry of the first file


def test_files_are_looked_for_beside_the_kubeconfig_that_names_them(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ca.pem").write_bytes(b"the CA")
    (tmp_path / "a" / "token").write_text(f"{SECRET}\n")
    one = write(config(cluster={"certificate-authority": "ca.pem"}), "a/config")
    other = write({"users": [{"name": "u", "user": {"tokenFile": "a/token"}}]}, "config")

    found = access(f"{other}:{one}")

    assert found.authority is not None
    assert found.authority.data == b"the CA"
    assert shown(found) == f"Bearer {SECRET}"


def test_a_token_stands_in_for_a_missing_token_file(write: Write) -> None:
    file = write(config(user={"tokenFile": "none", "token": SECRET}), "config")

    assert shown(access(file)) == f"Bearer {SECRET}"


def test_only_the_first_document_of_a_file_counts(write: Write, tmp_path: Path) -> None:
    file = write(config(), "config")
    with (tmp_path / "config").open("a") as opened:
        opened.write("\n---\ncurrent-context: other\n")

    assert access(file).context == access(write(config(), "same")).context


def test_what_a_cluster_says_of_tls_and_proxies_is_taken(write: Write) -> None:
    data = base64.b64encode(b"CA").decode()
    cluster = {
        "certificate-authority-data": data,
        "tls-server-name": "api.example",
        "proxy-url": f"http://u:{SECRET}@proxy:3128",
    }

    found = access(write(config(cluster=cluster)))

    assert found.authority is not None
    assert found.authority.data == b"CA"
    assert found.server_name == "api.example"
    assert found.proxy == f"http://u:{SECRET}@proxy:3128"
    unverified = access(write(config(cluster=cluster | {"insecure-skip-tls-verify": True})))
    assert (unverified.verify, unverified.authority) == (False, None)


# --- who -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "t\n"}, "Bearer t"),
        ({"username": "a", "password": "b"}, "Basic YTpi"),
        ({}, ""),
    ],
)
def test_fixed_credentials_are_shown(write: Write, user: dict[str, str], expected: str) -> None:
    found = access(write(config(user=user)))

    assert isinstance(found.credential, Fixed)
    assert shown(found) == expected


def test_a_client_certificate_is_taken_from_data_and_from_files(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"KEY")
    user = {"client-certificate-data": base64.b64encode(b"CERT").decode(), "client-key": "key"}

    found = access(write(config(user=user)))

    with Wait(5) as wait:
        certificate, key = found.credential.show(wait)[1:]
    assert certificate is not None
    assert key is not None
    assert (certificate.data, key.data) == (b"CERT", b"KEY")


def test_a_plugin_is_not_started_before_it_is_needed(write: Write) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/dev/null/x"}}

    assert isinstance(access(write(config(user=user))).credential, Plugin)


def test_acting_as_somebody_else_becomes_headers(write: Write) -> None:
    user = {
        "token": "t",
        "as": "jane",
        "as-uid": "7",
        "as-groups": ["a", "b"],
        "as-user-extra": {"Scopes/x": ["view"]},
    }

    assert access(write(config(user=user))).impersonation == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-scopes%2Fx", "view"),
    )


def test_nothing_shows_a_secret(write: Write) -> None:
    user = {
        "token": SECRET,
        "client-key-data": base64.b64encode(SECRET.encode()).decode(),
        "client-certificate-data": "QQ==",
    }
    found = access(write(config(user=user, cluster={"proxy-url": f"http://u:{SECRET}@p"})))

    with Wait(5) as wait:
        texts = [repr(found), repr(found.credential), repr(found.credential.show(wait))]
        texts += [repr(part) for part in found.credential.show(wait)[1:]]
    assert not any(SECRET in text for text in texts)


# --- in a pod ------------------------------------------------------------------------------


@pytest.fixture
def account(tmp_path: Path) -> Path:
    for name, text in (("token", SECRET), ("namespace", "team\n"), ("ca.crt", "CA")):
        (tmp_path / name).write_text(text)
    return tmp_path


POD = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "HOME": "/dev/null",
}


def test_in_a_pod_its_service_account_is_used(account: Path) -> None:
    found = find_access("kubernetes:///k?kubeconfig=", POD, service_account=account)

    assert (found.server, found.namespace, found.context) == ("https://10.0.0.1:443", "team", "")
    assert isinstance(found.credential, TokenFile)
    assert shown(found) == f"Bearer {SECRET}"
    (account / "token").write_text("renewed")
    assert shown(found) == "Bearer renewed"


def test_in_a_pod_with_an_ipv6_address_the_url_is_right(account: Path) -> None:
    variables = POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}

    found = find_access("x", variables, service_account=account)

    assert found.server == "https://[fd00::1]:443"


def test_a_pod_without_a_namespace_has_to_be_told_one(account: Path) -> None:
    (account / "namespace").unlink()

    with pytest.raises(KubeconfigError, match=f"^{NO_NAMESPACE}: .*namespace: no such file"):
        find_access("x", POD, service_account=account)

    assert find_access("x", POD, service_account=account, namespace="n").namespace == "n"


def test_without_anything_the_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError) as caught:
        find_access("kubernetes:///k", {"HOME": str(tmp_path)}, service_account=tmp_path)

    assert str(caught.value) == NO_API
    assert "KUBECONFIG is not set" in (caught.value.hint or "")


# --- wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [\n", "is no YAML in line 2"),
        (f"users:\n- token: {SECRET}: x\n", "is no YAML in line 2: mapping values are not allowed"),
        ("a: \x00", "is no YAML"),
        ("[]", "expected a mapping, got a list"),
        ("{}", "has no current context"),
        ("", "has no current context"),
        ({"contexts": {"a": 1}}, "contexts: expected a list, got a mapping"),
        ({"contexts": {}, "current-context": "x"}, 'context "x" does not exist'),
        ({"contexts": "x"}, "contexts: expected a list, got text"),
        ({"contexts": [{"context": {}}]}, r"contexts\[0\] has no name"),
        ({"contexts": [{"name": "a", "context": []}]}, 'context of "a": expected a mapping'),
        ({"current-context": ["a"]}, "current-context: expected text, got a list"),
        (config() | {"clusters": None}, 'names the cluster "c", which does not exist'),
        (config() | {"users": []}, 'names the user "u", which does not exist'),
        (config(cluster={"server": ""}), 'the cluster of context "here" has no server'),
        (config(cluster={"server": 7.5}, context={"cluster": ["x"]}), "cluster: expected text"),
        (config(cluster={"insecure-skip-tls-verify": "yes"}), "expected true or false, got text"),
        (
            config(cluster={"certificate-authority-data": "A"}),
            "certificate-authority-data is no base64",
        ),
        (config(user={"client-key-data": "QQ=="}), 'the user "u" has no client-certificate'),
        (config(user={"token": [SECRET]}), "token: expected text, got a list"),
        (config(user={"as": "j", "as-groups": 7}), "as-groups: expected a list, got a number"),
        (config(user={"as": "j", "as-user-extra": ["x"]}), "expected a mapping, got a list"),
        (config(user={"as": "j", "as-user-extra": {"k": "v"}}), "expected a list, got text"),
        (config(user={"as-groups": ["g"]}), "as-groups and as-user-extra need as$"),
        (config(user={"exec": SECRET}), "exec: expected a mapping, got text"),
    ],
)
def test_a_malformed_kubeconfig_is_told_without_its_secrets(
    write: Write, content: object, words: str
) -> None:
    path = write(content)

    with pytest.raises(KubeconfigError, match=words) as caught:
        access(path)

    error = caught.value
    assert str(error).startswith(f"{NO_NAMESPACE}: ")
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert error.hint
    assert SECRET not in str(error) + str(error.hint)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {}}, "credential plugin .* cannot be used: it has no command"),
        ({"exec": {"command": "x", "apiVersion": "v0"}}, "its apiVersion is none of"),
        ({"client-certificate": "nowhere", "client-key": "x"}, "nowhere cannot be read: no such"),
        ({"auth-provider": {"name": "gcp"}}, 'the auth-provider "gcp" .* is not supported'),
        ({"auth-provider": {"name": "oidc", "config": SECRET}}, "has no config of texts"),
    ],
)
def test_unusable_credentials_are_told(write: Write, user: object, words: str) -> None:
    with pytest.raises(KubeconfigError, match=words) as caught:
        access(write(config(user=user)))

    assert caught.value.hint
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=f"^{NO_NAMESPACE}: no such file: {tmp_path}/x$"):
        access(tmp_path / "x")
    with pytest.raises(KubeconfigError, match=f"^{NO_API}: no such file: /x or /y$"):
        access("/x:/y", namespace="n")


def test_an_unknown_context_is_told_with_those_that_there_are(write: Write) -> None:
    with pytest.raises(KubeconfigError, match='context "nope" does not exist') as caught:
        access(write(config()), context="nope")

    assert caught.value.hint == "there are: here"


def test_a_directory_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="cannot be used: is a directory"):
        access(tmp_path)
