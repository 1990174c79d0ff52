"""Following the changes of files (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sandbox_agent.client import file_calls
from sandbox_agent.client.effects import Emit
from sandbox_agent.client.file_results import FileChange
from sandbox_agent.client.programs import each
from sandbox_agent.client.stream import follow
from sandbox_agent.problems import NotFound, from_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox_agent.client.effects import Program, Request, Source
    from sandbox_agent.client.sse import SseEvent

MISSED: Final = FileChange("missed")
READY: Final = FileChange("missed")
"""Stands for the moment from which on nothing is missed; it is not passed on."""


class WatchState:
    """The changes of a path. The server keeps none, so a connection that was cut may have missed some."""

    def __init__(self, path: str, *, recursive: bool) -> None:
        self.done = False
        self.began = False
        self._path = path
        self._recursive = recursive

    def request(self) -> Request:
        return file_calls.watch(self._path, recursive=self._recursive)

    def accept(self, event: SseEvent) -> Iterable[FileChange]:
        match event.name:
            case "ready":
                again, self.began = self.began, True
                return (MISSED if again else READY,)
            case "overflow":
                return (MISSED,)
            case "change":
                change = json.loads(event.data)
                return (FileChange(change["change"], change["path"], change["entryType"] == "directory"),)
            case "failed":
                document = json.loads(event.data)
                raise from_document(int(document.get("status", 500)), document)
        return ()


def changes(path: str, *, recursive: bool) -> Source:
    """Emit changes as they come, until the watched path itself is gone; nothing as soon as none is missed."""
    state = WatchState(path, recursive=recursive)

    def visit(change: FileChange) -> Program[bool]:
        yield Emit(() if change is READY else (change,))
        return False

    try:
        yield from each(follow(state), visit)
    except NotFound:
        if not state.began:
            raise
