"""The kubernetes driver: BuildKit in pods of a cluster."""
