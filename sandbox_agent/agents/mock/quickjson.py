"""JSON by the interpreter's own scanner and encoder, without the package around them.

`json` stands on regular expressions, whose import takes as long as all else in this agent's start. An interpreter
without that accelerator gets the package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_scan: Callable[[str, int], tuple[Any, int]]
_encode: Callable[[Any, int], Iterable[str]]
try:
    from _json import encode_basestring, make_encoder, make_scanner
except ImportError:
    from json import JSONDecoder, JSONEncoder

    _scan = JSONDecoder().scan_once  # type: ignore[attr-defined]
    _encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False).iterencode  # type: ignore[assignment]
else:

    class _Plain:
        """How `json` decodes when nothing else is asked for."""

        strict = True
        object_hook = object_pairs_hook = None
        parse_float = parse_constant = float
        parse_int = int

    def _refuse(value: object) -> object:
        raise TypeError(f"{type(value).__name__} has no JSON")

    _scan = make_scanner(_Plain)  # type: ignore[arg-type]
    _encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, True)


def loads(line: bytes) -> Any:
    """The one value that the line is. Raises ValueError where it is none."""
    text = line.decode("utf-8", "surrogatepass").strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end < len(text):
        raise ValueError("more than one value")
    return value


def dumps(value: Any) -> str:
    """Without spaces, and with all characters as they are."""
    return "".join(_encode(value, 0))
