"""The accessibility bus: found on the system, and started for who first asks for it, with a screen reader's flags.

A service file in the session's own folder goes before the system's (dbus-daemon(1), "transient" services), so the
toolkits' question for the bus starts one that says from its first moment that somebody looks.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox_agent.desktop.dependencies import INSTALL_COMMAND
from sandbox_agent.problems import DesktopDependenciesMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON_HINT: Final = 'pip install "sandbox-agent-jupyter[a11y]"'
_SERVICE: Final = "dbus-1/services/org.a11y.Bus.service"
_DEFAULT_DATA: Final = "/usr/local/share:/usr/share"  # XDG Base Directory Specification
_FLAGS: Final = "--launch-immediately --a11y=1 --screen-reader=1"

ENVIRONMENT: Final = {"QT_ACCESSIBILITY": "1", "NO_AT_BRIDGE": "0", "GTK_A11Y": "atspi"}
"""For programs: nothing that the server was started with keeps them silent."""


def find(environ: Mapping[str, str]) -> str | None:
    """The program that starts the bus, as the system's own service file names it."""
    for folder in (environ.get("XDG_DATA_DIRS") or _DEFAULT_DATA).split(":"):
        try:
            lines = Path(folder, _SERVICE).read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            key, _, value = line.partition("=")
            program = value.split()[0] if key.strip() == "Exec" and value.strip() else ""
            if os.access(program, os.X_OK):
                return program
    return None


def offer(runtime: Path, program: str) -> None:
    """Have the session bus that has its services in ``runtime`` start ``program``."""
    service = runtime / _SERVICE
    service.parent.mkdir(parents=True, exist_ok=True)
    service.write_text(f"[D-BUS Service]\nName=org.a11y.Bus\nExec={program} {_FLAGS}\n")


def check(program: str | None, *, with_bus: bool) -> None:
    """Raises ``DesktopDependenciesMissing`` where something lacks for the accessibility tree."""
    missing = [name for name, there in (("dbus-daemon", with_bus), ("at-spi2-core", program is not None)) if not there]
    command = INSTALL_COMMAND
    if not missing and importlib.util.find_spec("dbus_fast") is None:
        missing, command = ["dbus-fast"], PYTHON_HINT
    if missing:
        raise DesktopDependenciesMissing(
            f"the accessibility tree needs {', '.join(missing)}",
            hint=command,
            missingDependencies=missing,
            installCommand=command,
            processes=[],
        )
