from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from dockyard.building.inputs.policy import read_source_policy
from dockyard.errors import InputError
from support.protos import protos

MESSAGE = "moby.buildkit.v1.sourcepolicy.Policy"
RULE: dict[str, Any] = {
    "action": 2,
    "selector": {
        "identifier": "docker-image://*",
        "match_type": 2,
        "constraints": [{"key": "k", "value": "v", "condition": 1}],
    },
    "updates": {"identifier": "docker-image://other", "attrs": {"a": "b"}},
}


def read(tmp_path: Path, content: object) -> object:
    path = tmp_path / "policy"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return read_source_policy(path.parent, path.name)


def test_json_with_names_or_numbers_is_the_same_policy(tmp_path: Path) -> None:
    named = {
        "Action": "CONVERT",
        "selector": {
            "identifier": "docker-image://*",
            "matchType": "REGEX",
            "constraints": [{"key": "k", "value": "v", "condition": "NOTEQUAL"}],
        },
        "updates": {"identifier": "docker-image://other", "attrs": {"a": "b"}},
    }
    expected = {"version": 1, "rules": [RULE]}

    assert read(tmp_path, {"version": 1, "rules": [named]}) == expected
    assert read(tmp_path, {"version": 1, "rules": [RULE]}) == expected


def test_what_is_null_is_not_there(tmp_path: Path) -> None:
    assert read(tmp_path, {"rules": [{"action": "DENY", "updates": None}]}) == {
        "rules": [{"action": 1}]
    }


def test_a_policy_in_protobufs_own_form_is_read(tmp_path: Path) -> None:
    data = protos().encode(MESSAGE, {"version": 1, "rules": [RULE]})

    assert read(tmp_path, data) == {"version": 1, "rules": [RULE]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "the policy is no object"),
        ({"rule": []}, 'the policy has an unknown key "rule"'),
        ({"rules": {}}, "rules of the policy is no list"),
        ({"rules": [1]}, "number 1 in rules of the policy is no object"),
        ({"rules": [{"action": "FORBID"}]}, "is none of ALLOW, DENY, CONVERT"),
        ({"rules": [{"action": 3}]}, "is none of ALLOW, DENY, CONVERT"),
        ({"rules": [{"action": True}]}, "is none of ALLOW, DENY, CONVERT"),
        ({"rules": [{"selector": {"identifier": 1}}]}, "identifier of selector of number 1"),
        ({"rules": [{"updates": {"attrs": {"a": 1}}}]}, "a in attrs of updates"),
        ({"rules": [{"updates": {"attrs": []}}]}, "is no object"),
        ({"version": "1"}, "version of the policy is no number"),
        (b"nonsense", "it is neither JSON nor protobuf"),
        (b"", "it has no rules"),
        (b"[" * 100_000, "it is neither JSON nor protobuf"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)

    assert str(caught.value).startswith("failed to parse source policy: ")
    assert caught.value.hint == "the file is policy"
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^failed to read policy file: open nosuch: no such"):
        read_source_policy(tmp_path, "nosuch")
    with pytest.raises(InputError, match=r"^failed to read policy file: read \.: is a directory"):
        read_source_policy(tmp_path, ".")


def test_a_pipe_that_says_nothing_does_not_keep_anybody_waiting_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(InputError, match="^failed to read policy file: nothing comes from fifo$"):
        read_source_policy(tmp_path, "fifo", patience=0.01)


def test_a_policy_comes_through_a_pipe_in_pieces(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    def write() -> None:
        with (tmp_path / "fifo").open("wb", buffering=0) as pipe:
            for byte in b'{"version": 1}':
                pipe.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    found = read_source_policy(tmp_path, "fifo")
    writer.join()

    assert found == {"version": 1}
