"""Sandbox Agent inside Jupyter: the server extension and the %agent magics."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_server_extension_points", "load_ipython_extension"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter Server loads."""
    from sandbox_agent_jupyter.app import SandboxAgentApp  # noqa: PLC0415 - kernels load the magics without it

    return [{"module": "sandbox_agent_jupyter", "app": SandboxAgentApp}]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext sandbox_agent_jupyter`."""
    from sandbox_agent_jupyter.magics import load_ipython_extension as load  # noqa: PLC0415 - servers do not need it

    load(shell)
