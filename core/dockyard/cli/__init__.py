"""The command line: ``dockyard``, and ``docker-buildx`` alone or as docker's plugin."""
