"""What Amp runs to ask for permission: ``ask.py SOCKET``; the tool is AGENT_TOOL_NAME, its arguments are on stdin."""

from __future__ import annotations

import json
import os
import socket
import sys

ALLOW, REJECT = 0, 2


def main() -> int:
    try:
        arguments = json.loads(sys.stdin.buffer.read() or b"null")
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rwb") as stream:
            folder, name = os.path.split(sys.argv[1])  # the whole may be longer than an address can be (unix(7))
            client.connect(f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY)}/{name}")
            question = {"tool": os.environ.get("AGENT_TOOL_NAME", ""), "arguments": arguments}
            stream.write(json.dumps(question).encode() + b"\n")
            stream.flush()
            answer = stream.readline().strip()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"nobody could be asked: {error}\n")
        return REJECT
    if answer == b"allow":
        return ALLOW
    sys.stderr.write("the user refused this tool call\n")
    return REJECT


if __name__ == "__main__":
    sys.exit(main())
