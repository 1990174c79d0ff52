"""Logging of the standalone server: to stderr, with secrets taken out of every line, traces included."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MASK = "***"
_IN_URL = re.compile(r"(?i)\b(access_token|token)=[^&\s\"']+")


class RedactingFormatter(logging.Formatter):
    """Formats, then masks the known secrets and any token in a query string."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__("[%(levelname).1s %(asctime)s %(name)s] %(message)s")
        self._secrets = tuple(secret for secret in secrets if secret)
        self.more: Callable[[], Iterable[str]] = tuple

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # The longest first, so that one secret that begins like another is not half left.
        for secret in sorted({*self._secrets, *self.more()}, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _IN_URL.sub(rf"\1={MASK}", text)


def hide(secrets: Callable[[], Iterable[str]]) -> None:
    """Mask these too, asked for anew for each line: what agents were given of keys."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.more = secrets


def configure(level: str, secrets: tuple[str, ...] = ()) -> None:
    """Log to stderr from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
