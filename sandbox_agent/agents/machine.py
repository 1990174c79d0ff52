"""What agents stand on: the search path, Python, Node.js, folders to write to, Jupyter. Looking changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sandbox_agent import __version__
from sandbox_agent.wire.doctor import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox_agent.wire.doctor import Finding

EXTENSION = "sandbox_agent_jupyter"
LITTLE_BYTES, HARDLY_ANY_BYTES = 1 << 30, 64 << 20
_NODE = 22
_VERSION_PATIENCE_S = 20.0


def examine(environ: Mapping[str, str], data_dir: Path | None, install_root: Path) -> list[Check]:
    """Every check of the machine. Blocks: it runs `node --version` and the like."""
    path = environ.get("PATH", os.defpath)
    return [
        Check(name="sandbox-agent", state="ok", detail=f"{__version__}, on {_system()}"),
        Check(name="Python", state="ok", detail=f"{platform.python_version()}, {sys.executable}"),
        _path(path),
        _node(path),
        _program(
            "npm", path, "it comes with Node.js; `sandbox-agent install-agent` brings its own where there is none"
        ),
        _program("uv", path, "not needed: without it, Python agents are installed by pip"),
        *([_folder("data directory", data_dir)] if data_dir is not None else []),
        _folder("install root", install_root),
        _jupyter(environ),
    ]


def _system() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _path(path: str) -> Check:
    folders = [folder for folder in path.split(os.pathsep) if folder]
    missing = [folder for folder in folders if not Path(folder).is_dir()]
    detail = path + (f" (no folder: {', '.join(missing)})" if missing else "")
    return Check(name="PATH", state="ok" if folders else "fault", detail=detail or "empty")


def _node(path: str) -> Check:
    check = _program("node", path, "not on PATH; agents from npm get a Node.js of their own when they are installed")
    version = check.detail.split(",")[0].removeprefix("v")
    major = version.split(".")[0]
    if major.isdigit() and int(major) < _NODE:
        detail = f"{check.detail}; several agents need {_NODE}, and get one of their own when they are installed"
        return Check(name="node", state="warning", detail=detail)
    return check


def _program(name: str, path: str, otherwise: str) -> Check:
    program = shutil.which(name, path=path)
    if program is None:
        return Check(name=name, state="warning", detail=otherwise)
    try:
        done = subprocess.run(  # noqa: S603 - a program of the user's own PATH, asked for its version
            [program, "--version"],
            env={"PATH": path, "HOME": os.environ.get("HOME", "/")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_VERSION_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name=name, state="fault", detail=f"{program} does not run: {error}", fix=f"reinstall {name}")
    version = done.stdout.strip().splitlines()[:1]
    if done.returncode or not version:
        return Check(name=name, state="fault", detail=f"{program} --version failed", fix=f"reinstall {name}")
    return Check(name=name, state="ok", detail=f"{version[0]}, {program}")


def _folder(name: str, folder: Path) -> Check:
    """Whether something can be written there; what is not there yet is judged by the nearest folder that is."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        mend = f"chown -R {os.getuid()} {there}" if isinstance(error, PermissionError) else f"make room in {there}"
        return Check(name=name, state="fault", detail=f"{folder} cannot be written: {error.strerror}", fix=mend)
    state: Finding = "ok" if free >= LITTLE_BYTES else "warning" if free >= HARDLY_ANY_BYTES else "fault"
    fix = None if state == "ok" else f"free space on the file system of {there}"
    return Check(name=name, state=state, detail=f"{folder}, {free / (1 << 30):.1f} GiB free", fix=fix)


def _jupyter(environ: Mapping[str, str]) -> Check:
    name = "Jupyter extension"
    try:
        server = metadata.version("jupyter-server")
    except metadata.PackageNotFoundError:
        return Check(name=name, state="skipped", detail="no Jupyter Server in this Python environment")
    enabled = None
    for file in _settings_files(environ):
        told = _enabled(file)
        enabled = told if told is not None else enabled
    if enabled:
        return Check(name=name, state="ok", detail=f"enabled, Jupyter Server {server}")
    said = "is disabled" if enabled is False else "is not enabled"
    fix = f"jupyter server extension enable {EXTENSION}"
    return Check(name=name, state="warning", detail=f"{said}, Jupyter Server {server}", fix=fix)


def _settings_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Jupyter's own search, what counts most last: the system's, the environment's, the user's."""
    home = Path(environ.get("HOME") or "~").expanduser()
    given = [Path(folder) for folder in environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if folder]
    user = Path(environ.get("JUPYTER_CONFIG_DIR") or home / ".jupyter")
    environment = Path(sys.prefix) / "etc" / "jupyter"
    for folder in (Path("/etc/jupyter"), Path("/usr/local/etc/jupyter"), environment, user, *reversed(given)):
        yield from sorted((folder / "jupyter_server_config.d").glob("*.json"))
        yield folder / "jupyter_server_config.json"


def _enabled(file: Path) -> bool | None:
    try:
        return bool(msgspec.json.decode(file.read_bytes())["ServerApp"]["jpserver_extensions"][EXTENSION])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return None
