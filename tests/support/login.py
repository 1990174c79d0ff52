"""An agent that has a program for logging in, and a server that knows it."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

from .server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .server import Server

AGENT = """
import json, os, sys
if "--login" in sys.argv:
    size = os.get_terminal_size()
    name = input(f"name on {size.columns}x{size.lines}? ")
    print("welcome", name, flush=True)
    sys.exit(0 if name == "Ada" else 3)
for line in sys.stdin:
    request = json.loads(line)
    shell = {"id": "shell", "name": "Log in", "type": "terminal", "args": ["--login"]}
    methods = [{"id": "browser", "name": "Browser", "description": "Opens a browser"}, shell]
    result = {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": methods}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""


@contextlib.contextmanager
def server_with_lock(folder: Path) -> Iterator[Server]:
    """A server whose agent ``lock`` asks for a name, and lets in nobody but Ada (else it exits with 3)."""
    program, config = folder / "agent.py", folder / "config.json"
    program.write_text(AGENT)
    config.write_text(json.dumps({"agents": {"lock": {"command": sys.executable, "args": [str(program)]}}}))
    with serve(folder / "server", "--config", str(config)) as server:
        yield server
