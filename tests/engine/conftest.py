"""Fixtures of the tests on real engines beside the engines themselves."""

from __future__ import annotations

from support.peer import peers

__all__ = ["peers"]
