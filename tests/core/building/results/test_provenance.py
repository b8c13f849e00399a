from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from core.buildkit.history_daemon import Record, blob, digest, one, remembering
from dockyard.building.results.provenance import (
    check_mode,
    encoded_provenance,
    metadata_provenance,
    provenance_mode,
)
from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.errors import InputError, ProtocolError
from dockyard.events import StatusUpdate
from dockyard.progress.writer import ProgressWriter

OLD = "https://slsa.dev/provenance/v0.2"
NEW = "https://slsa.dev/provenance/v1"


def decoded(values: object, predicate: str, mode: str) -> dict[str, Any]:
    text = encoded_provenance(json.dumps(values).encode(), predicate, mode)
    found: dict[str, Any] = json.loads(base64.b64decode(text))
    return found


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "min"),
        ("min", "min"),
        ("max", "max"),
        ("disabled", ""),
        ("0", ""),
        ("true", "min"),
        ("MAX", "min"),
    ],
)
def test_a_variable_says_how_much(text: str, mode: str) -> None:
    assert provenance_mode(text) == mode


def test_another_mode_is_refused() -> None:
    assert [check_mode(mode) for mode in ("", "min", "max")] == ["", "min", "max"]
    with pytest.raises(InputError, match='"much"'):
        check_mode("much")


def test_the_least_has_neither_steps_nor_times() -> None:
    values = {"builder": {"id": ""}, "buildConfig": {"x": 1}, "metadata": {"y": 2}, "materials": []}

    assert decoded(values, OLD, "max") == values
    assert decoded(values, OLD, "min") == {"builder": {"id": ""}, "materials": []}


def test_the_newer_form_is_told_in_the_words_of_the_older() -> None:
    digest = {"sha256": "00"}
    values = {
        "buildDefinition": {
            "buildType": "newer",
            "externalParameters": {
                "configSource": {"uri": "u", "digest": digest, "path": "Dockerfile"},
                "request": {"frontend": "dockerfile.v0"},
            },
            "internalParameters": {
                "buildConfig": {"llbDefinition": []},
                "builderPlatform": "linux/amd64",
                "dockerfileVersion": "1.2",
            },
            "resolvedDependencies": [{"uri": "pkg", "digest": digest, "name": "n"}],
        },
        "runDetails": {
            "builder": {"id": "b"},
            "metadata": {
                "invocationId": "i",
                "startedOn": "s",
                "finishedOn": "f",
                "buildkit_metadata": {"source": {}},
                "buildkit_hermetic": True,
                "buildkit_completeness": {"request": True, "resolvedDependencies": False},
                "buildkit_reproducible": False,
            },
        },
    }

    assert decoded(values, NEW, "max") == {
        "builder": {"id": "b"},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": [{"uri": "pkg", "digest": digest}],
        "invocation": {
            "configSource": {"uri": "u", "digest": digest, "entryPoint": "Dockerfile"},
            "parameters": {"frontend": "dockerfile.v0"},
            "environment": {"platform": "linux/amd64", "dockerfileVersion": "1.2"},
        },
        "buildConfig": {"llbDefinition": []},
        "metadata": {
            "buildInvocationID": "i",
            "buildStartedOn": "s",
            "buildFinishedOn": "f",
            "completeness": {"parameters": True, "environment": True, "materials": False},
            "reproducible": False,
            "https://mobyproject.org/buildkit@v1#metadata": {"source": {}},
            "https://mobyproject.org/buildkit@v1#hermetic": True,
        },
    }


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="provenance is no JSON"):
        encoded_provenance(data, OLD, "min")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"buildDefinition": []},
        {"buildDefinition": {"resolvedDependencies": [1, {}]}, "runDetails": {"metadata": 7}},
    ],
)
def test_a_newer_form_that_lacks_everything_is_no_mistake_of_ours(values: object) -> None:
    assert decoded(values, NEW, "max")["builder"] == {"id": ""}


def provenance(client: Client, mode: str = "min") -> tuple[dict[str, Any], list[StatusUpdate]]:
    shown: list[StatusUpdate] = []
    found = metadata_provenance(client, "ref", mode, ProgressWriter(shown.append), Cancellation())
    return {key: json.loads(base64.b64decode(text)) for key, text in found.items()}, shown


def test_provenance_is_read_from_the_daemons_store() -> None:
    data = json.dumps({"builder": {"id": "me"}, "metadata": {}}).encode()
    result = {"Attestations": [blob(b"bom", "spdx"), blob(data), blob(b"later")]}

    with remembering(one(Result=result), {digest(data): data}) as client:
        found, shown = provenance(client)

    assert found == {"buildx.build.provenance": {"builder": {"id": "me"}}}
    names = {vertex.name for update in shown for vertex in update.vertexes}
    assert names == {"resolving provenance for metadata file"}


def test_each_platform_has_its_own_provenance() -> None:
    data = b'{"builder": {"id": ""}}'
    results = {name: {"Attestations": [blob(data)]} for name in ("linux/amd64", "linux/arm64")}

    with remembering(one(Results=results), {digest(data): data}) as client:
        found, _ = provenance(client, "max")

    assert set(found) == {
        "buildx.build.provenance/linux/amd64",
        "buildx.build.provenance/linux/arm64",
    }


@pytest.mark.parametrize("changes", [{"digest": "sha256:x"}, {"size": -1}, {"size": 1 << 40}])
def test_a_provenance_that_cannot_be_read_makes_no_sense(changes: Record) -> None:
    result = {"Attestations": [{**blob(b"{}"), **changes}]}

    with (
        remembering(one(Result=result)) as client,
        pytest.raises(ProtocolError, match="cannot be read"),
    ):
        provenance(client)


def test_all_provenance_together_is_no_longer_than_one_may_be() -> None:
    data = b'{"builder": {"id": ""}}'
    results = {
        "linux/amd64": {"Attestations": [blob(data)]},
        "linux/arm64": {"Attestations": [{**blob(data), "size": 64 << 20}]},
    }

    with (
        remembering(one(Results=results), {digest(data): data}) as client,
        pytest.raises(ProtocolError, match="cannot be read"),
    ):
        provenance(client)
