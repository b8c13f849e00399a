"""Tests for buildkitd.toml as it is stored."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.builder.daemon_config import configured_entitlements, format_toml, load_config
from dockyard.errors import InputError


def load(folder: Path, text: str) -> dict[str, bytes]:
    (folder / "my.toml").write_text(text)
    return load_config(folder / "my.toml", working_directory=folder)


def test_a_configuration_keeps_its_meaning(tmp_path: Path) -> None:
    text = """
        # a comment
        debug = true
        insecure-entitlements = ["network.host"]
        [worker.oci]
        max-parallelism = 4
        [[worker.oci.gcpolicy]]
        all = true
        filters = ["type==a", "b"]
    """

    files = load(tmp_path, text)

    assert list(files) == ["buildkitd.toml"]
    assert tomllib.loads(files["buildkitd.toml"].decode()) == tomllib.loads(text)
    assert configured_entitlements(files) == ("network.host",)


def test_a_table_follows_its_header_at_once(tmp_path: Path) -> None:
    files = load(tmp_path, "debug = true\n[worker.oci]\nmax-parallelism = 3\n")

    text = "debug = true\n\n[worker]\n[worker.oci]\nmax-parallelism = 3\n"
    assert files["buildkitd.toml"].decode() == text


def test_a_configuration_is_written_as_the_reference_writes_it(tmp_path: Path) -> None:
    text = """
        debug = true
        [worker.oci]
        max-parallelism = 3
        gc = false
        [[worker.oci.gcpolicy]]
        all = true
        [[worker.oci.gcpolicy]]
        filters = ["type==a", "it's"]
        [worker.oci.labels]
        "a.b/c" = "tab\\t \\"quoted\\" \\\\"
        [registry.empty]
        [registry."docker.io"]
        mirrors = ["mirror.example"]
    """

    assert load(tmp_path, text)["buildkitd.toml"].decode() == (
        "debug = true\n\n"
        "[registry]\n[registry.'docker.io']\nmirrors = ['mirror.example']\n\n"
        "[registry.empty]\n\n"
        "[worker]\n[worker.oci]\ngc = false\nmax-parallelism = 3\n\n"
        "[[worker.oci.gcpolicy]]\nall = true\n\n"
        "[[worker.oci.gcpolicy]]\nfilters = ['type==a', \"it's\"]\n\n"
        "[worker.oci.labels]\n'a.b/c' = 'tab\t \"quoted\" \\'\n"
    )


def test_a_registrys_certificates_are_taken_along(tmp_path: Path) -> None:
    for name in ("ca.pem", "k.pem", "c.pem"):
        (tmp_path / name).write_text(name)

    files = load(
        tmp_path,
        f"""
        [registry."my.io:5000"]
        ca = ["{tmp_path}/ca.pem"]
        [[registry."my.io:5000".keypair]]
        key = "k.pem"
        cert = "c.pem"
        """,
    )

    assert {path: files[path] for path in files if path != "buildkitd.toml"} == {
        "certs/my.io_5000/ca.pem": b"ca.pem",
        "certs/my.io_5000/k.pem": b"k.pem",
        "certs/my.io_5000/c.pem": b"c.pem",
    }
    assert tomllib.loads(files["buildkitd.toml"].decode())["registry"]["my.io:5000"] == {
        "ca": ["/etc/buildkit/certs/my.io_5000/ca.pem"],
        "keypair": [
            {
                "key": "/etc/buildkit/certs/my.io_5000/k.pem",
                "cert": "/etc/buildkit/certs/my.io_5000/c.pem",
            }
        ],
    }


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ca.pem").write_text(folder)

    files = load(
        tmp_path,
        """
        [registry."my.io"]
        ca = ["one/ca.pem", "two/ca.pem", "one/ca.pem"]
        """,
    )

    settings = tomllib.loads(files.pop("buildkitd.toml").decode())["registry"]["my.io"]
    directory = "/etc/buildkit/certs/my.io"
    first, second = f"{directory}/ca.pem", f"{directory}/ca-2.pem"
    assert settings["ca"] == [first, second, first]
    assert files == {"certs/my.io/ca.pem": b"one", "certs/my.io/ca-2.pem": b"two"}


def test_a_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        load(tmp_path, "a = " + "[" * 100_000)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nope.toml"

    with pytest.raises(InputError) as caught:
        load_config(path, working_directory=tmp_path)

    assert str(caught.value) == (
        f"buildkit configuration file not found: {path}: stat {path}: no such file or directory"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("debug = ", "failed to load buildkit configuration file: .*: Invalid value"),
        ("[registry]\nr = 1", "configuration file: .*: registry.r has to be a table, not 1"),
        ('[registry.r]\nca = "x"', "registry.r.ca has to be a list of texts, not 'x'"),
        ("debug = 1\nroot = 2", "configuration file: .*: debug has to be true or false, not 1"),
        ('[registry.r]\nca = ["gone.pem"]', "failed to read CA file: .*gone.pem: no such file"),
        ('[[registry.r.keypair]]\nkey = "gone"', "failed to read key file: .*gone: no such file"),
        ('[[registry.r.keypair]]\ncert = "gone"', "failed to read cert file: .*gone: no such file"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, text)


_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=10)
_scalar = st.booleans() | st.integers(-(2**62), 2**62) | _text | st.floats(allow_nan=False)
_values = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_text, _values, max_size=4))
def test_whatever_is_written_reads_as_the_same(values: dict[str, Any]) -> None:
    assert tomllib.loads(format_toml(values)) == values
