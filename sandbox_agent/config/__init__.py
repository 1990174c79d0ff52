"""What is configured for a directory, and reaches every session in it: MCP servers and skills."""

from sandbox_agent.config.store import DirectoryConfig, Found

__all__ = ["DirectoryConfig", "Found"]
