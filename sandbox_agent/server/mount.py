"""From the route table to the handlers of a web application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox_agent.server.routes import by_path, pattern

if TYPE_CHECKING:
    from sandbox_agent.server.handler import Api, ApiHandler

Rule = tuple[str, type, dict[str, Any]]


def rules(handler: type[ApiHandler], api: Api, prefix: str = "", *, root: bool = True) -> list[Rule]:
    """All routes below ``prefix``; whatever else is asked for under it is told to be no endpoint.

    ``root`` says whether ``/`` itself, which names the service, is served.
    """
    base = re.escape(prefix)
    mounted: list[Rule] = [
        (base + pattern(path), handler, {"api": api, "routes": methods})
        for path, methods in by_path().items()
        if root or path != "/"
    ]
    unknown = r"/.*" if root else r"/v1(?:/.*)?"
    mounted.append((base + unknown, handler, {"api": api, "routes": {}}))
    return mounted
