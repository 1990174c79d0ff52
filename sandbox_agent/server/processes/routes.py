"""The sandbox's processes and terminals: the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox_agent.server.call import Route

ROUTES: tuple[Route, ...] = ()
