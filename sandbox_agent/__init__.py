"""Run coding agents in a sandbox and drive them over one HTTP API, from a notebook cell above all."""

from __future__ import annotations

__version__ = "0.1.0"
