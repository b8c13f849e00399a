from __future__ import annotations

import base64
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dockyard.cancellation import Cancellation
from dockyard.engine.credential import HUB_KEY, Credential, Credentials
from dockyard.errors import CanceledError, ConfigError, CredentialError

WriteHelper = Callable[[str, str], None]

KEEPS_ONE = """
test "$1" = get || exit 9
read -r server
echo "$server" >> "$(dirname "$0")/asked"
case "$server" in
reg.example) echo '{"ServerURL":"reg.example","Username":"anna","Secret":"s3cret"}' ;;
token.example) echo '{"Username":"<token>","Secret":"refresh-me"}' ;;
https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"hubpass"}' ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def helper(bin_dir: Path) -> WriteHelper:
    def write(name: str, body: str) -> None:
        script = bin_dir / f"docker-credential-{name}"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)

    return write


def credentials(
    config: Mapping[str, object], bin_dir: Path | None = None, *, deadline: float = 30.0
) -> Credentials:
    path = f"{bin_dir}:/usr/bin:/bin"
    return Credentials(config, variables={"PATH": path}, deadline=deadline)


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def alive(pid: int) -> bool:
    """Whether a process runs; one that was killed but not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_empty_config_knows_nothing() -> None:
    assert not credentials({}).lookup("reg.example")


def test_auth_is_base64_of_user_and_password() -> None:
    found = credentials({"auths": {"reg.example": {"auth": basic("anna:pa:ss")}}}).lookup(
        "reg.example"
    )

    assert found == Credential(username="anna", secret="pa:ss")


def test_auth_padded_with_zero_bytes_is_read() -> None:
    found = credentials({"auths": {"reg.example": {"auth": basic("anna:pass\0\0")}}}).lookup(
        "reg.example"
    )

    assert found.secret == "pass"


def test_user_and_password_may_stand_in_the_clear() -> None:
    config = {"auths": {"reg.example": {"username": "anna", "password": "pass"}}}

    assert credentials(config).lookup("reg.example") == Credential(username="anna", secret="pass")


def test_identity_and_registry_tokens_are_given() -> None:
    config = {
        "auths": {"reg.example": {"identitytoken": "refresh", "registrytoken": "bearer"}},
    }

    found = credentials(config).lookup("reg.example")

    assert (found.identity_token, found.registry_token) == ("refresh", "bearer")


@pytest.mark.parametrize("host", ["registry-1.docker.io", "docker.io", "index.docker.io"])
def test_docker_hub_is_found_under_its_own_key(host: str) -> None:
    assert credentials({"auths": {HUB_KEY: {"auth": basic("me:x")}}}).lookup(host).username == "me"


@pytest.mark.parametrize("host", ["dhi.io", "registry.scout.docker.com"])
def test_registries_of_docker_take_the_hub_account(host: str) -> None:
    assert credentials({"auths": {HUB_KEY: {"auth": basic("me:x")}}}).lookup(host).username == "me"


@pytest.mark.parametrize(
    "stored", ["https://reg.example", "http://reg.example/v1/", "reg.example/"]
)
def test_a_stored_url_is_found_by_its_host(stored: str) -> None:
    config = {"auths": {stored: {"auth": basic("anna:x")}}}

    assert credentials(config).lookup("reg.example").username == "anna"


def test_the_exact_key_goes_before_a_url_of_the_same_host() -> None:
    config = {
        "auths": {
            "https://reg.example/v1/": {"auth": basic("url:x")},
            "reg.example": {"auth": basic("exact:x")},
        }
    }

    assert credentials(config).lookup("reg.example").username == "exact"


def test_another_port_is_another_registry() -> None:
    config = {"auths": {"reg.example:5000": {"auth": basic("anna:x")}}}

    assert not credentials(config).lookup("reg.example")


@pytest.mark.parametrize("host", ["reg.example\n", "a b", "x" * 2000])
def test_what_cannot_be_a_host_is_not_asked_for(
    helper: WriteHelper, bin_dir: Path, host: str
) -> None:
    helper("store", KEEPS_ONE)

    assert not credentials({"credsStore": "store"}, bin_dir).lookup(host)
    assert not (bin_dir / "asked").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"auths": ["x"]}, "docker configuration: auths is no object"),
        ({"auths": {}, "credHelpers": "x"}, "docker configuration: credHelpers is no object"),
        ({"credsStore": 3}, "docker configuration: credsStore is no string"),
    ],
)
def test_malformed_tables_are_told_at_once(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        credentials(config)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("text", "the entry for reg.example in auths is no object"),
        ({"auth": 4}, "the entry for reg.example in auths has a value that is no string"),
        ({"auth": "s3cret!"}, "the auth of reg.example is not base64"),
        ({"auth": basic("s3cret")}, "the auth of reg.example is not base64 of USER:PASSWORD"),
        ({"auth": base64.b64encode(b"\xff:s3cret").decode()}, "the auth of reg.example is not"),
    ],
)
def test_a_malformed_entry_is_one_line_without_the_secret(entry: object, message: str) -> None:
    found = Credentials({"auths": {"reg.example": entry}}, path=Path("conf.json"))

    with pytest.raises(ConfigError, match=f"^docker configuration conf.json: {message}") as caught:
        found.lookup("reg.example")

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_malformed_entry_does_not_hurt_other_hosts() -> None:
    config = {"auths": {"bad.example": 3, "reg.example": {"auth": basic("anna:x")}}}

    assert credentials(config).lookup("reg.example").username == "anna"


