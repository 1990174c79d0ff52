"""What must not be in the log is not, whatever is logged."""

from __future__ import annotations

import logging
import sys

from sandbox_agent.server import logs


def line(formatter: logs.RedactingFormatter, message: str, *arguments: object) -> str:
    return formatter.format(logging.LogRecord("x", logging.ERROR, "f", 1, message, arguments, None))


def test_known_secrets_are_masked_in_messages_and_traces() -> None:
    """The server's token, and tokens in URLs whoever's they are."""
    formatter = logs.RedactingFormatter(("the-servers-token", ""))
    told = line(formatter, "got %s and /x?access_token=abc&y=1", "the-servers-token")
    assert told.endswith("got *** and /x?access_token=***&y=1")
    try:
        raise ValueError("the-servers-token")  # noqa: TRY301 - a trace is wanted
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "m", (), sys.exc_info())
    assert "the-servers-token" not in formatter.format(record)


def test_what_agents_are_given_later_is_masked_too() -> None:
    """Sessions come with keys of their own; one that begins like another leaves nothing of it."""
    formatter = logs.RedactingFormatter()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    known: set[str] = set()
    try:
        logs.hide(lambda: known)
    finally:
        root.removeHandler(handler)
    known |= {"key-1", "key-1-long"}
    assert line(formatter, "key-1 key-1-long").endswith("*** ***")
