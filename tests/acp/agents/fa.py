"""A tiny JSON-RPC agent that does what the method's name says; only the standard library."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time

RECEIVED: list[str] = []


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def send(message: dict) -> None:
    write(json.dumps(message).encode() + b"\n")


def read() -> dict | None:
    line = sys.stdin.buffer.readline()
    if not line:
        return None
    RECEIVED.append(base64.b64encode(line).decode())
    return json.loads(line)


def update(text: str) -> dict:
    params = {"sessionId": "s", "update": {"sessionUpdate": "agent_message_chunk", "content": {"text": text}}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def burst(count: int, size: int) -> None:
    empty = len(json.dumps(update(""))) + 1
    line = json.dumps(update("x" * (size - empty))).encode() + b"\n"
    chunk = line * min(count, 1000)
    for _ in range(count // min(count, 1000)):
        write(chunk)


def die(how: dict) -> None:
    write(base64.b64decode(how.get("stdout", "")))
    sys.stderr.write(how.get("stderr", ""))
    sys.stderr.flush()
    if "signal" in how:
        os.kill(os.getpid(), how["signal"])
    os._exit(how["code"])


def ask(params: dict) -> dict:
    send({"jsonrpc": "2.0", "id": "from-agent", "method": "session/request_permission", "params": params})
    while True:
        message = read()
        if message is None or message.get("id") == "from-agent":
            return message or {}


def prompt(params: dict) -> dict:
    """Runs until it is cancelled."""
    send(update("working"))
    while True:
        message = read()
        if message is None or message.get("method") == "session/cancel":
            return {"stopReason": "cancelled"}
        answer(message)


def spawn(params: dict) -> None:
    subprocess.Popen(params["argv"], start_new_session=bool(params.get("daemon")))


METHODS = {
    "echo": lambda params: params,
    "raw": lambda params: write(base64.b64decode(params["data"])),
    "burst": lambda params: burst(params["count"], params["size"]),
    "die": die,
    "later": lambda params: time.sleep(params["after"]),
    "received": lambda _params: RECEIVED,
    "environ": lambda _params: dict(os.environ),
    "spawn": spawn,
    "ask": ask,
    "prompt": prompt,
    "pid": lambda _params: os.getpid(),
    "close": lambda params: os.close(params["fd"]),
}


def answer(message: dict) -> None:
    method, params = message.get("method"), message.get("params") or {}
    if method is None or method == "hang" or (method == "initialize" and "--hang" in sys.argv):
        return
    if "id" not in message:
        if method == "die":
            die(params)
    elif method == "fail":
        send({"jsonrpc": "2.0", "id": message["id"], "error": params})
    else:
        result = METHODS[method](params) if method in METHODS else None
        send({"jsonrpc": "2.0", "id": message["id"], "result": result})


def main() -> None:
    if "--ignore-term" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--exit" in sys.argv:
        sys.stderr.write("cannot start: no licence\n")
        sys.exit(3)
    if "--daemon" in sys.argv:
        subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=subprocess.DEVNULL)
    while (message := read()) is not None:
        answer(message)
    if "--ignore-term" in sys.argv:
        time.sleep(1000)


main()
