"""The desktop over HTTP."""
