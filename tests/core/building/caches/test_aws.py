from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from dockyard.building.caches import aws
from dockyard.building.caches.aws import AwsCredentials
from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError, ConfigError
from support.amazon import amazon, role

NOWHERE = "http://127.0.0.1:9"
PAIR = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def aws_credentials(variables: Mapping[str, str], home: Path) -> AwsCredentials | None:
    """Look for credentials where no machine of Amazon's answers."""
    return aws.aws_credentials(
        {"AWS_EC2_METADATA_DISABLED": "true", **variables}, home, Cancellation()
    )


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
    ("variables", "settings", "trace"),
    [
        ({}, f"role_arn = arn\n{keys()}", "role_arn of profile default"),
        ({}, "sso_session = s", "sso_session of profile default"),
        ({}, "credential_process = true", "credential_process of profile default"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, keys(), "AWS_WEB_IDENTITY_TOKEN_FILE"),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": NOWHERE},
            "",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
    ],
)
def test_what_somebody_has_to_be_asked_for_needs_the_library(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    settings: str,
    trace: str,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    write(tmp_path, config=f"[default]\n{settings}\n")

    with pytest.raises(ConfigError, match=f"^AWS credentials: {trace} needs botocore$") as caught:
        aws_credentials(variables, tmp_path)
    assert caught.value.hint == "pip install 'dockyard[aws]'"


def test_keys_need_no_library_even_where_a_profile_can_do_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    write(tmp_path, config="[default]\nsso_session = s\n", credentials=f"[default]\n{keys()}")

    assert aws_credentials({}, tmp_path) == AwsCredentials("id", "secret")


def test_a_role_is_asked_for_with_what_single_sign_on_gave(tmp_path: Path) -> None:
    """Everything stands in the variables and the home that were given, nothing in our own."""
    write(
        tmp_path,
        config="[profile work]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"
        "[profile base]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://start/\n",
    )
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "proof", "expiresAt": "2100-01-01T00:00:00Z"}
    (cache / f"{hashlib.sha1(b's').hexdigest()}.json").write_text(json.dumps(token))
    with amazon() as service:
        variables = {
            "AWS_DEFAULT_PROFILE": "work",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_STS": service.url,
            "AWS_ENDPOINT_URL_SSO": service.url,
        }
        found = aws_credentials(variables, tmp_path)

    assert found == AwsCredentials(*role("AssumeRole"))
    first, second = service.requests
    assert first.headers["x-amz-sso_bearer_token"] == "proof"
    assert "Credential=id-sso/" in second.headers["Authorization"]
    assert "/eu-west-1/sts/" in second.headers["Authorization"]


def test_a_service_that_refuses_is_told_in_its_words_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush")
    with amazon(refusal="no\n\x9bway " + "x" * 1000) as service:
        variables = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_ENDPOINT_URL_STS": service.url,
        }
        with pytest.raises(ConfigError, match="AWS_WEB_IDENTITY_TOKEN_FILE: .*Denied") as caught:
            aws_credentials(variables, tmp_path)

    text = str(caught.value)
    assert ": no way xxx" in text
    assert text.isprintable()
    assert "hush" not in text
    assert len(text) < 400


def test_the_words_of_a_program_that_fails_are_not_shown(tmp_path: Path) -> None:
    write(
        tmp_path, config="[default]\ncredential_process = sh -c 'echo hush; echo hush >&2; exit 3'"
    )

    with pytest.raises(ConfigError, match="credential_process failed$") as caught:
        aws_credentials(dict(os.environ), tmp_path)
    assert "hush" not in str(caught.value)


def test_a_code_cannot_be_typed_during_a_build(tmp_path: Path) -> None:
    write(
        tmp_path,
        config="[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n"
        f"mfa_serial = arn:aws:iam::1:mfa/m\n{keys()}",
    )

    with pytest.raises(ConfigError, match="role_arn of profile default: a code would have to be"):
        aws_credentials({}, tmp_path)


def test_whoever_is_asked_is_not_waited_for_when_the_build_is_canceled(tmp_path: Path) -> None:
    """End a program that a program started, which says by a pipe that it began and ended."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    write(tmp_path, config=f"[default]\ncredential_process = sh -c 'exec sleep 600 >{pipe}'\n")
    cancel = Cancellation()

    def follow() -> None:
        with pipe.open("rb") as file:  # waits for the program
            cancel.cancel()
            file.read()  # until it is gone

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    with pytest.raises(CanceledError):
        aws.aws_credentials(dict(os.environ), tmp_path, cancel)
    follower.join(30)

    assert not follower.is_alive()


def test_a_machine_that_is_not_amazons_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(address: object, timeout: float) -> None:
        asked.append((address, timeout))
        raise TimeoutError

    monkeypatch.setattr("socket.create_connection", refuse)

    assert aws.aws_credentials({}, tmp_path, Cancellation()) is None
    assert asked == [(("169.254.169.254", 80), 0.25)]


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({}, "169.254.169.254,fd00:ec2::254"),
        ({"NO_PROXY": "a"}, "a,169.254.169.254,fd00:ec2::254"),
        ({"NO_PROXY": "a", "no_proxy": "*"}, "*"),
        (
            {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://here:1/"},
            "169.254.169.254,fd00:ec2::254,here",
        ),
    ],
)
def test_no_proxy_hears_of_a_machines_role(variables: dict[str, str], direct: str) -> None:
    assert aws._environment(variables, Path("/h"), "")["no_proxy"] == direct


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
