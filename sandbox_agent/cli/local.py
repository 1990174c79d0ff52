"""Files of this machine: their faults as errors of a command, and their names as the server's."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def local_faults() -> Iterator[None]:
    """What goes wrong with a file here is told as what the server says is."""
    from sandbox_agent.client.errors import ClientError
    from sandbox_agent.problems import SandboxAgentError

    try:
        yield
    except OSError as error:
        if isinstance(error, (SandboxAgentError, BrokenPipeError)) or error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise ClientError(f"{where}{error.strerror}") from error


def remote(path: str) -> str:
    """A path from the command line, whatever the locale is: what is not UTF-8 as surrogate escapes."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")
