"""Calls: asking a Dockerfile's frontend for something else than a build, such as a check."""
