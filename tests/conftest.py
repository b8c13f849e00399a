"""What every test may ask for: real engines and a registry, started when first asked for."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
ENGINE_SECONDS = 300
"""The time limit of a test on a real engine, which may be the one that has to start it."""
LONG_SECONDS = 600
"""The time limit of the longest tests: they come first, or all would wait for one in the end."""

# A test fails for what it found, never for how long the machine took. Who runs tests by hand looks
# for new examples each time; the gate (``./dev test``) has the same ones in every run.
settings.register_profile(
    "search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fixed", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("search")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell script. All that the tests start would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the tests start engines with what ./dev starts them with

pytest_plugins = (
    "support.cli",
    "support.engines",  # before those that import it, or pytest could not rewrite its asserts
    "support.registry",
    "support.buildkit_image",
    "support.emulation",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that reach an engine or registry, with the time they need; longest first."""
    from support.engines import ENGINE_FIXTURES

    for item in items:
        if ENGINE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engine)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(ENGINE_SECONDS))
    items.sort(key=_is_short)


def _is_short(item: pytest.Item) -> bool:
    limit = item.get_closest_marker("timeout")
    return limit is None or limit.args[0] < LONG_SECONDS
