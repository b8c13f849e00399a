"""Which mirror ``./dev`` takes Debian's packages from, and where it does not try."""

from __future__ import annotations

import pytest
from tools import debian
from tools.debian import Package, Source
from tools.report import DevError


def test_a_list_line_names_address_suite_and_components() -> None:
    text = "# comment\ndeb http://mirror.example/debian bookworm main contrib  # the usual\n"

    sources = list(debian.parse_list(text))

    assert sources == [
        Source(
            uri="http://mirror.example/debian",
            suites=("bookworm",),
            components=("main", "contrib"),
        )
    ]


def test_options_of_a_list_line_are_skipped() -> None:
    text = "deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian bookworm main"

    (source,) = debian.parse_list(text)

    assert source.uri == "http://mirror.example/debian"
    assert source.components == ("main",)


@pytest.mark.parametrize(
    "text", ["", "deb-src http://mirror.example/debian bookworm main", "#deb http://a b main"]
)
def test_a_list_without_packages_has_no_sources(text: str) -> None:
    assert list(debian.parse_list(text)) == []


def test_a_stanza_names_every_address_and_suite() -> None:
    text = (
        "Types: deb deb-src\n"
        "# comment: not a field\n"
        "URIs: http://one.example/debian http://two.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
    )

    sources = list(debian.parse_deb822(text))

    assert [source.uri for source in sources] == [
        "http://one.example/debian",
        "http://two.example/debian",
    ]
    assert sources[0].suites == ("bookworm", "bookworm-updates")


@pytest.mark.parametrize("line", ["Enabled: no", "Types: deb-src"])
def test_a_stanza_that_gives_no_packages_is_left_out(line: str) -> None:
    text = f"Types: deb\nURIs: http://a.example/debian\nSuites: x\nComponents: main\n{line}\n"

    assert list(debian.parse_deb822(text)) == []


@pytest.mark.parametrize(
    ("release", "reason"),
    [
        ({"ID": "fedora"}, "this machine does not run Debian"),
        ({"ID": "debian", "VERSION_ID": "11"}, "this is Debian 11, and 12 or newer is needed"),
        ({}, "this machine does not run Debian"),
    ],
)
def test_packages_are_not_fetched_where_they_would_not_run(
    release: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_os_release", lambda: release)

    with pytest.raises(DevError, match=reason):
        debian.unpacked([Package(name="runc", suite="bookworm", version="1.")])


def test_packages_for_another_architecture_have_folders_of_their_own() -> None:
    native = Package(name="busybox-static", suite="bookworm", version="1:1.35.")
    foreign = Package(
        name="busybox-static", suite="bookworm", version="1:1.35.", architecture="arm64"
    )

    assert native.folder == "busybox-static"
    assert foreign.folder == "busybox-static@arm64"
