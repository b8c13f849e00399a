from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.building.grammar.entitlement import check_deletion, entitlements, parse_allow
from dockyard.driver import BuildRequest, Output
from dockyard.errors import InputError


@pytest.mark.parametrize(
    "value",
    [
        "network.host",
        "security.insecure",
        "device",
        "device=vendor.com/x=y",
        "device=vendor.com/x=y,alias=z",
        "buildx.local.delete",
    ],
)
def test_what_can_be_allowed(value: str) -> None:
    assert parse_allow([value, ""]) == (value,)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", "unknown entitlement foo"),
        ("network.host=x", "unknown entitlement network.host=x"),
        ("buildx.local.delete=true", "buildx.local.delete does not accept a value"),
        ("device=a,b", 'invalid device config "b"'),
        ("device=a,b=c", 'unknown device config key "b"'),
    ],
)
def test_what_cannot_be_allowed(value: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}$"):
        parse_allow([value])


def test_the_daemon_is_asked_for_what_is_its_own_and_for_the_hosts_network() -> None:
    request = BuildRequest(allow=("buildx.local.delete", "network.host", "device"), network="host")

    assert entitlements(request) == ("network.host", "device")
    assert entitlements(BuildRequest(network="host")) == ("network.host",)
    assert entitlements(BuildRequest(network="none")) == ()


def deleting(dest: str | None) -> list[Output]:
    return [Output(type="local", dest=dest, attributes={"mode": "delete"})]


def test_below_the_current_directory_deleting_needs_no_consent(tmp_path: Path) -> None:
    check_deletion(deleting("out"), (), tmp_path)
    check_deletion(deleting("not/yet/there"), (), tmp_path)
    check_deletion(deleting(str(tmp_path / "out")), (), tmp_path)


@pytest.mark.parametrize("dest", [".", "..", "out/..", "/etc", "link/out", None])
def test_elsewhere_it_does(tmp_path: Path, dest: str | None) -> None:
    (tmp_path / "link").symlink_to("/")

    with pytest.raises(InputError, match="requires --allow=buildx.local.delete$"):
        check_deletion(deleting(dest), ("network.host",), tmp_path)
    check_deletion(deleting(dest), ("buildx.local.delete",), tmp_path)


def test_a_directory_beside_one_of_the_same_beginning_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()

    with pytest.raises(InputError, match="requires --allow"):
        check_deletion(deleting("../here2"), (), tmp_path / "here")


def test_what_only_adds_needs_no_consent(tmp_path: Path) -> None:
    check_deletion([Output(type="local", dest="/")], (), tmp_path)


@pytest.mark.parametrize(("here", "dest"), [("/", "."), ("/", "/"), ("/tmp", "..")])
def test_the_root_is_never_emptied(here: str, dest: str) -> None:
    with pytest.raises(InputError, match="would remove everything there is$"):
        check_deletion(deleting(dest), ("buildx.local.delete",), Path(here))


@pytest.mark.parametrize("dest", ["home", "home/me"])
def test_a_persons_home_is_not_emptied_without_consent(tmp_path: Path, dest: str) -> None:
    home = str(tmp_path / "home/me")

    check_deletion(deleting("home/me/out"), (), tmp_path, home)
    with pytest.raises(InputError, match="requires --allow=buildx.local.delete$"):
        check_deletion(deleting(dest), (), tmp_path, home)
    check_deletion(deleting(dest), ("buildx.local.delete",), tmp_path, home)


@pytest.mark.parametrize("dest", ["out", "out/image.tar", "out/deep/er", "link/image.tar"])
def test_nothing_is_deleted_that_another_output_writes(tmp_path: Path, dest: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    beside = [Output(type="oci", dest=place) for place in ("outside", "-", None)]

    check_deletion([*deleting("out"), *beside], (), tmp_path)
    with pytest.raises(InputError, match=f'would remove the output to "{dest}"$'):
        check_deletion([*deleting("out"), Output(type="oci", dest=dest)], (), tmp_path)


def test_what_is_emptied_is_the_directory_that_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    (output,) = check_deletion(deleting("link/out"), (), tmp_path)

    assert output.dest == str(tmp_path / "real/out")
