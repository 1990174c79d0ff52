"""Versions, and the lock files that come with the package."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import msgspec

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NUMBERS = re.compile(r"\d+")
LOCKS = Path(__file__).parent / "locks"
LATEST = "latest"
"""What a request says to take the newest release instead of the locked one."""


def this_platform() -> str:
    """As the registry names platforms: ``linux-x86_64``."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"


def numbers(version: str) -> tuple[int, ...]:
    """``v22.19.1`` as (22, 19, 1); enough to compare releases of Node and Python."""
    return tuple(int(part) for part in _NUMBERS.findall(version.partition("-")[0])[:3])


def at_least(version: str, oldest: str) -> bool:
    return numbers(version) >= numbers(oldest)


def npm_lock(agent: str) -> dict[str, Any] | None:
    """The npm lock of an agent. It names no registry: the user's own settings say which one is asked."""
    data = _read(f"{agent}.npm.json")
    return None if data is None else dict(msgspec.json.decode(data))


def requirements(name: str) -> str | None:
    """Requirements with the digest of every file that may satisfy them."""
    data = _read(f"{name}.txt")
    return None if data is None else data.decode()


def pinned(text: str, package: str) -> str | None:
    """The version of a package in requirements."""
    found = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", text, re.MULTILINE)
    return found and found.group(1)


def _read(name: str) -> bytes | None:
    file = LOCKS / name
    return file.read_bytes() if file.is_file() else None
