"""Which keys and logins there are on this machine: in the environment first, then where agents keep theirs.

This is the one place that knows. Whether an agent has credentials, what the command line shows of them, what a
session's environment replaces and which values are kept out of exports is all asked here.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox_agent.agents.logins import FOLDERS, LOGINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandbox_agent.agents.catalogue import AgentSpec, Provider
    from sandbox_agent.agents.logins import AuthType

ENVIRONMENT = "environment"

TWINS = {"ANTHROPIC_API_KEY": "CLAUDE_API_KEY", "OPENAI_API_KEY": "CODEX_API_KEY"}
"""Names under which the same key is known too."""

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH(?!OR(_|$|\0))|COOKIE|PRIVATE|BEARER", re.IGNORECASE
)
_FOLDER_NAME = re.compile(r"(OLD)?PWD")
_PATH_NAME = re.compile(r".*(SOCK|FILE|PATH|DIR|HOME|ASKPASS|XAUTHORITY|APPLICATION_CREDENTIALS)")
"""Where something is, and be it a secret, is no secret; nor who wrote a commit (``GIT_AUTHOR_NAME``)."""
_SECRET_VALUE = re.compile(
    r"(sk|pk|rk|sgamp|gh[a-z]|github_pat|xox[a-z]|glpat|AKIA|AIza|hf|npm|pypi)[-_A-Za-z0-9]{16,}"
)
SHORTEST_SECRET = 8
"""Shorter values are left alone: taken out everywhere, they would spoil texts and protect nothing."""

_SHOWN = 4
_MASKED_WHOLE = 16


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or a token. ``source`` is ``environment`` (``variable`` tells which) or the agent in whose file it is.

    ``expires_at`` is in seconds since the epoch; a ``renewable`` one is replaced by its own agent when it is used.
    """

    provider: str
    source: str
    auth_type: AuthType
    value: str = field(repr=False)
    variable: str | None = None
    expires_at: float | None = None
    renewable: bool = False

    def expired(self, now: float | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (time.time() if now is None else now)


def find(
    providers: Mapping[str, Provider], environ: Mapping[str, str], wanted: Iterable[str] | None = None
) -> Iterator[Credential]:
    """All credentials, best first, expired ones too; ``wanted`` are the providers asked for (default: any)."""
    names = None if wanted is None else frozenset(wanted)
    for name, provider in providers.items():
        if names is None or name in names:
            yield from _in_environment(name, provider, environ)
    for login in LOGINS:
        if names is None or login.providers is None or names & login.providers:
            for stored in login.stored(environ):
                yield Credential(
                    provider=stored.provider,
                    source=login.source,
                    auth_type=stored.auth_type,
                    value=stored.value,
                    expires_at=stored.expires_at,
                    renewable=stored.renewable,
                )


def _in_environment(name: str, provider: Provider, environ: Mapping[str, str]) -> Iterator[Credential]:
    kinds: tuple[tuple[AuthType, tuple[str, ...]], ...] = (("api_key", provider.env), ("oauth", provider.tokens))
    for kind, variables in kinds:
        for variable in variables:
            if value := environ.get(variable, "").strip():
                yield Credential(name, ENVIRONMENT, kind, value, variable)


def best(found: Iterable[Credential], *, oauth: bool = True, now: float | None = None) -> dict[str, Credential]:
    """The first of each provider that can be used as it is; without ``oauth``, keys alone."""
    chosen: dict[str, Credential] = {}
    for credential in found:
        if not credential.expired(now) and (oauth or credential.auth_type == "api_key"):
            chosen.setdefault(credential.provider, credential)
    return chosen


def usable(spec: AgentSpec, providers: Mapping[str, Provider], environ: Mapping[str, str]) -> Credential | None:
    """What an agent can work with: of one of its providers, or in its own file whoever's it is.

    A login that has expired counts while its agent can renew it.
    """
    found = find(providers, environ, None if _keeps(spec) else spec.providers)
    return next(
        (
            credential
            for credential in found
            if (credential.provider in spec.providers or credential.source == spec.id)
            and (credential.renewable or not credential.expired())
        ),
        None,
    )


def _keeps(spec: AgentSpec) -> bool:
    """Whether the agent keeps credentials of any provider itself."""
    return any(login.source == spec.id and login.providers is None for login in LOGINS)


def available(spec: AgentSpec, providers: Mapping[str, Provider], environ: Mapping[str, str]) -> bool:
    """Whether an agent has credentials, or needs none."""
    return not spec.providers or usable(spec, providers, environ) is not None


def at_home(environ: Mapping[str, str], home: str) -> dict[str, str]:
    """The environment of somebody whose home folder is ``home``, with the same variables otherwise."""
    return {name: value for name, value in environ.items() if name not in FOLDERS} | {"HOME": home}


def variables(credential: Credential, providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """The environment variables that pass a credential on; none where no agent takes such a login from one."""
    provider = providers.get(credential.provider)
    if credential.auth_type == "oauth":
        if credential.variable is not None:
            return (credential.variable,)
        return ("CLAUDE_CODE_OAUTH_TOKEN",) if credential.provider == "anthropic" else ()
    if provider is None or not provider.env:
        return (re.sub(r"\W", "_", credential.provider).upper() + "_API_KEY",)
    first = provider.env[0]
    return (first, TWINS[first]) if first in TWINS else (first,)


def mask(value: str) -> str:
    """Enough of a long key to tell it from another, nothing of a short one."""
    return f"{value[:_SHOWN]}...{value[-_SHOWN:]}" if len(value) >= _MASKED_WHOLE else "****"


def replaced(given: Mapping[str, str], providers: Mapping[str, Provider]) -> frozenset[str]:
    """The variables that must not stand beside those given: an agent could prefer the other key of a provider."""
    rivals = (
        frozenset(provider.env + provider.tokens)
        for provider in providers.values()
        if any(name in given for name in provider.env + provider.tokens)
    )
    return frozenset().union(*rivals) - frozenset(given)


def secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """The values of an environment that are secret: by their name, by their form, or as the password of a URL."""
    return frozenset(secret for name, value in environ.items() for secret in _secret(name, value.strip()))


def _secret(name: str, value: str) -> Iterator[str]:
    plain = name.partition("\0")[0]
    path = value.startswith("/") and (_FOLDER_NAME.fullmatch(plain) or _PATH_NAME.fullmatch(plain))
    if len(value) < SHORTEST_SECRET or path:
        return
    if "://" in value:
        password = _password(value)
        if password and len(password) >= SHORTEST_SECRET:
            yield password
    elif _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value):
        yield value


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None
