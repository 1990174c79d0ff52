"""The files in which agents keep keys and logins, and how each is read. Nothing here knows a provider's API.

A file that is missing, unreadable or malformed holds nothing: it is another program's, and that one tells its user.
"""

from __future__ import annotations

import base64
import binascii
import stat
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Reader: TypeAlias = Callable[[bytes], "Iterator[Stored]"]

AuthType: TypeAlias = Literal["api_key", "oauth"]

_MILLISECONDS = 100_000_000_000
"""Times since the epoch beyond this are in milliseconds: as seconds they would lie three thousand years ahead."""

_PROVIDERS = {
    "openai-codex": "openai",
    "google-gemini-cli": "google",
    "github-copilot": "github",
    "kimi-coding": "kimi",
}
"""What agents call a provider which the catalogue names otherwise."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A key or token in a file. ``expires_at`` is in seconds; ``renewable`` when the agent can get itself another."""

    provider: str
    auth_type: AuthType
    value: str = field(repr=False)
    expires_at: float | None = None
    renewable: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """Where one agent keeps its credentials. The first path that is a file counts; see `expand` for their form."""

    source: str
    paths: tuple[str, ...]
    read: Reader
    providers: frozenset[str] | None = None
    """Whose credentials can be in it; ``None`` when anyone's."""

    def stored(self, environ: Mapping[str, str]) -> list[Stored]:
        """All that is in the file."""
        for path in self.paths:
            file = expand(path, environ)
            content = _content(file) if file is not None else None
            if content is not None:
                try:
                    return [found for found in self.read(content) if found.value]
                except (ValueError, RecursionError):
                    return []
        return []


def expand(path: str, environ: Mapping[str, str]) -> Path | None:
    """``~/x`` and ``$NAME/x`` by the given environment; None where the variable is not set."""
    base, _, rest = path.partition("/")
    folder = environ.get("HOME") if base == "~" else environ.get(base.removeprefix("$"))
    return Path(folder) / rest if folder else None


def _content(file: Path) -> bytes | None:
    """None where no regular file can be read: a pipe would be waited for."""
    try:
        return file.read_bytes() if stat.S_ISREG(file.stat().st_mode) else None
    except OSError:
        return None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    return found if isinstance(found, dict) else {}


def _member(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any, *names: str) -> str:
    """The first of the members that is a text."""
    for name in names:
        found = value.get(name)
        if isinstance(found, str) and found.strip():
            return found.strip()
    return ""


def _time(value: Any) -> float | None:
    """Seconds since the epoch, from seconds, milliseconds or RFC 3339."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value / 1000 if value > _MILLISECONDS else float(value)
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _jwt_expiry(token: str) -> float | None:
    """``exp`` of a JSON Web Token (RFC 7519, 4.1.4), which is not checked otherwise."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return _time(claims.get("exp"))


def _claude_settings(content: bytes) -> Iterator[Stored]:
    yield Stored(
        "anthropic", "api_key", _text(_object(content), "primaryApiKey", "apiKey", "anthropicApiKey", "customApiKey")
    )


def _claude_login(content: bytes) -> Iterator[Stored]:
    login = _member(_object(content), "claudeAiOauth")
    renewable = bool(_text(login, "refreshToken"))
    yield Stored("anthropic", "oauth", _text(login, "accessToken"), _time(login.get("expiresAt")), renewable)


def _codex(content: bytes) -> Iterator[Stored]:
    document = _object(content)
    yield Stored("openai", "api_key", _text(document, "OPENAI_API_KEY"))
    tokens = _member(document, "tokens")
    token = _text(tokens, "access_token")
    yield Stored("openai", "oauth", token, _jwt_expiry(token), bool(_text(tokens, "refresh_token")))


def _by_provider(content: bytes) -> Iterator[Stored]:
    """Entries by provider, as OpenCode and Pi keep them."""
    document = _object(content)
    for name in document:
        entry, provider = _member(document, name), _PROVIDERS.get(name, name)
        if entry.get("type") == "oauth":
            renewable = bool(_text(entry, "refresh"))
            yield Stored(provider, "oauth", _text(entry, "access"), _time(entry.get("expires")), renewable)
        elif not (key := _text(entry, "key", "apiKey")).startswith("!"):  # Pi runs what follows to get the key
            yield Stored(provider, "api_key", key)


