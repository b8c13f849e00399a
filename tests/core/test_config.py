"""Where everything is, and docker's config.json."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.config import DockerConfig, Environment, Owner
from dockyard.errors import ConfigError


def environment(home: Path, **variables: str) -> Environment:
    return Environment.from_process(variables={"HOME": str(home), **variables})


def write_config(directory: Path, text: str | bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_without_anything_set_docker_s_directory_is_in_the_home(tmp_path: Path) -> None:
    found = environment(tmp_path)

    assert found.docker_config == tmp_path / ".docker"
    assert found.buildx == tmp_path / ".docker" / "buildx"


def test_docker_config_moves_the_builder_records_too(tmp_path: Path) -> None:
    found = environment(tmp_path, DOCKER_CONFIG=str(tmp_path / "d"))

    assert found.docker_config == tmp_path / "d"
    assert found.buildx == tmp_path / "d" / "buildx"


def test_the_flag_comes_before_the_variable(tmp_path: Path) -> None:
    found = Environment.from_process(
        docker_config=str(tmp_path / "flag"),
        variables={"DOCKER_CONFIG": str(tmp_path / "variable")},
    )

    assert found.docker_config == tmp_path / "flag"
    assert found.get("DOCKER_CONFIG") == str(tmp_path / "flag")


def test_buildx_config_is_used_as_it_is(tmp_path: Path) -> None:
    found = environment(tmp_path, BUILDX_CONFIG=str(tmp_path / "b"), DOCKER_CONFIG="/elsewhere")

    assert found.buildx == tmp_path / "b"


def test_relative_directories_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = environment(tmp_path, DOCKER_CONFIG="d")

    assert found.docker_config == tmp_path / "d"


def test_an_empty_variable_counts_as_missing(tmp_path: Path) -> None:
    found = environment(tmp_path, BUILDX_BUILDER="", DOCKER_CONFIG="")

    assert found.get("BUILDX_BUILDER", "fallback") == "fallback"
    assert found.docker_config == tmp_path / ".docker"


def test_the_process_s_own_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert Environment.from_process().docker_config == tmp_path


def test_a_missing_config_is_an_empty_one(tmp_path: Path) -> None:
    found = environment(tmp_path).docker

    assert found.values == {}
    assert found.current_context == ""


def test_config_is_read_only_when_asked_for(tmp_path: Path) -> None:
    write_config(tmp_path / ".docker", "{")

    found = environment(tmp_path)

    with pytest.raises(ConfigError):
        _ = found.docker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n  "auths": {,\n}', "is not valid JSON at line 2 column 13: "),
        ("", "is not valid JSON at line 1 column 1: expecting value"),
        ("[]", "is not a JSON object"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 7"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_malformed_config_is_one_line_with_file_and_position(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write_config(tmp_path / ".docker", text)

    with pytest.raises(ConfigError) as caught:
        _ = environment(tmp_path).docker

    assert str(caught.value).startswith(f"docker configuration {path} {message}")
    assert "\n" not in str(caught.value)


def test_a_directory_in_the_place_of_the_config_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".docker" / "config.json").mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        _ = environment(tmp_path).docker


def test_a_fifo_in_the_place_of_the_config_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    os.mkfifo(tmp_path / ".docker" / "config.json")

    with pytest.raises(ConfigError, match="is not valid JSON"):
        _ = environment(tmp_path).docker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"currentContext": 3}', "currentContext is no string"),
        ('{"plugins": []}', None),
        ('{"plugins": [1]}', "plugins is no object"),
        ('{"plugins": {"dockyard": 1}}', "plugins.dockyard is no object"),
        ('{"plugins": {"dockyard": {"disable": ["x"]}}}', "plugins.dockyard.disable is no string"),
    ],
)
def test_values_of_a_wrong_kind_are_named(tmp_path: Path, text: str, message: str | None) -> None:
    write_config(tmp_path / ".docker", text)
    found = environment(tmp_path)

    if message is None:
        assert found.disabled_plugins == frozenset()
        return
    with pytest.raises(ConfigError, match=message):
        assert found.docker.current_context or found.disabled_plugins


def test_plugins_are_switched_off_by_variable_and_by_config(tmp_path: Path) -> None:
    write_config(tmp_path / ".docker", '{"plugins": {"dockyard": {"disable": "one, two"}}}')

    found = environment(tmp_path, DOCKYARD_DISABLE_PLUGINS="three,").disabled_plugins

    assert found == {"one", "two", "three"}


def test_proxies_are_those_of_the_daemon_or_the_default_ones(tmp_path: Path) -> None:
    path = write_config(
        tmp_path, '{"proxies": {"default": {"httpProxy": "d"}, "tcp://h:1": {"httpProxy": "h"}}}'
    )

    config = DockerConfig.read(path)

    assert config.proxies("tcp://h:1") == {"httpProxy": "h"}
    assert config.proxies("unix:///x") == {"httpProxy": "d"}


def test_secrets_are_not_in_the_representation(tmp_path: Path) -> None:
    path = write_config(tmp_path, '{"auths": {"r": {"auth": "c2VjcmV0"}}}')

    assert "c2VjcmV0" not in repr(DockerConfig.read(path))


def sudo(home: str, buildx: Path, **changed: str) -> Environment:
    me = pwd.getpwuid(os.getuid())
    variables = {
        "HOME": home,
        "BUILDX_CONFIG": str(buildx),
        "SUDO_COMMAND": "/usr/bin/dockyard",
        "SUDO_UID": str(me.pw_uid),
        "SUDO_GID": str(me.pw_gid),
    }
    return Environment.from_process(variables=variables | changed)


def test_under_sudo_the_person_owns_what_lies_in_their_home() -> None:
    me = pwd.getpwuid(os.getuid())

    found = sudo(me.pw_dir, Path(me.pw_dir) / "b").owner

    assert found == Owner(uid=me.pw_uid, gid=me.pw_gid)


@pytest.mark.parametrize(
    "changed",
    [
        {"SUDO_COMMAND": ""},
        {"SUDO_UID": "nobody"},
        {"SUDO_UID": "4294967290"},
        {"HOME": "/somewhere"},
        {"BUILDX_CONFIG": "/elsewhere"},
    ],
)
def test_otherwise_nobody_else_owns_it(changed: dict[str, str]) -> None:
    home = pwd.getpwuid(os.getuid()).pw_dir

    assert sudo(home, Path(home) / "b", **changed).owner is None


def test_importing_config_does_not_load_json() -> None:
    script = "import sys; before = set(sys.modules); import dockyard.config; "
    script += "print('json' in sys.modules and 'json' not in before)"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
