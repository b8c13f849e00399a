from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from dockyard.building.inputs.named import (
    LayoutReference,
    NamedContexts,
    join_caps,
    open_build_contexts,
    parse_build_contexts,
)
from dockyard.errors import ContextError, InputError
from dockyard.session.content_store import Announcement
from dockyard.wire.errors import CallError

CONTEXTS = "moby.buildkit.frontend.contexts+forward"
QUERY = "moby.buildkit.frontend.gitquerystring+forward"
DIGEST = "sha256:" + "a" * 64


# --- the grammar ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("alpine", "alpine"),
        ("alpine:latest", "alpine"),
        ("alpine:3.19", "alpine:3.19"),
        ("docker.io/library/alpine", "alpine"),
        ("index.docker.io/library/alpine:latest", "alpine"),
        ("library/alpine", "alpine"),
        ("me/app", "me/app"),
        ("docker.io/me/app:latest", "me/app"),
        ("library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:latest", "localhost:5000/app"),
        ("reg.example/app", "reg.example/app"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
    ],
)
def test_names_are_brought_into_their_shortest_form(name: str, normal: str) -> None:
    assert parse_build_contexts([f"{name}=value"]) == {normal: "value"}


def test_only_the_first_equals_sign_separates() -> None:
    assert parse_build_contexts(["a=b=c,d=e", ""]) == {"a": "b=c,d=e"}


def test_a_mapping_is_checked_as_well() -> None:
    assert parse_build_contexts({"a:latest": "x"}) == {"a": "x"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", "invalid context value: foo, expected key=value"),
        ("=x", "invalid context name : invalid reference format"),
        ("a@b=x", "invalid context name a@b: invalid reference format"),
        (
            "Foo=x",
            "invalid context name Foo: invalid reference format: "
            "repository name (library/Foo) must be lowercase",
        ),
        (
            f"{'a' * 64}=x",
            f"invalid context name {'a' * 64}: invalid repository name ({'a' * 64}), "
            "cannot specify 64-byte hexadecimal strings",
        ),
        (
            f"{'a' * 300}=x",
            f"invalid context name {'a' * 300}: repository name must not be more than "
            "255 characters",
        ),
    ],
)
def test_a_wrong_name_is_told(value: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_build_contexts([value])

    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("oci-layout://path", ("path", "latest", "")),
        ("oci-layout://path:tag", ("path", "tag", "")),
        (f"oci-layout://path@{DIGEST}", ("path", "", DIGEST)),
        (f"oci-layout://path:tag@{DIGEST}", ("path", "tag", DIGEST)),
        ("oci-layout:///abs/with:colon/dir", ("/abs/with:colon/dir", "latest", "")),
        ("oci-layout://path@sha256:xx", ("path@sha256", "xx", "")),
        ("oci-layout://path@home", ("path@home", "latest", "")),
        ("oci-layout://", ("", "latest", "")),
    ],
)
def test_a_layout_has_a_path_and_perhaps_tag_and_digest(
    value: str, expected: tuple[str, str, str]
) -> None:
    assert LayoutReference.parse(value) == expected


# --- finding them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "caps"),
    [
        ("docker-image://alpine:3.19", CONTEXTS),
        ("docker-image://alpine?x", CONTEXTS),
        ("https://example.com/a.tar", CONTEXTS),
        ("https://example.com/a.tar?b=c", CONTEXTS),
        ("https://example.com/a.git#main", CONTEXTS),
        ("https://example.com/a.git?ref=main", f"{CONTEXTS},{QUERY}"),
        ("git@example.com:a/b?ref=main", f"{CONTEXTS},{QUERY}"),
    ],
)
def test_what_the_daemon_fetches_is_passed_on(tmp_path: Path, value: str, caps: str) -> None:
    found = open_build_contexts({"name": value}, tmp_path)

    assert found.attributes == {"context:name": value, "frontend.caps": caps}
    assert not found.directories
    assert not found.layouts


def test_no_contexts_ask_for_nothing(tmp_path: Path) -> None:
    assert open_build_contexts({}, tmp_path) == NamedContexts({}, {}, {})


