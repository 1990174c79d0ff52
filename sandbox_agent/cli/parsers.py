"""What the commands' parsers share."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class WordsParser(argparse.ArgumentParser):
    """A parser that may have an argument of any number of words, with options before, among and after them.

    argparse itself takes what stands before the first option for all of them (CPython issue 59317).
    """

    words: str | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        told, left = super().parse_known_args(args, namespace)
        if self.words is not None and not any(word.startswith("-") for word in left):
            setattr(told, self.words, [*getattr(told, self.words), *left])
            left = []
        return told, left


def completed_by(action: argparse.Action, completer: Callable[..., list[str]]) -> argparse.Action:
    """Let the shell complete the argument with what ``completer`` answers."""
    told: Any = action
    told.completer = completer  # the attribute that argcomplete asks for
    return action


def typed(text: str | None) -> str | None:
    """Text from the command line as UTF-8, which Python reads otherwise where the locale is not."""
    return None if text is None else os.fsencode(text).decode("utf-8", "replace")
