from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from dockyard.building.inputs.rego.document import make_document
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.value import MissingError, RObject, to_json
from dockyard.platforms import Platform
from dockyard.session.policy import SourceCheck

LINUX = Platform(os="linux", architecture="amd64")
DIGEST = f"sha256:{'a' * 64}"
COMMIT = (
    b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\nauthor Al <a@b.c> 1600000000 +0130\n"
    b"committer Bo <b@b.c> 1600000000 +0000\n\nfirst\n\nmore\n"
)


def known(check: SourceCheck) -> Any:  # noqa: ANN401  # JSON
    return to_json(make_document(check, LINUX).source.only_known())


def needs(check: SourceCheck, part: str, field: str) -> object:
    whole = make_document(check, LINUX).source.get(part)
    assert isinstance(whole, RObject)
    try:
        whole.get(field)
    except MissingError as error:
        return set(error.needs)
    return None


def hashed(kind: str, data: bytes) -> str:
    header = f"{kind} {len(data)}\0".encode()
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "docker.io/library/alpine:3",
            {"ref": "docker.io/library/alpine:3", "host": "docker.io", "repo": "alpine",
             "fullRepo": "docker.io/library/alpine", "tag": "3"},
        ),
        (
            f"docker.io/moby/buildkit@{DIGEST}",
            {"ref": f"docker.io/moby/buildkit@{DIGEST}", "host": "docker.io",
             "repo": "moby/buildkit", "fullRepo": "docker.io/moby/buildkit",
             "isCanonical": True, "checksum": DIGEST},
        ),
        (
            "ghcr.io:444/a/b:x",
            {"ref": "ghcr.io:444/a/b:x", "host": "ghcr.io:444", "repo": "ghcr.io:444/a/b",
             "fullRepo": "ghcr.io:444/a/b", "tag": "x"},
        ),
    ],
)  # fmt: skip
def test_an_image_is_taken_apart(name: str, expected: Mapping[str, object]) -> None:
    found = known(SourceCheck(f"docker-image://{name}"))

    platform = {"platform": "linux/amd64", "os": "linux", "arch": "amd64"}
    assert found == {"image": {**expected, **platform}}


def test_what_an_image_says_of_itself_is_asked_for() -> None:
    check = SourceCheck("docker-image://docker.io/library/a:1")

    assert needs(check, "image", "labels") == needs(check, "image", "env") == {"config"}
    assert needs(check, "image", "createdTime") == needs(check, "image", "checksum") == {"config"}
    assert needs(check, "image", "provenance") == needs(check, "image", "signatures") == {"chain"}
    assert needs(check, "image", "repo") is None


def test_an_images_configuration_is_read() -> None:
    config = {
        "created": "2024-01-02T03:04:05.678Z",
        "config": {
            "Labels": {"a": "b"}, "Env": ["A=1"], "User": "u", "WorkingDir": "/w",
            "Volumes": {"/v": {}, "/u": {}},
        },
    }  # fmt: skip
    image = {"Digest": DIGEST, "Config": json.dumps(config).encode()}

    found = known(SourceCheck("docker-image://docker.io/library/a:1", image=image))["image"]

    assert found["labels"] == {"a": "b"}
    assert found["env"] == ["A=1"]
    assert (found["user"], found["workingDir"]) == ("u", "/w")
    assert found["volumes"] == ["/u", "/v"]
    assert (found["createdTime"], found["checksum"]) == ("2024-01-02T03:04:05Z", DIGEST)


@pytest.mark.parametrize(
    "config", [b"{", b"[]", b'{"config": 1}', b'{"config": {"Labels": {"a": 1}}}', b'"x"', b"1"]
)
def test_a_configuration_that_makes_no_sense_ends_it(config: bytes) -> None:
    check = SourceCheck("docker-image://docker.io/library/a:1", image={"Config": config})

    with pytest.raises(PolicyFaultError, match="makes no sense"):
        make_document(check, LINUX)


