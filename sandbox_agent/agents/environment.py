"""What an agent gets to see: what it may inherit of the server's environment, a gateway's address, a session's own.

Later ones win. Where a session brings a key for a provider, the server's own keys for it stay behind: an agent that
finds two chooses by its own order.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox_agent.agents.credentials import TWINS, replaced
from sandbox_agent.agents.logins import configured
from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from sandbox_agent.agents.catalogue import AgentSpec, Provider
    from sandbox_agent.wire.base import JsonObject

SERVER_SECRETS = frozenset({"SANDBOX_AGENT_TOKEN", "JUPYTER_TOKEN", "JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN"})
"""What no agent inherits, whatever its configuration names."""

_UNSAFE = re.compile(r"[\s\"'\\<>{}`\x00-\x1f\x7f]")


def environment(
    spec: AgentSpec,
    providers: Mapping[str, Provider],
    environ: Mapping[str, str],
    *,
    env: Mapping[str, str] | None = None,
    base_url: str | None = None,
) -> dict[str, str]:
    """What is added to the few variables that every child gets.

    Raises `InvalidRequest` for a ``base_url`` that is none, or that this agent does not take from its environment.
    """
    given = dict(env or {})
    hidden = SERVER_SECRETS | replaced(given, providers)
    wanted = _one_of(spec.inherit_env).fullmatch
    inherited = {name: value for name, value in environ.items() if wanted(name) and name not in hidden}
    at_gateway = gateway(spec, base_url) if base_url is not None else {}
    whole = _with_twins(inherited | spec.env | at_gateway | given, providers)
    return whole if at_gateway else _by_key(spec, whole, given, environ)


@lru_cache(256)
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What any of these shell patterns matches; nothing where there is none."""
    return re.compile("|".join(map(fnmatch.translate, patterns)) or "(?!)")


def gateway(spec: AgentSpec, base_url: str) -> dict[str, str]:
    """The variables that have an agent ask a gateway instead of its provider; ``base_url`` is without ``/v1``."""
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        sound = False
    if not sound or _UNSAFE.search(base_url):
        raise InvalidRequest("baseUrl must be an http or https URL without query", hint="such as http://localhost:4000")
    if not spec.gateway:
        raise InvalidRequest(
            f"agent {spec.id} takes no base URL from its environment",
            hint="set it in the agent's own configuration file: see docs/how-to/gateways.md",
            agent=spec.id,
        )
    root = base_url.rstrip("/").removesuffix("/v1")
    return {name: template.replace("{url}", root) for name, template in spec.gateway.items()}


def _by_key(
    spec: AgentSpec, env: dict[str, str], given: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Have the agent use its key, unless the user has set up something else for it: a login, or a provider."""
    for variable, added in spec.keyed.items():
        own = any(name in given for name in (variable, TWINS.get(variable, variable)))
        if env.get(variable) and not (added.keys() & env.keys()) and not configured(spec.id, environ, login=not own):
            env |= added
    return env


def _with_twins(env: dict[str, str], providers: Mapping[str, Provider]) -> dict[str, str]:
    """A key that is there under the name of one agent alone is there under its usual name too."""
    tokens = {token for provider in providers.values() for token in provider.tokens}
    for name, twin in TWINS.items():
        rivals = tokens if name == "ANTHROPIC_API_KEY" else frozenset[str]()
        if env.get(twin) and not env.get(name) and not any(env.get(rival) for rival in rivals):
            env[name] = env[twin]
    return env


def keyed(env: Mapping[str, str], providers: Mapping[str, Provider]) -> frozenset[str]:
    """The providers for which a key is among these variables."""
    return frozenset(name for name, provider in providers.items() if _any(env, provider.env))


def key_method(methods: Iterable[JsonObject], keyed: Container[str]) -> str | None:
    """The first of an agent's ways to authenticate that uses a key it was given; ``keyed`` are those providers.

    Methods name their provider in ``_meta``, as codex and gemini do.
    """
    for method in methods:
        meta = method.get("_meta")
        wants = meta.get("api-key") if isinstance(meta, dict) else None
        if isinstance(wants, dict) and wants.get("provider") in keyed and isinstance(method.get("id"), str):
            return str(method["id"])
    return None


def _any(env: Mapping[str, str], names: Iterable[str]) -> bool:
    return any(env.get(name, "").strip() for name in names)
