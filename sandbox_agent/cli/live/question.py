"""A permission asked on the terminal, beside everything else that goes on there."""

from __future__ import annotations

import contextlib
import os
import termios
from typing import TYPE_CHECKING, Final, Self

from sandbox_agent.render.text import clean

if TYPE_CHECKING:
    from sandbox_agent.wire.transcript import PermissionItem

SHORT: Final = {
    "y": "allow_once",
    "once": "allow_once",
    "a": "allow_always",
    "always": "allow_always",
    "n": "reject_once",
    "reject": "reject_once",
}
"""What may be typed in place of an option's number, and the kind of option it means."""

_LINE = 4096


class Terminal:
    """The terminal this command was called from, where that is one that can be asked."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def open(cls) -> Self | None:
        """The controlling terminal: stdin may be the prompt."""
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        except OSError:
            return None

    def close(self) -> None:
        os.close(self.descriptor)

    @property
    def ours(self) -> bool:
        """Whether we may read: a job in the background that did would be stopped by the terminal."""
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:
            return False

    def write(self, text: str) -> None:
        os.write(self.descriptor, text.encode("utf-8", "replace"))

    def forget_input(self) -> None:
        """What was typed before a question was seen is no answer to it."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self.descriptor, termios.TCIFLUSH)

    def read_line(self) -> str | None:
        """The line that is there to be read; None when the user closed the input."""
        data = os.read(self.descriptor, _LINE)
        return data.decode("utf-8", "replace").strip() if data else None


def text(item: PermissionItem) -> str:
    """The question, with its options by number."""
    options = [f"  {number}) {option.name}" for number, option in enumerate(item.options, 1)]
    return clean("\n".join([f"? {item.title}", *options])) + "\n"


def ask(item: PermissionItem) -> str:
    return f"answer [1-{len(item.options)}, empty leaves it waiting]: "


def chosen(item: PermissionItem, typed: str) -> str | None:
    """The id of the option that was typed, by number, by kind or by name; None when it is none of them."""
    if typed.isdecimal():
        number = int(typed)
        return item.options[number - 1].option_id if 1 <= number <= len(item.options) else None
    typed = typed.lower()
    kind = SHORT.get(typed)
    found = (o.option_id for o in item.options if o.kind == kind or typed in (o.option_id.lower(), o.name.lower()))
    return next(found, None)
