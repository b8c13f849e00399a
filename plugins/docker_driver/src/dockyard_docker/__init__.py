"""The docker driver: builds with the BuildKit inside a Docker Engine."""
