"""Agents of the ACP registry: a snapshot that comes with the package, or the registry at an address.

The registry is one JSON document, ``{"version", "agents": [{"id", "name", "version", "distribution", ...}]}``, where a
distribution is ``npx`` or ``uvx`` (a package with its version) or ``binary`` (an archive for each platform). With
``SANDBOX_AGENT_ACP_REGISTRY_URL`` (http, https or file) that one is read instead of the snapshot, at most once an hour,
and what was read last is kept for when it cannot be reached.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from sandbox_agent.agents.catalogue import USUAL, AgentSpec, BinarySource, NpmSource, PythonSource
from sandbox_agent.agents.install.versions import this_platform
from sandbox_agent.wire.base import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

VARIABLE = "SANDBOX_AGENT_ACP_REGISTRY_URL"
FRESH = 3600.0
RETRY = 60.0
DEADLINE = 10.0
_LARGEST = 16 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NPM = re.compile(r"(@?[^@\s]+)(?:@([\w.+-]+))?")
_PYPI = re.compile(r"([A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?)(?:(?:==|@)([\w.+!-]+))?")


class Package(Wire, frozen=True, kw_only=True):
    package: str
    cmd: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)


class Distribution(Wire, frozen=True, kw_only=True):
    npx: Package | None = None
    uvx: Package | None = None
    binary: dict[str, BinarySource] | None = None


class Entry(Wire, frozen=True, kw_only=True):
    id: str
    name: str
    version: str
    distribution: Distribution


class Registry:
    """The agents of one registry, as seen from one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = environ.get(VARIABLE, "").strip()
        self._cache = _cache_file(environ, self._url)
        self._due = 0.0
        self._fetching = asyncio.Lock()

    def kept(self) -> list[AgentSpec]:
        """What is known without asking anybody: what was read last, else the snapshot."""
        document = _read(self._cache) if self._url else None
        if document is None and urlsplit(self._url).scheme == "file":
            document = _read(_path(self._url))
        if document is None:
            document = resources.files("sandbox_agent.agents").joinpath("registry.json").read_bytes()
        return parse(document)

    async def fresh(self) -> list[AgentSpec] | None:
        """What the registry says now; None when it need not be asked again yet, or cannot be."""
        if not self._url or time.monotonic() < self._due:
            return None
        async with self._fetching:
            if time.monotonic() < self._due:
                return None
            document = await _fetch(self._url)
            self._due = time.monotonic() + (FRESH if document is not None else RETRY)
            if document is None:
                return None
            await asyncio.to_thread(_keep, self._cache, document)
            return parse(document)


def parse(document: bytes) -> list[AgentSpec]:
    """The agents of a registry's document; an entry that cannot be read is left out, and logged."""
    try:
        agents = msgspec.json.decode(document).get("agents", [])
    except (msgspec.DecodeError, AttributeError):
        log.warning("the registry of agents is no JSON object")
        return []
    specs = []
    for entry in agents if isinstance(agents, list) else []:
        try:
            specs.append(spec_of(msgspec.convert(entry, Entry)))
        except (msgspec.ValidationError, ValueError) as error:
            name = entry.get("id") if isinstance(entry, dict) else None
            log.warning("registry entry %s is left out: %s", name, error)
    return specs


def spec_of(entry: Entry) -> AgentSpec:
    """An agent from its entry; of several distributions the one that can be checked, else the one easiest to have.

    Raises ValueError.
    """
    if _ID.fullmatch(entry.id) is None:
        raise ValueError("not an id")
    given = entry.distribution
    binary = given.binary if given.binary and this_platform() in given.binary else None
    if binary is not None and (given.npx or given.uvx) and not all(source.sha256 for source in binary.values()):
        binary = None
    more: dict[str, Any] = {}
    if binary is not None:
        more = {"binary": binary}
    elif given.npx is not None:
        more = {"npm": _npm(given.npx), "env": given.npx.env}
    elif given.uvx is not None:
        more = {"python": _python(given.uvx), "env": given.uvx.env}
    elif given.binary:
        more = {"binary": given.binary}  # none for this platform: installing says so
    else:
        raise ValueError("nothing to install it from")
    own = re.sub(r"\W", "_", entry.id.partition("-")[0]).upper()
    return AgentSpec(
        id=entry.id,
        name=entry.name,
        version=entry.version,
        capabilities=USUAL,
        inherit_env=(f"{own}_*", "*_API_KEY"),
        **more,
    )


def _npm(package: Package) -> NpmSource:
    found = _NPM.fullmatch(package.package)
    if found is None:
        raise ValueError(f"not a package of npm: {package.package}")
    name, version = found.groups()
    return NpmSource(process=name, version=version or "latest", bin=package.cmd, args=package.args, node="22")


def _python(package: Package) -> PythonSource:
    found = _PYPI.fullmatch(package.package)
    if found is None:
        raise ValueError(f"not a package of PyPI: {package.package}")
    name, version = found.groups()
    return PythonSource(package=name, version=version or "latest", bin=package.cmd, args=package.args, python="3.12")


def _cache_file(environ: Mapping[str, str], url: str) -> Path:
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or "~").expanduser() / ".cache"
    return base / "sandbox-agent" / f"acp-registry-{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _keep(path: Path, document: bytes) -> None:
    """Best effort: without it the next start asks again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(document)
        fresh.replace(path)
    except OSError as error:
        log.warning("the registry of agents cannot be kept: %s", error)


async def _fetch(url: str) -> bytes | None:
    """The document, if it is one; None when it cannot be had, which is logged."""
    if urlsplit(url).scheme == "file":
        document = await asyncio.to_thread(_read, _path(url))
        if document is None:
            log.warning("no registry of agents at %s", url)
        return document
    import httpx2  # noqa: PLC0415 -- heavy, and only for this

    try:
        async with httpx2.AsyncClient(follow_redirects=True, timeout=DEADLINE) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            document = answer.content
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        log.warning("the registry of agents cannot be read: %s", error or type(error).__name__)
        return None
    return bytes(document) if _is_registry(document) else None


def _is_registry(document: bytes) -> bool:
    """What is none (a portal's page) must not take the place of what was read last."""
    try:
        found = len(document) <= _LARGEST and isinstance(msgspec.json.decode(document), dict)
    except msgspec.DecodeError:
        found = False
    if not found:
        log.warning("what the address of the registry of agents answers is none")
    return found
