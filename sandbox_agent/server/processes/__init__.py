"""The sandbox's processes and terminals over HTTP."""