def test_a_helper_is_asked_for_the_host(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)

    found = credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")

    assert found == Credential(username="anna", secret="s3cret")


def test_a_helper_is_asked_for_docker_hub_by_its_key(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)

    found = credentials({"credsStore": "store"}, bin_dir).lookup("registry-1.docker.io")

    assert found.username == "hub"


def test_the_user_token_means_an_identity_token(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)

    found = credentials({"credsStore": "store"}, bin_dir).lookup("token.example")

    assert found == Credential(identity_token="refresh-me")


def test_a_helper_that_knows_nothing_means_none(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)

    assert not credentials({"credsStore": "store"}, bin_dir).lookup("other.example")


def test_auths_are_read_when_the_helper_knows_nothing(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)
    config = {"credsStore": "store", "auths": {"other.example": {"auth": basic("anna:x")}}}

    assert credentials(config, bin_dir).lookup("other.example").username == "anna"


def test_a_registrys_own_helper_goes_before_the_store(helper: WriteHelper, bin_dir: Path) -> None:
    helper("own", 'echo \'{"Username":"own","Secret":"x"}\'')
    helper("store", KEEPS_ONE)
    config = {"credsStore": "store", "credHelpers": {"reg.example": "own"}}

    assert credentials(config, bin_dir).lookup("reg.example").username == "own"


def test_an_empty_helper_for_a_registry_switches_the_store_off(
    helper: WriteHelper, bin_dir: Path
) -> None:
    helper("store", KEEPS_ONE)
    config = {
        "credsStore": "store",
        "credHelpers": {"reg.example": ""},
        "auths": {"reg.example": {"auth": basic("file:x")}},
    }

    assert credentials(config, bin_dir).lookup("reg.example").username == "file"


