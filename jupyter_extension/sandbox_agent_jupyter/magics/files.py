"""``%agent fs``: the server's files from a cell. Paths are the server's; those of this machine are the kernel's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import display

from sandbox_agent import render
from sandbox_agent.client.errors import ClientError
from sandbox_agent.problems import SandboxAgentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.client.fs import FileSystem
    from sandbox_agent_jupyter.magics.context import MagicContext
    from sandbox_agent_jupyter.magics.grammar import Invocation

SHOWN = 1 << 20
"""Bytes of a file that are printed; a notebook keeps what is."""


class FileCommands:
    """Runs an action of ``fs``; what it returns can be stored."""

    def __init__(self, context: MagicContext) -> None:
        self._context = context

    def run(self, call: Invocation) -> object:
        """Run one action. Its method is the action's name with a ``do_`` before it."""
        handler: Callable[[Invocation], object] = getattr(self, f"do_{call.command.name}")
        try:
            return handler(call)
        except OSError as error:  # of a file of this machine
            if isinstance(error, SandboxAgentError):
                raise
            raise ClientError(f"{error.filename}: {error.strerror}") from error

    @property
    def _fs(self) -> FileSystem:
        return self._context.client.fs

    def do_ls(self, call: Invocation) -> object:
        depth = call.options["depth"]
        entries = self._fs.list(
            *call.arguments,
            recursive=call.options["recursive"] or depth is not None,
            depth=depth,
            glob=call.options["glob"],
        )
        display(entries)
        return entries

    def do_cat(self, call: Invocation) -> object:
        data = b""
        for path in call.arguments:
            data += self._print(path, whole=call.options["into"] is not None)
        return data.decode("utf-8", "replace")

    def _print(self, path: str, *, whole: bool) -> bytes:
        """Print a file's beginning; what was read of it."""
        size = self._fs.stat(path).size
        data = self._fs.read(path, length=None if whole else SHOWN)
        print(data[:SHOWN].decode("utf-8", "replace"), end="")  # noqa: T201
        if size > SHOWN:
            print(f"\n… {render.size_text(size - SHOWN)} more; %agent fs get {path}")  # noqa: T201
        return data

    def do_stat(self, call: Invocation) -> object:
        info = self._fs.stat(*call.arguments)
        display(info)
        return info

    def do_put(self, call: Invocation) -> object:
        local, *remote = call.arguments
        done = self._fs.upload(Path(local).expanduser(), *remote)
        for path in done.skipped:
            print(f"Left out: {path}")  # noqa: T201
        count = "1 file" if done.files == 1 else f"{done.files} files"
        print(f"{count}, {render.size_text(done.size)}: {done.path}")  # noqa: T201
        return done

    def do_get(self, call: Invocation) -> object:
        remote, *local = call.arguments
        path = self._fs.download(remote, *(Path(name).expanduser() for name in local))
        print(f"Written to {path}")  # noqa: T201
        return path

    def do_rm(self, call: Invocation) -> None:
        for path in call.arguments:
            self._fs.delete(path, recursive=call.options["recursive"])
            print(f"Removed {path}")  # noqa: T201

    def do_mv(self, call: Invocation) -> None:
        source, to = call.arguments
        self._fs.move(source, to, overwrite=call.options["overwrite"])
        print(f"Moved to {to}")  # noqa: T201

    def do_mkdir(self, call: Invocation) -> None:
        for path in call.arguments:
            self._fs.mkdir(path)
            print(f"Made {path}")  # noqa: T201

    def do_search(self, call: Invocation) -> object:
        query, *path = call.arguments
        found = self._fs.search(
            query,
            *path,
            kind="name" if call.options["name"] else "content",
            glob=call.options["glob"],
            regex=call.options["regex"],
            limit=call.options["limit"],
        )
        display(found)
        return found
