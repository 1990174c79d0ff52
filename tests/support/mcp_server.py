"""A tiny MCP server over stdio, run as a program: its tools are `shout`, and `die`, which ends it with code 7.

An argument is the name of a file that gets its pid and folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Serve until stdin is closed."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(f"{os.getpid()} {Path.cwd()}")
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        params = request.get("params", {})
        result: dict[str, object] = {}
        if request["method"] == "initialize":
            result = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "tiny", "version": "1"},
            }
        elif request["method"] == "tools/list":
            schema = {"type": "object"}
            result = {"tools": [{"name": name, "inputSchema": schema} for name in ("shout", "die")]}
        elif request["method"] == "tools/call":
            if params["name"] == "die":
                sys.exit(7)
            text = str(params["arguments"].get("text", "")).upper() or os.environ.get("MCP_TEXT", "")
            result = {"content": [{"type": "text", "text": text}]}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
