"""Fixtures of the tests of our own tools and doubles."""

from __future__ import annotations

from support.kubernetes.fixture import cluster, control_plane, module_cluster

__all__ = ["cluster", "control_plane", "module_cluster"]
