from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
from pathlib import Path

from dockyard.session.authority import SeedStore, authority_seed


def test_the_key_depends_on_the_salt_and_the_registrys_seed() -> None:
    assert authority_seed(b"salt", b"seed") == hmac.new(b"salt", b"seed", hashlib.sha256).digest()
    assert len({authority_seed(b"salt", b""), authority_seed(b"salt", b"seed")}) == 2


def test_a_seed_is_kept_in_dockers_own_form(tmp_path: Path) -> None:
    seed = SeedStore(tmp_path).get("reg.example")

    path = tmp_path / ".token_seed"
    text = base64.b64encode(seed).decode()
    assert path.read_text() == f'{{\n  "reg.example": {{\n    "Seed": "{text}"\n  }}\n}}'
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(seed) == 16


def test_a_seed_is_the_same_for_everyone_who_asks(tmp_path: Path) -> None:
    assert SeedStore(tmp_path).get("reg.example") == SeedStore(tmp_path).get("reg.example")


def test_each_registry_has_its_own_seed(tmp_path: Path) -> None:
    store = SeedStore(tmp_path)

    assert store.get("a.example") != store.get("b.example")
    assert set(json.loads((tmp_path / ".token_seed").read_text())) == {"a.example", "b.example"}


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    other = {"other.example": {"Seed": "AAAA", "More": 1}, "odd": 7}
    (tmp_path / ".token_seed").write_text(json.dumps(other))

    SeedStore(tmp_path).get("reg.example")

    stored = json.loads((tmp_path / ".token_seed").read_text())
    assert {key: stored[key] for key in other} == other


def test_a_garbled_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".token_seed").write_text("{")
    store = SeedStore(tmp_path)

    seed = store.get("reg.example")

    assert seed == store.get("reg.example")
    assert (tmp_path / ".token_seed").read_text() == "{"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert len(SeedStore(tmp_path / "file").get("reg.example")) == 16
    assert len(SeedStore(None).get("reg.example")) == 16


def test_a_lock_that_is_never_let_go_is_no_error(tmp_path: Path) -> None:
    with (tmp_path / ".token_seed.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        seed = SeedStore(tmp_path).get("reg.example")

    assert len(seed) == 16
    assert not (tmp_path / ".token_seed").exists()
