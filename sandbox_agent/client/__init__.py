"""The Python SDK: :class:`SandboxAgent` and :class:`AsyncSandboxAgent` over one core."""
