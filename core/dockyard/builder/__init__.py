"""Builders: named sets of nodes, kept on disk in buildx's own form, loaded and chosen from."""
