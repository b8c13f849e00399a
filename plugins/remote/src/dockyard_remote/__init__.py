"""The remote driver: a BuildKit daemon that somebody else runs."""