def test_answers_are_remembered(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", KEEPS_ONE)
    found = credentials({"credsStore": "store"}, bin_dir)

    found.lookup("reg.example")
    found.lookup("reg.example")

    assert (bin_dir / "asked").read_text() == "reg.example\n"


def test_helpers_run_one_after_the_other(helper: WriteHelper, bin_dir: Path) -> None:
    helper(
        "store", f"mkdir '{bin_dir}/busy' || exit 7; {KEEPS_ONE.strip()}\nrmdir '{bin_dir}/busy'"
    )
    found = credentials({"credsStore": "store"}, bin_dir)
    results: list[Credential] = []
    hosts = ["reg.example", "token.example", "docker.io"]
    threads = [
        threading.Thread(target=lambda host=host: results.append(found.lookup(host)))
        for host in hosts
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(result.username for result in results) == ["", "anna", "hub"]


def test_a_failing_helper_is_named_with_its_last_line(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", "echo warming up >&2; printf 'keychain is \\033[1mlocked' >&2; exit 3")

    with pytest.raises(CredentialError) as caught:
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")

    assert str(caught.value) == (
        "credential helper docker-credential-store failed with exit code 3: keychain is [1mlocked"
    )


def test_a_failing_helper_may_say_why_on_its_standard_output(
    helper: WriteHelper, bin_dir: Path
) -> None:
    helper("store", "echo pass is not initialized; exit 1")

    with pytest.raises(CredentialError, match=r"exit code 1: pass is not initialized$"):
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")


def test_a_secret_on_a_failing_helpers_output_is_not_told(
    helper: WriteHelper, bin_dir: Path
) -> None:
    helper("store", 'echo \'{"Username":"anna","Secret":"s3cret"}\'; exit 1')

    with pytest.raises(CredentialError, match=r"docker-credential-store failed with exit code 1$"):
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")


@pytest.mark.parametrize(
    "answer", ["not json", "[]", '"s3cret"', '{"Username":1,"Secret":"s3cret"}']
)
def test_a_garbled_answer_is_an_error_without_the_answer(
    helper: WriteHelper, bin_dir: Path, answer: str
) -> None:
    helper("store", f"echo '{answer}'")

    with pytest.raises(CredentialError, match="docker-credential-store answered with") as caught:
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_helper_is_named(bin_dir: Path) -> None:
    with pytest.raises(
        CredentialError, match="docker-credential-nosuch is not installed"
    ) as caught:
        credentials({"credsStore": "nosuch"}, bin_dir).lookup("reg.example")

    assert "credsStore" in (caught.value.hint or "")


def test_a_helper_that_is_no_program_is_named(bin_dir: Path, helper: WriteHelper) -> None:
    helper("store", "")
    (bin_dir / "docker-credential-store").chmod(0o644)

    with pytest.raises(CredentialError, match="docker-credential-store cannot be started: Perm"):
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")


def test_a_helpers_name_may_not_be_a_path(bin_dir: Path) -> None:
    with pytest.raises(ConfigError, match="is no name of a credential helper"):
        credentials({"credsStore": "../evil"}, bin_dir).lookup("reg.example")


def test_a_hanging_helper_is_killed_with_its_children(helper: WriteHelper, bin_dir: Path) -> None:
    place, made = bin_dir / "child", bin_dir / "made"
    helper("store", f"sleep 600 & echo $! > '{made}' && mv '{made}' '{place}'; wait")
    for seconds in (0.5, 5, 25):
        found = credentials({"credsStore": "store"}, bin_dir, deadline=seconds)
        with pytest.raises(CredentialError) as caught:
            found.lookup("reg.example")
        if place.exists():
            break  # else the machine was too busy to start the child in that time

    assert f"docker-credential-store did not answer within {seconds:g} sec" in str(caught.value)
    child = int(place.read_text())
    limit = time.monotonic() + 25
    while alive(child):
        assert time.monotonic() < limit


def test_a_hanging_helper_ends_when_canceled(helper: WriteHelper, bin_dir: Path) -> None:
    os.mkfifo(bin_dir / "started")
    helper("store", f"echo > '{bin_dir}/started'; exec sleep 600")
    found = credentials({"credsStore": "store"}, bin_dir)
    cancel = Cancellation()

    def turn() -> None:
        (bin_dir / "started").read_text()
        cancel.cancel()

    thread = threading.Thread(target=turn)
    thread.start()
    with pytest.raises(CanceledError):
        found.lookup("reg.example", cancel=cancel)
    thread.join()


def test_a_child_that_keeps_the_pipes_open_does_not_hold_up_the_answer(
    helper: WriteHelper, bin_dir: Path
) -> None:
    helper("store", 'sleep 600 & echo \'{"Username":"anna","Secret":"x"}\'')

    found = credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")

    assert found.username == "anna"


def test_an_answer_that_comes_just_when_nobody_looks_is_not_lost(
    helper: WriteHelper, bin_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, pid = bin_dir / "go", bin_dir / "pid"

    class Late(selectors.DefaultSelector):
        """Tells first that there is nothing, and the helper says all and ends at that moment."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if go.exists():
                return super().select(timeout)
            go.touch()
            deadline = time.monotonic() + 30
            while not pid.exists() or not pid.read_text() or alive(int(pid.read_text())):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            return []

    answer = '{"Username":"anna","Secret":"x"}'
    helper(
        "store",
        f"while [ ! -e {go} ]; do sleep 0.01; done; echo '{answer}'; echo $$ > {pid}",
    )
    monkeypatch.setattr(selectors, "DefaultSelector", Late)

    assert credentials({"credsStore": "store"}, bin_dir).lookup("reg.example").username == "anna"


def test_a_helper_that_prints_without_end_is_stopped(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", "exec yes")

    with pytest.raises(CredentialError, match="printed more than 1 MiB"):
        credentials({"credsStore": "store"}, bin_dir).lookup("reg.example")


def test_a_helper_that_does_not_read_its_input_still_answers(
    helper: WriteHelper, bin_dir: Path
) -> None:
    helper("store", 'exec <&-; echo \'{"Username":"anna","Secret":"x"}\'')

    assert credentials({"credsStore": "store"}, bin_dir).lookup("reg.example").username == "anna"


def test_helpers_leave_no_descriptor_behind(helper: WriteHelper, bin_dir: Path) -> None:
    helper("store", "exit 1")
    found = credentials({"credsStore": "store"}, bin_dir)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # only the number counts

    for _ in range(5):
        with pytest.raises(CredentialError):
            found.lookup("reg.example")

    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208  # only the number counts


def test_secrets_are_not_in_the_repr() -> None:
    found = Credential(username="anna", secret="aaa", identity_token="bbb", registry_token="ccc")

    assert repr(found) == "Credential(username='anna')"
