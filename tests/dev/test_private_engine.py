"""How a private engine is configured."""

from __future__ import annotations

import json
from pathlib import Path

from tools import bridge, engine
from tools.engine import KINDS

from support.engines import StartEngine, or_skip


def test_an_engine_gets_the_settings_that_a_test_wants(start_engine: StartEngine) -> None:
    mirror = "http://127.0.0.1:5000/"

    engine = start_engine("26.1-containerd", {"registry-mirrors": [mirror], "debug": True})

    info = json.loads(engine.docker("info", "--format", "{{json .}}").stdout)
    assert info["RegistryConfig"]["Mirrors"] == [mirror]
    assert info["Debug"] is True
    assert info["Driver"] == "overlayfs"  # what the kind itself sets stays


def test_containers_with_an_init_process_can_be_run(start_engine: StartEngine) -> None:
    engine = start_engine("20.10")

    info = json.loads(engine.docker("info", "--format", "{{json .}}").stdout)

    assert Path(info["InitBinary"]).is_file()


def test_the_bridges_of_networks_go_with_the_engine() -> None:
    started = or_skip(lambda: engine.start(KINDS["26.1"]))
    try:
        identifier = started.docker("network", "create", "left-behind").stdout
        name = f"br-{identifier[:12]}"
        made = bridge.exists(name)
    finally:
        started.end()

    assert made
    assert not bridge.exists(name)
