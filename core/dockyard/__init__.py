"""Dockyard: image builds with BuildKit, on drivers that you ``pip install``."""

from __future__ import annotations

__version__ = "0.1.0"
