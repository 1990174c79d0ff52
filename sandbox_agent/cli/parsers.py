"""What the commands' parsers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def completed_by(action: argparse.Action, completer: Callable[..., list[str]]) -> argparse.Action:
    """Let the shell complete the argument with what ``completer`` answers."""
    told: Any = action
    told.completer = completer  # the attribute that argcomplete asks for
    return action
