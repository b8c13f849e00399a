"""Tests that every driver has to pass, for the author of one to run with pytest.

They try everything that the driver declares on a node of its own: each *yes* has to work, each
*no* to be refused, everything that is made has to go, and nothing may hang. Install
``dockyard[conformance]`` and write a test file::

    import pytest
    from dockyard.conformance import Conformance, Subject

    class TestShed(Conformance):
        @pytest.fixture(scope="class")
        @classmethod
        def subject(cls) -> Subject:
            return Subject(
                driver="shed",
                endpoint="shed://localhost",
                dead_endpoint="shed://{host}:{port}",
                leftovers=lambda builder: things_in_the_shed(builder),
                registry="127.0.0.1:5000",
                engine="unix:///var/run/docker.sock",
            )

All but ``driver`` may be left out. What then cannot be tried is skipped, and the reason says what
to give (``pytest -rs`` shows it). Tests of one class share a builder; whatever they make has
``conformance-`` in its name and is removed in the end. See :class:`Subject` for what each value
means. Nothing is pulled from a registry.
"""

from __future__ import annotations

from dockyard.conformance.leftovers import engine_leftovers
from dockyard.conformance.subject import Subject
from dockyard.conformance.suite import Conformance

__all__ = ["Conformance", "Subject", "engine_leftovers"]
