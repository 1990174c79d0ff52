"""``%agent``, ``%%agent`` and ``%desktop``: drive coding agents, and the desktop, from notebook cells."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from sandbox_agent.problems import SandboxAgentError
from sandbox_agent_jupyter.magics.commands import Commands
from sandbox_agent_jupyter.magics.completion import completer
from sandbox_agent_jupyter.magics.context import MagicContext
from sandbox_agent_jupyter.magics.desktop import DesktopCommands
from sandbox_agent_jupyter.magics.desktop_grammar import desktop_help, parse_desktop
from sandbox_agent_jupyter.magics.grammar import help_text, parse_cell, parse_line
from sandbox_agent_jupyter.magics.questions import keep_questions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["AgentMagics", "load_ipython_extension", "unload_ipython_extension"]


IN_CELLS = {
    "POST /v1/desktop/start": "%desktop start",
    "POST /v1/desktop/recording/start": "%desktop record start",
    "POST /v1/desktop/recording/stop": "%desktop record stop",
}
"""What is done in a cell in place of a request that a server's hint names."""


class MagicError(SandboxAgentError):
    """A fault told in a line or two instead of a trace; the cause hangs on it for those who look."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self.__cause__).__name__}: {self}"]


@magics_class
class AgentMagics(Magics):
    """Holds the context of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.context = MagicContext()
        self._commands = Commands(self.context, shell.user_ns)
        self._desktop = DesktopCommands(self.context, shell.user_ns)

    @line_cell_magic
    def agent(self, line: str, cell: str | None = None) -> None:
        try:
            self._commands.run(parse_line(line) if cell is None else parse_cell(line, cell))
        except SandboxAgentError as error:
            raise MagicError(str(error)) from error

    @line_magic
    def desktop(self, line: str) -> None:
        try:
            self._desktop.run(parse_desktop(line))
        except SandboxAgentError as error:
            told = str(error)
            for request, line_ in IN_CELLS.items():
                told = told.replace(request, line_)
            raise MagicError(told) from error


AgentMagics.agent.__doc__ = help_text()
AgentMagics.desktop.__doc__ = desktop_help()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext sandbox_agent_jupyter`: add the magics and their completion."""
    magics = AgentMagics(shell)
    shell.register_magics(magics)
    for name in ("%agent", "%%agent", "%desktop"):
        shell.set_hook("complete_command", completer(magics.context), str_key=name)
    if keep_questions not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(keep_questions)
    atexit.register(magics.context.close)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext`: questions go to IPython's help again; the client closes at exit."""
    shell.input_transformers_cleanup.remove(keep_questions)