def _amp(content: bytes) -> Iterator[Stored]:
    """Amp's own key is for its maker's server, not for Anthropic's."""
    document = _object(content)
    yield Stored("anthropic", "api_key", _text(document, "anthropicApiKey", "anthropic_api_key"))
    key = _text(document, "apiKey", "api_key")
    yield Stored("anthropic" if key.startswith("sk-ant-") else "amp", "api_key", key)
    yield Stored("amp", "oauth", _text(document, "accessToken", "access_token", "token"))


def _amp_secrets(content: bytes) -> Iterator[Stored]:
    """Keys by server: ``apiKey@URL``."""
    document = _object(content)
    for name in document:
        if name.startswith("apiKey@"):
            yield Stored("amp", "api_key", _text(document, name))


def _oauth_file(provider: str) -> Reader:
    """OAuth's own member names (RFC 6749, 5.1), with the time of expiry as one of several."""

    def read(content: bytes) -> Iterator[Stored]:
        document = _object(content)
        expiry = _time(document.get("expiry_date", document.get("expires_at")))
        renewable = bool(_text(document, "refresh_token"))
        yield Stored(provider, "oauth", _text(document, "access_token"), expiry, renewable)

    return read


def _dotenv(provider: str, variable: str) -> Reader:
    def read(content: bytes) -> Iterator[Stored]:
        for line in content.decode(errors="replace").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and name.strip() == variable:
                yield Stored(provider, "api_key", value.strip().strip("'\""))

    return read


def _only(*providers: str) -> frozenset[str]:
    return frozenset(providers)


LOGINS = (
    Login("claude-code", ("$CLAUDE_CONFIG_DIR/.claude.json", "~/.claude.json"), _claude_settings, _only("anthropic")),
    Login(
        "claude-code",
        ("$CLAUDE_CONFIG_DIR/.credentials.json", "~/.claude/.credentials.json", "~/.claude-oauth-credentials.json"),
        _claude_login,
        _only("anthropic"),
    ),
    Login("codex", ("$CODEX_HOME/auth.json", "~/.codex/auth.json"), _codex, _only("openai")),
    Login("opencode", ("$XDG_DATA_HOME/opencode/auth.json", "~/.local/share/opencode/auth.json"), _by_provider),
    Login("amp", ("~/.amp/config.json",), _amp, _only("anthropic", "amp")),
    Login(
        "amp",
        ("$XDG_DATA_HOME/amp/secrets.json", "~/.local/share/amp/secrets.json"),
        _amp_secrets,
        _only("amp"),
    ),
    Login("pi", ("$PI_CODING_AGENT_DIR/auth.json", "~/.pi/agent/auth.json"), _by_provider),
    Login("gemini", ("~/.gemini/oauth_creds.json",), _oauth_file("google"), _only("google")),
    Login("qwen", ("~/.qwen/oauth_creds.json",), _oauth_file("qwen"), _only("qwen")),
    Login("kimi", ("~/.kimi/credentials/kimi-code.json",), _oauth_file("kimi"), _only("kimi")),
    Login("vibe", ("~/.vibe/.env",), _dotenv("mistral", "MISTRAL_API_KEY"), _only("mistral")),
)
"""In the order in which they are asked, after the environment."""

FOLDERS = ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_DATA_HOME", "PI_CODING_AGENT_DIR")
"""Variables that move these files away from the home folder."""

_SETTINGS = {"codex": ("$CODEX_HOME/config.toml", "~/.codex/config.toml")}


def configured(agent: str, environ: Mapping[str, str], *, login: bool) -> bool:
    """Whether the user chose a provider for an agent in its own settings, or, with ``login``, logged in to one."""
    if login and any(found.stored(environ) for found in LOGINS if found.source == agent):
        return True
    for path in _SETTINGS.get(agent, ()):
        file = expand(path, environ)
        content = _content(file) if file is not None else None
        if content is not None:
            try:
                return "model_provider" in tomllib.loads(content.decode())
            except ValueError:
                return True  # whatever it says, it is not for us to overrule
    return False
