"""The sandbox's files."""
