from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from dockyard.plugin.discovery import Offer, find_offers
from support.distribution import install


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    return site


def test_drivers_and_wrappers_are_found_by_their_groups(site: Path) -> None:
    install(
        site, "shed", {"dockyard": {"shed": "shed"}, "dockyard.wrapper": {"audit": "shed:audit"}}
    )
    install(site, "stranger", {"console_scripts": {"stranger": "stranger:main"}})

    offers = find_offers(None, [str(site)])

    assert offers == [
        Offer(name="shed", group="dockyard", value="shed", distribution="shed", version="1.0"),
        Offer(
            name="audit",
            group="dockyard.wrapper",
            value="shed:audit",
            distribution="shed",
            version="1.0",
        ),
    ]


def test_nothing_is_imported(site: Path) -> None:
    install(site, "bomb", {"dockyard": {"bomb": "bomb_module"}}, bomb_module="raise SystemExit(7)")

    offers = find_offers(None, [str(site)])

    assert [offer.name for offer in offers] == ["bomb"]
    assert "bomb_module" not in sys.modules


def test_what_was_found_is_remembered(site: Path, tmp_path: Path) -> None:
    install(site, "shed", {"dockyard": {"shed": "shed"}})
    cache = tmp_path / "cache"
    first = find_offers(cache, [str(site)])
    (file,) = cache.iterdir()
    content = json.loads(file.read_bytes())
    content["offers"][0]["version"] = "from the cache"
    file.write_text(json.dumps(content))

    second = find_offers(cache, [str(site)])

    assert first[0].version == "1.0"
    assert second[0].version == "from the cache"


def test_a_new_installation_is_noticed(site: Path, tmp_path: Path) -> None:
    install(site, "shed", {"dockyard": {"shed": "shed"}})
    os.utime(site, ns=(0, 0))  # or both would be of the same moment on a file system's coarse clock
    find_offers(tmp_path / "cache", [str(site)])
    install(site, "barn", {"dockyard": {"barn": "barn"}})

    offers = find_offers(tmp_path / "cache", [str(site)])

    assert [offer.name for offer in offers] == ["barn", "shed"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": 1, "offers": [{}]}', b"\xff"]
)
def test_a_damaged_cache_is_no_cache(site: Path, tmp_path: Path, content: bytes) -> None:
    install(site, "shed", {"dockyard": {"shed": "shed"}})
    cache = tmp_path / "cache"
    find_offers(cache, [str(site)])
    (file,) = cache.iterdir()
    file.write_bytes(content)

    offers = find_offers(cache, [str(site)])

    assert [offer.name for offer in offers] == ["shed"]


def test_a_cache_that_cannot_be_written_is_no_error(site: Path, tmp_path: Path) -> None:
    install(site, "shed", {"dockyard": {"shed": "shed"}})
    (tmp_path / "file").write_text("not a directory")

    offers = find_offers(tmp_path / "file", [str(site)])

    assert [offer.name for offer in offers] == ["shed"]