def test_signatures_that_are_there_cannot_be_looked_at() -> None:
    chain = {"AttestationManifest": DIGEST, "SignatureManifests": [DIGEST]}
    signed = SourceCheck("docker-image://docker.io/library/a:1", image={"AttestationChain": chain})
    unsigned = signed._replace(image={"AttestationChain": {"AttestationManifest": DIGEST}})

    assert needs(signed, "image", "signatures") == {"signatures"}
    assert needs(unsigned, "image", "signatures") is None
    assert known(unsigned)["image"]["hasProvenance"] is True


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://example.com/a%20b?x=1&x=2&y=a+b",
            {"schema": "https", "host": "example.com", "path": "/a b",
             "query": {"x": ["1", "2"], "y": ["a b"]}},
        ),
        ("http://u:p@h:80/", {"schema": "http", "host": "h:80", "path": "/"}),
    ],
)  # fmt: skip
def test_an_url_is_taken_apart(url: str, expected: Mapping[str, object]) -> None:
    check = SourceCheck(url)

    assert known(check) == {"http": {"url": url, **expected}}
    assert needs(check, "http", "checksum") == {"checksum"}
    assert known(check._replace(http={"Checksum": DIGEST}))["http"]["checksum"] == DIGEST
    assert known(check._replace(attributes={"http.authheadersecret": "s"}))["http"]["hasAuth"]


@pytest.mark.parametrize(
    "identifier",
    [
        "https://good.com\\@evil.com/", "https://good.com@evil.com@x/", "https://a b/", "https://a/%zz",
        "https://a\n/", "https://[::1/", "docker-image://UPPER/x y", "git://a b", "ftp://x/y",
        "oci-layout://x", "nothing", "docker-image://", "https://a%2eb/",
    ],
)  # fmt: skip
def test_what_is_not_plainly_a_source_is_refused(identifier: str) -> None:
    with pytest.raises(PolicyFaultError):
        make_document(SourceCheck(identifier), LINUX)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (
            "git://github.com/a/b.git#refs/heads/main:dir/../sub",
            {"schema": "https", "host": "github.com", "remote": "https://github.com/a/b.git",
             "branch": "main", "ref": "refs/heads/main", "subDir": "sub"},
        ),
        (
            "git://git@h:a/b.git#refs/tags/v1",
            {"schema": "ssh", "host": "h", "remote": "git@h:a/b.git", "tagName": "v1",
             "ref": "refs/tags/v1"},
        ),
        (
            f"git://h/b.git#{'c' * 40}",
            {"schema": "https", "host": "h", "remote": "https://h/b.git", "ref": "c" * 40,
             "isCommitRef": True, "checksum": "c" * 40, "commitChecksum": "c" * 40},
        ),
    ],
)  # fmt: skip
def test_a_repository_is_taken_apart(identifier: str, expected: Mapping[str, object]) -> None:
    assert known(SourceCheck(identifier)) == {"git": expected}


def test_what_a_name_in_a_repository_means_is_asked_for() -> None:
    check = SourceCheck("git://h/b.git#main", {"git.fullurl": "http://h:1/b.git"})

    assert known(check)["git"]["fullURL"] == "http://h:1/b.git"
    assert known(check)["git"]["host"] == "h:1"
    for field in ("branch", "tagName", "ref", "checksum", "isAnnotatedTag"):
        assert needs(check, "git", field) == {"git"}
    assert needs(check, "git", "commit") == needs(check, "git", "tag") == {"objects"}


def test_a_commit_is_described() -> None:
    digest = hashed("commit", COMMIT)
    git = {"Ref": "refs/heads/main", "Checksum": digest, "CommitObject": COMMIT}

    found = known(SourceCheck("git://h/b.git#main", git=git))["git"]

    assert found["branch"] == "main"
    assert found["commit"] == {
        "tree": "1" * 40,
        "parents": ["2" * 40],
        "author": {"name": "Al", "email": "a@b.c", "when": "2020-09-13T13:56:40+01:30"},
        "committer": {"name": "Bo", "email": "b@b.c", "when": "2020-09-13T12:26:40Z"},
        "message": "first\n\nmore",
    }


@pytest.mark.parametrize("data", [COMMIT + b"x", b"object x\n\n", b"tree 1\n\n", b"\0" * 100])
def test_another_commit_than_was_promised_is_refused(data: bytes) -> None:
    git = {"Ref": "main", "Checksum": hashed("commit", COMMIT), "CommitObject": data}

    with pytest.raises(PolicyFaultError):
        make_document(SourceCheck("git://h/b.git#main", git=git), LINUX)


def test_an_image_without_platform_cannot_be_looked_at() -> None:
    with pytest.raises(PolicyFaultError, match="platform"):
        make_document(SourceCheck("docker-image://docker.io/library/a:1"), None)
