"""Fixtures of the engine tests."""

from __future__ import annotations

from support.peer import peers

__all__ = ["peers"]
