"""What commands print: text for people, JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_json(parser: argparse.ArgumentParser, told: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=told)


def print_json(value: Any) -> None:
    """A document, indented."""
    import msgspec

    try:
        _write(msgspec.json.format(msgspec.json.encode(value), indent=2))
    except UnicodeEncodeError:
        _write(_escaped(value, indent=2))


def print_line(value: Any) -> None:
    """One value of a stream, on a line of its own and at once."""
    import msgspec

    try:
        _write(msgspec.json.encode(value))
    except UnicodeEncodeError:
        _write(_escaped(value))


def _escaped(value: Any, indent: int | None = None) -> bytes:
    """JSON of paths that are not UTF-8, with their bytes as the server shows them: escapes of half a surrogate pair."""
    import json

    import msgspec

    return json.dumps(msgspec.to_builtins(value), indent=indent).encode()


def print_raw(data: bytes) -> None:
    """JSON of a stream that goes through as it came."""
    _write(data)


def _write(data: bytes) -> None:
    """JSON is UTF-8 (RFC 8259, 8.1), whatever the locale is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def print_path(path: str) -> None:
    """A path, its bytes as they are on the server."""
    _write(path.encode("utf-8", "surrogateescape"))


def write_bytes(data: bytes) -> None:
    """Some of an output that is bytes, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """A line for people that is not the command's result."""
    print(text, file=sys.stderr, flush=True)
