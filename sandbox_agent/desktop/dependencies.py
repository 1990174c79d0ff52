"""What the desktop needs of the system, what of it is missing, and the commands that install it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sandbox_agent.problems import DesktopDependenciesMissing

PackageManager: TypeAlias = Literal["apt", "dnf", "apk"]
PACKAGE_MANAGERS: tuple[PackageManager, ...] = get_args(PackageManager)

INSTALL_COMMAND = "sandbox-agent install desktop --yes"
PYTHON_HINT = 'pip install "sandbox-agent-jupyter[desktop]"'

_PROGRAMS = ("Xvfb", "openbox")
_MODULES = {"Xlib": "python-xlib", "PIL": "pillow", "zlib_ng": "zlib-ng"}
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
_EXECUTABLES: dict[PackageManager, str] = {"apt": "apt-get", "dnf": "dnf", "apk": "apk"}
_PACKAGES: dict[PackageManager, tuple[str, ...]] = {
    "apt": ("xvfb", "openbox", "dbus", "at-spi2-core", "xdg-utils", "xterm"),
    "dnf": ("xorg-x11-server-Xvfb", "openbox", "dbus-daemon", "at-spi2-core", "xdg-utils", "xterm"),
    "apk": ("xvfb", "openbox", "dbus", "at-spi2-core", "xdg-utils", "xterm", "xkeyboard-config"),
}
_FONTS: dict[PackageManager, tuple[str, ...]] = {
    "apt": ("fonts-dejavu-core", "fonts-noto-cjk", "fonts-noto-color-emoji"),
    "dnf": ("dejavu-sans-fonts", "dejavu-sans-mono-fonts", "google-noto-sans-cjk-fonts", "google-noto-emoji-fonts"),
    "apk": ("font-dejavu", "font-noto-cjk", "font-noto-emoji"),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """Programs and Python distributions that are not there."""

    programs: tuple[str, ...]
    distributions: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.programs or self.distributions)

    @property
    def names(self) -> tuple[str, ...]:
        return self.programs + self.distributions

    @property
    def command(self) -> str | None:
        """The one command that installs the first that lacks: programs, then distributions."""
        if self.programs:
            return INSTALL_COMMAND
        return PYTHON_HINT if self.distributions else None

    def problem(self) -> DesktopDependenciesMissing:
        return DesktopDependenciesMissing(
            f"the desktop needs {', '.join(self.names)}",
            hint=self.command,
            missingDependencies=list(self.names),
            installCommand=self.command,
            processes=[],
        )


def missing(path: str | None) -> Missing:
    """What the desktop cannot be without, looked for on ``path``; D-Bus and fonts it can."""
    return Missing(
        tuple(name for name in _PROGRAMS if shutil.which(name, path=path) is None),
        tuple(name for module, name in _MODULES.items() if importlib.util.find_spec(module) is None),
    )


def package_manager(path: str | None) -> PackageManager | None:
    """The system's package manager, if it is one we know."""
    return next((name for name in PACKAGE_MANAGERS if shutil.which(_EXECUTABLES[name], path=path)), None)


def install_commands(manager: PackageManager, *, fonts: bool = True, sudo: bool | None = None) -> list[list[str]]:
    """The commands, in order, that install the desktop's programs without asking. ``sudo``: unless we are root."""
    packages = [*_PACKAGES[manager], *(_FONTS[manager] if fonts else ())]
    commands: dict[PackageManager, list[list[str]]] = {
        "apt": [["apt-get", "update"], [*_APT, "install", "-y", "--no-install-recommends", *packages]],
        "dnf": [["dnf", "install", "-y", *packages]],
        "apk": [["apk", "add", "--no-cache", *packages]],
    }
    prefix = ["sudo"] if (os.geteuid() != 0 if sudo is None else sudo) else []
    return [prefix + command for command in commands[manager]]
