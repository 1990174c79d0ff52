"""The sandbox's files over HTTP."""
