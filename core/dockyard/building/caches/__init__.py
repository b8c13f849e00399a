"""Caches that a build reads and writes: in directories here, and in services elsewhere."""
