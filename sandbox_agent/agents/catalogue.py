"""The agents there are: those of `catalogue.json`, and those a configuration adds or changes.

A configuration is JSON or TOML::

    {"agents": {"gemini": {"command": "gemini", "args": ["--acp"], "name": "Gemini CLI", "inheritEnv": ["GEMINI_*"]}}}

``command`` is a program on PATH or a path; ``env`` is added to its environment, and ``inheritEnv`` names (``*`` stands
for anything) what it gets of the server's. ``replay`` in place of ``command`` plays a recorded conversation. An entry
with the id of a known agent changes how that one is launched.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sandbox_agent.problems import InvalidRequest
from sandbox_agent.wire.agents import AgentCapabilities
from sandbox_agent.wire.base import JsonObject, StrictRequest, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Config: TypeAlias = "Path | Mapping[str, Any] | None"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CAPABILITIES = frozenset(field.encode_name for field in msgspec.structs.fields(AgentCapabilities))
USUAL = (
    "permissions",
    "toolCalls",
    "toolResults",
    "textMessages",
    "sessionLifecycle",
    "errorEvents",
    "streamingDeltas",
)


class Provider(Wire, frozen=True, kw_only=True):
    """Who answers for a model: the variables that hold a key to it, and those that hold the token of a login.

    The files of agents that hold either are in `logins`.
    """

    name: str
    env: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()


class NpmSource(Wire, frozen=True, kw_only=True):
    """Where npm has an agent.

    ``process`` is the package whose ``bin`` speaks ACP (the package's only one where none is named); ``agent`` that
    of the agent it drives, if another. ``node`` is the oldest Node.js for both. ``setup`` are scripts of packages to
    run with it, in place of npm's own; ``expose`` are programs of the packages which the agent must find on PATH.
    ``version``: of ``process``, where no lock tells it.
    """

    process: str
    agent: str | None = None
    bin: str | None = None
    args: tuple[str, ...] = ()
    node: str = "20"
    setup: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    version: str | None = None


class PythonSource(Wire, frozen=True, kw_only=True):
    """Where PyPI has an agent; ``python`` is the oldest it runs on, ``version`` is for where no lock tells it."""

    package: str
    bin: str | None = None
    args: tuple[str, ...] = ()
    python: str = "3.11"
    version: str | None = None


class BinarySource(Wire, frozen=True, kw_only=True):
    """An archive with a program ``cmd`` for one platform, or the program itself."""

    archive: str
    cmd: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    sha256: str | None = None


class AgentSpec(Wire, frozen=True, kw_only=True):
    """One agent of the catalogue.

    ``programs`` are the command lines that speak ACP, best first; ``needs`` are further programs those start
    themselves, and ``brings`` those which the user brings however the agent is installed, ``brought_by`` a command.
    ``login`` says that it names a program for logging in, in a terminal. ``builtin`` is a program of
    this package instead, started with ``arguments``; it is there when the programs it ``drives`` are.
    ``npm``, ``python`` and ``binary`` (by platform) are where it is installed from, ``version`` what its source calls
    the release, ``also_known_as`` its ids in registries. ``providers``: one of them must have credentials; none is
    asked for where there are none. ``config_options`` are known without asking the agent. ``skills_folder`` is where in
    a project it reads skills from; ``takes_mcp`` is false where it passes over the MCP servers it is given.
    ``gateway`` are the variables by which it is pointed at another server than its provider's; ``{url}`` stands for
    that one's address, without ``/v1``. ``keyed`` are, by the variable of a key, those that have it use this key for
    itself, where by its own ways it would write the key into the user's files first. ``asking_mode`` is the mode in
    which it asks before it acts, where it starts in one in which it decides much by itself. ``unoffered`` is what it is
    not told that we do for it (``readTextFile``, ``writeTextFile``, ``terminal``), because it does not get on with it.
    """

    id: str
    name: str | None = None
    also_known_as: tuple[str, ...] = ()
    programs: tuple[tuple[str, ...], ...] = ()
    builtin: str | None = None
    arguments: tuple[str, ...] = ()
    drives: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()
    brought_by: str | None = None
    login: bool = False
    npm: NpmSource | None = None
    python: PythonSource | None = None
    binary: dict[str, BinarySource] | None = None
    version: str | None = None
    providers: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    inherit_env: tuple[str, ...] = ()
    gateway: dict[str, str] = msgspec.field(default_factory=dict)
    keyed: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    config_options: tuple[JsonObject, ...] | None = None
    skills_folder: str = ".agents/skills"
    takes_mcp: bool = True
    asking_mode: str | None = None
    unoffered: tuple[str, ...] = ()

    @property
    def installable(self) -> bool:
        return self.npm is not None or self.python is not None or self.binary is not None

    @property
    def locked(self) -> bool:
        """Whether its packages are among the locks; a release from a registry of agents is where it has digests."""
        if self.binary is not None:
            return all(source.sha256 is not None for source in self.binary.values())
        source = self.npm or self.python
        return source is not None and source.version is None

    def able(self) -> AgentCapabilities:
        """The capabilities as clients read them."""
        return msgspec.convert(dict.fromkeys(self.capabilities, True), AgentCapabilities)


class Catalogue(Wire, frozen=True, kw_only=True):
    providers: dict[str, Provider]
    agents: tuple[AgentSpec, ...]


class CustomAgent(StrictRequest, frozen=True, kw_only=True):
    """An entry of a configuration."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    inherit_env: tuple[str, ...] = ()
    replay: str | None = None
    asking_mode: str | None = None
    name: str | None = None
    capabilities: tuple[str, ...] | dict[str, bool] | None = None


def load(config: Config = None, registry: Iterable[AgentSpec] = ()) -> tuple[dict[str, AgentSpec], dict[str, Provider]]:
    """All agents by id, and the providers: those of the package, then of a registry, then of the configuration.

    Raises `InvalidRequest` with ``file`` and ``key`` for a configuration that is malformed.
    """
    data = resources.files("sandbox_agent.agents").joinpath("catalogue.json").read_bytes()
    catalogue = msgspec.json.decode(data, type=Catalogue)
    specs = {spec.id: spec for spec in catalogue.agents}
    known = {name for spec in catalogue.agents for name in (spec.id, *spec.also_known_as)}
    specs |= {spec.id: spec for spec in registry if spec.id not in known}
    file, entries = _entries(config)
    for agent, entry in entries.items():
        specs[agent] = _custom(file, agent, entry, specs.get(agent))
    return specs, catalogue.providers


def _entries(config: Config) -> tuple[str | None, Mapping[str, Any]]:
    """The file's name for messages, and what stands under ``agents``."""
    if isinstance(config, Path):
        file, document = str(config), _document(config)
    else:
        file, document = None, config or {}
    agents = document.get("agents", {})
    if not isinstance(agents, dict):
        raise _malformed(file, "agents", "must be an object of agents by id")
    return file, agents


def _document(path: Path) -> Mapping[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _malformed(str(path), None, f"cannot be read: {error.strerror}") from error
    try:
        document = tomllib.loads(data.decode()) if path.suffix == ".toml" else msgspec.json.decode(data)
    except (ValueError, msgspec.DecodeError) as error:
        raise _malformed(
            str(path), None, f"is not valid {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}"
        ) from error
    if not isinstance(document, dict):
        raise _malformed(str(path), None, "must hold an object")
    return document


def _custom(file: str | None, agent: str, entry: object, known: AgentSpec | None) -> AgentSpec:
    key = f"agents.{agent}"
    if _ID.fullmatch(agent) is None:
        raise _malformed(file, key, "is not an id: letters, digits, dot, dash and underscore, up to 64")
    try:
        custom = msgspec.convert(entry, CustomAgent)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise _malformed(file, key + where.rstrip("`"), what) from error
    if (custom.command is None) == (custom.replay is None):
        raise _malformed(file, f"{key}.command", "must be given" if custom.command is None else "excludes `replay`")
    base = known or AgentSpec(id=agent, name=agent, capabilities=USUAL)
    return msgspec.structs.replace(
        base,
        name=custom.name or base.name,
        programs=((custom.command, *custom.args),) if custom.command else (),
        builtin="replay" if custom.replay else None,
        arguments=(custom.replay, *custom.args) if custom.replay else (),
        drives=(),
        needs=(),
        brings=(),
        brought_by=None,
        npm=None,
        python=None,
        binary=None,
        version=None,
        env=custom.env,
        inherit_env=base.inherit_env + custom.inherit_env,
        asking_mode=custom.asking_mode or base.asking_mode,
        capabilities=base.capabilities if custom.capabilities is None else _capable(file, key, custom.capabilities),
        config_options=None,
    )


def _capable(file: str | None, key: str, given: tuple[str, ...] | dict[str, bool]) -> tuple[str, ...]:
    unknown = sorted(set(given) - _CAPABILITIES)
    if unknown:
        raise _malformed(file, f"{key}.capabilities", f"has unknown names: {', '.join(unknown)}")
    return tuple(name for name in given if not isinstance(given, dict) or given[name])


def _malformed(file: str | None, key: str | None, what: str) -> InvalidRequest:
    where = " ".join(filter(None, [file or "agent configuration", key and f"`{key}`"]))
    return InvalidRequest(f"{where}: {what}", file=file, key=key)
