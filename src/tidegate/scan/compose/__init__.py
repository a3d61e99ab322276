"""Compose files: YAML with the lines that values stand in, and the services that it describes."""
