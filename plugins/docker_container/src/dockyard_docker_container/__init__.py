"""The docker-container driver: a BuildKit of your own in a container."""
