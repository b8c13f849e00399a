from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.building.caches.aws import AwsCredentials, aws_credentials
from dockyard.errors import ConfigError

PAIR = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def write(home: Path, *, config: str = "", credentials: str = "") -> None:
    folder = home / ".aws"
    folder.mkdir()
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)


def keys(secret: str = "secret") -> str:
    return f"aws_access_key_id = id\naws_secret_access_key={secret}\n"


def test_variables_come_first(tmp_path: Path) -> None:
    write(tmp_path, credentials=f"[default]\n{keys('other')}")

    assert aws_credentials(PAIR, tmp_path) == AwsCredentials("id", "secret")
    assert aws_credentials({**PAIR, "AWS_SESSION_TOKEN": "t"}, tmp_path) == AwsCredentials(
        "id", "secret", "t"
    )
    old = {"AWS_ACCESS_KEY": "id", "AWS_SECRET_KEY": "secret"}
    assert aws_credentials(old, tmp_path) == AwsCredentials("id", "secret")


def test_without_any_trace_there_are_none(tmp_path: Path) -> None:
    assert aws_credentials({}, tmp_path) is None
    assert aws_credentials({"AWS_ACCESS_KEY_ID": "id"}, tmp_path) is None


def test_the_file_of_credentials_has_them_by_profile(tmp_path: Path) -> None:
    write(
        tmp_path,
        credentials=f"# words\n[default]\n{keys('one')}\n[work]\n{keys('two%x')}"
        "aws_session_token = t\n",
    )

    assert aws_credentials({}, tmp_path) == AwsCredentials("id", "one")
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        found = aws_credentials({variable: "work"}, tmp_path)
        assert found == AwsCredentials("id", "two%x", "t")


def test_the_file_of_settings_has_them_too_and_the_other_one_counts_more(tmp_path: Path) -> None:
    write(
        tmp_path,
        config=f"[default]\nregion = x\n[profile work]\n{keys('one')}[profile home]\n{keys('two')}",
        credentials=f"[home]\n{keys('three')}",
    )

    assert aws_credentials({"AWS_PROFILE": "work"}, tmp_path) == AwsCredentials("id", "one")
    assert aws_credentials({"AWS_PROFILE": "home"}, tmp_path) == AwsCredentials("id", "three")
    assert aws_credentials({}, tmp_path) is None


def test_the_files_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"[default]\n{keys()}")

    variables = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "a"), "AWS_CONFIG_FILE": "/nowhere"}

    assert aws_credentials(variables, tmp_path / "home") == AwsCredentials("id", "secret")


def test_a_profile_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^AWS credentials: there is no profile work$"):
        aws_credentials({"AWS_PROFILE": "work"}, tmp_path)


@pytest.mark.parametrize(
    "setting",
    ["role_arn = arn\nsource_profile = x", "sso_session = s", "web_identity_token_file = /t"],
)
def test_what_somebody_would_have_to_be_asked_for_is_named(tmp_path: Path, setting: str) -> None:
    write(tmp_path, config=f"[default]\n{setting}\n")

    with pytest.raises(ConfigError, match="of profile default is not supported") as caught:
        aws_credentials({}, tmp_path)
    assert "AWS_ACCESS_KEY_ID" in (caught.value.hint or "")


def test_a_web_identity_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AWS_WEB_IDENTITY_TOKEN_FILE is not supported"):
        aws_credentials({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, tmp_path)


def test_a_program_may_give_them(tmp_path: Path) -> None:
    answer = '{"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "s", "SessionToken": "t"}'
    (tmp_path / "answer").write_text(answer)
    write(tmp_path, config=f"[default]\ncredential_process = cat {tmp_path}/answer\n")

    assert aws_credentials(dict(os.environ), tmp_path) == AwsCredentials("id", "s", "t")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo hush; exit 3", "ended with status 3"),
        ("echo hush", "failed"),
        ('echo "{}"', "gave none"),
        ("echo []", "ended with status 0"),
    ],
)
def test_a_program_that_gives_none_is_named_without_its_words(
    tmp_path: Path, program: str, words: str
) -> None:
    write(tmp_path, config=f"[default]\ncredential_process = {program}\n")

    with pytest.raises(ConfigError, match=f"credential_process of profile default {words}") as seen:
        aws_credentials(dict(os.environ), tmp_path)
    assert "hush" not in str(seen.value)


@pytest.mark.parametrize("content", [b"no section\n", b"[default\n", b"\xff\xfe[x]"])
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / ".aws/credentials").write_bytes(content)

    with pytest.raises(ConfigError, match=r"AWS credentials: .*\.aws/credentials makes no sense$"):
        aws_credentials({}, tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / ".aws/credentials").unlink()
    (tmp_path / ".aws/credentials").mkdir()

    with pytest.raises(ConfigError, match="credentials cannot be read: is a directory"):
        aws_credentials({}, tmp_path)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / ".aws/credentials").unlink()
    os.mkfifo(tmp_path / ".aws/credentials")

    assert aws_credentials({}, tmp_path) is None


def test_they_are_never_shown() -> None:
    assert "secret" not in repr(AwsCredentials("id", "secret"))