def test_directories_are_served_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to("one")

    found = open_build_contexts({"a/b": "one", "context": "link", "dockerfile": "."}, tmp_path)

    assert found.directories == {
        "a/b": tmp_path / "one",
        "_context": tmp_path / "one",
        "_dockerfile": tmp_path,
    }
    assert found.attributes == {
        "context:a/b": "local:a/b",
        "context:context": "local:_context",
        "context:dockerfile": "local:_dockerfile",
        "frontend.caps": CONTEXTS,
    }
    assert found.shared_keys("me") == {
        "sharedkey:localdir:a/b": "one:me",
        "sharedkey:localdir:context": "one:me",
        "sharedkey:localdir:dockerfile": f"{tmp_path.name}:me",
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nosuch", "failed to get build context x: stat nosuch: no such file or directory"),
        ("", "failed to get build context x: stat : no such file or directory"),
        ("file/sub", "failed to get build context x: stat file/sub: not a directory"),
        ("file", "failed to get build context path {file <nil>}: not a directory"),
        ("target:other", "failed to find target other for context x"),
        ("a\0b", r"failed to get build context x: stat a\x00b: embedded null byte"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, value: str, words: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError) as caught:
        open_build_contexts({"x": value}, tmp_path)

    assert str(caught.value) == words


def test_a_fifo_in_place_of_an_ignore_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".dockerignore")

    with pytest.raises(InputError, match="failed to read .dockerignore: not a regular file"):
        open_build_contexts({"x": "."}, tmp_path)


def test_what_several_ask_of_the_frontend_is_asked_for_by_all() -> None:
    joined = join_caps({"a": "1", "frontend.caps": "z,b"}, {"frontend.caps": "b,c"}, {"d": "2"})

    assert joined == {"a": "1", "d": "2", "frontend.caps": "b,c,z"}
    assert join_caps({"a": "1"}, {}) == {"a": "1"}


# --- layouts --------------------------------------------------------------------------------


def make_layout(folder: Path, **tags: bytes) -> dict[str, str]:
    """Write a directory whose index names a blob for each tag, and give the digests."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    digests = {}
    for tag, data in tags.items():
        hexes = sha256(data).hexdigest()
        (blobs / hexes).write_bytes(data)
        digests[tag] = f"sha256:{hexes}"
    entries = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": len(tags[tag]),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for tag, digest in digests.items()
    ]
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return digests


def test_a_layout_is_served_and_named_by_its_digest(tmp_path: Path) -> None:
    digests = make_layout(tmp_path / "lay", latest=b"one", v2=b"two")

    found = open_build_contexts(
        {"a": "oci-layout://lay", "b": "oci-layout://lay:v2", "c": f"oci-layout://lay@{DIGEST}"},
        tmp_path,
    )

    stores = [name.removeprefix("oci:") for name in found.layouts]
    assert len(set(stores)) == 3
    assert [found.attributes[f"context:{name}"] for name in "abc"] == [
        f"oci-layout://{stores[0]}:latest@{digests['latest']}",
        f"oci-layout://{stores[1]}:v2@{digests['v2']}",
        f"oci-layout://{stores[2]}@{DIGEST}",
    ]
    blob = found.layouts[f"oci:{stores[1]}"].open(digests["v2"])
    assert blob.read(0, 10) == b"two"
    blob.close()


def test_the_only_thing_in_a_layout_needs_no_tag(tmp_path: Path) -> None:
    digests = make_layout(tmp_path, v1=b"one")

    found = open_build_contexts({"a": "oci-layout://."}, tmp_path)

    assert found.attributes["context:a"].endswith(f":latest@{digests['v1']}")


def test_a_daemon_cannot_write_into_a_layout(tmp_path: Path) -> None:
    make_layout(tmp_path, v1=b"one")

    found = open_build_contexts({"a": "oci-layout://."}, tmp_path)

    (layout,) = found.layouts.values()
    with pytest.raises(CallError, match="read-only"):
        layout.begin(Announcement("ref", 1, ""))


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "could not read index.json: open index.json: no such file or directory"),
        ("nonsense", "it is no JSON"),
        ('{"manifests": 1}', "its manifests are no list"),
        ('{"manifests": []}', "failed to resolve digest: nothing in it is called latest"),
        ('{"manifests": [{}]}', "invalid digest "),
        ('{"manifests": [{"digest": "sha256:x"}]}', "invalid digest sha256:x"),
        ('{"manifests": [{"digest": 1}, {}]}', "nothing in it is called latest"),
    ],
)
def test_a_layout_that_makes_no_sense_is_told(
    tmp_path: Path, index: str | None, words: str
) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)

    with pytest.raises(InputError) as caught:
        open_build_contexts({"a": "oci-layout://."}, tmp_path)

    head = 'oci-layout reference "oci-layout://." could not be resolved: '
    assert str(caught.value).startswith(head)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["oci-layout://a\0b", f"oci-layout://a\0b@{DIGEST}", "a\0b"])
def test_a_path_that_cannot_be_one_is_told(tmp_path: Path, value: str) -> None:
    with pytest.raises(ContextError):
        open_build_contexts({"x": value}, tmp_path)
