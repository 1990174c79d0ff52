"""How an agent is started: what lies in the install root, else what is on PATH; and what is missing for it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox_agent.agents.environment import environment
from sandbox_agent.supervisor import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox_agent.agents.catalogue import AgentSpec, Provider

HERE = Path(__file__).parent
BUILTIN = {"mock": HERE / "mock" / "__main__.py", "replay": HERE / "replay.py", "amp": HERE / "amp" / "__main__.py"}
PYTHON_FLAGS = ("-I", "-S", "-E")
"""Neither site packages nor the user's Python settings: the built-in agents stand on the standard library alone."""

RECEIPT = "install.json"
"""Lies beside the launcher of an agent that we installed, and says what it is."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """A way to start an agent that is there.

    ``needs`` are programs it would look for in vain; ``interpreter`` is the one of them it cannot even start without.
    """

    argv: tuple[str, ...]
    path: str
    builtin: bool = False
    needs: tuple[str, ...] = ()
    interpreter: str | None = None


def data_home(environ: Mapping[str, str]) -> Path:
    """``$XDG_DATA_HOME``, where it is absolute as the specification wants it."""
    given = Path(environ.get("XDG_DATA_HOME", ""))
    return given if given.is_absolute() else Path(environ.get("HOME") or "~").expanduser() / ".local" / "share"


def install_root(environ: Mapping[str, str]) -> Path:
    return data_home(environ) / "sandbox-agent" / "bin"


def slot(root: Path, agent: str) -> Path:
    """Where the launcher of an agent lies in an install root, whoever put it there."""
    return root / "agent_processes" / f"{agent}-acp"


def find(spec: AgentSpec, root: Path, environ: Mapping[str, str]) -> Launcher | None:
    """The launcher of an agent; None where it is not installed. Looks at files only."""
    path = spec.env.get("PATH") or environ.get("PATH", os.defpath)
    installed = slot(root, spec.id)
    if os.access(installed, os.X_OK) and installed.is_file():
        return _launcher((str(installed),), spec.brings, path)
    for program, *arguments in spec.programs:
        found = shutil.which(os.path.expanduser(program), path=path)  # noqa: PTH111 -- a bare name must stay one
        if found is not None:
            return _launcher((found, *arguments), spec.needs + spec.brings, path)
    if spec.builtin is not None and all(shutil.which(name, path=path) for name in spec.drives):
        return Launcher((*builtin(spec.builtin), *spec.arguments), str(BUILTIN[spec.builtin]), builtin=True)
    return None


def builtin(name: str) -> tuple[str, ...]:
    """The command of a program of this package."""
    return (sys.executable, *PYTHON_FLAGS, str(BUILTIN[name]))


def _launcher(argv: tuple[str, ...], needs: tuple[str, ...], path: str) -> Launcher:
    found = os.stat(argv[0])  # noqa: PTH116 -- cheap, at each start
    interpreter = _interpreter(argv[0], (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    missing = tuple(name for name in (interpreter, *needs) if name and shutil.which(name, path=path) is None)
    return Launcher(argv, argv[0], needs=missing, interpreter=interpreter if interpreter in missing else None)


@lru_cache
def _interpreter(file: str, _version: tuple[int, ...]) -> str | None:
    """The program that the first line of a script names; for what we installed, the one it was built on.

    Looked for once for each version of the file: it is written anew, never changed in place, with its receipt.
    """
    receipt = _receipt(Path(file).resolve().parent)
    if isinstance(receipt.get("runsOn"), str):
        return str(receipt["runsOn"])
    try:
        with Path(file).open("rb") as opened:
            line = opened.read(256).split(b"\n", 1)[0].decode(errors="replace")
    except OSError:
        return None
    words = line.removeprefix("#!").split() if line.startswith("#!") else []
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[0] if words else None


def command(
    spec: AgentSpec,
    launcher: Launcher,
    environ: Mapping[str, str],
    providers: Mapping[str, Provider] = MappingProxyType({}),
    *,
    env: Mapping[str, str] | None = None,
    base_url: str | None = None,
) -> Command:
    """What to run, in the environment that `environment` makes."""
    added = environment(spec, providers, environ, env=env, base_url=base_url)
    return Command(argv=launcher.argv, env=added, program=launcher.path if launcher.builtin else None)


def version(launcher: Launcher) -> str | None:
    """The version that was installed, or of the npm package the launcher lies in; ``builtin`` for ours.

    None where neither tells it.
    """
    if launcher.builtin:
        return "builtin"
    file = Path(launcher.path).resolve()
    if (file.parent / RECEIPT).is_file():
        return _manifest_version(file.parent / RECEIPT)
    for folder in file.parents:
        if folder.name == "node_modules":
            return None
        manifest = folder / "package.json"
        if manifest.is_file():
            return _manifest_version(manifest)
    return None


def _manifest_version(manifest: Path) -> str | None:
    found = _document(manifest).get("version")
    return found if isinstance(found, str) else None


def _receipt(build: Path) -> dict[str, Any]:
    return _document(build / RECEIPT)


def _document(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}
