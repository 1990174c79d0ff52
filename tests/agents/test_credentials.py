"""Finding keys and logins in made-up homes and environments, as agents leave them."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox_agent.agents import credentials
from sandbox_agent.agents.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SPECS, PROVIDERS = load()
FREE = {"pi", "cursor", "mock"}
NEEDY = {"claude", "codex", "opencode", "amp"}
FUTURE_MS, PAST_MS = 4_102_444_800_000, 1_500_000_000_000


def write(home: Path, name: str, content: Any) -> None:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def found(
    home: Path, environ: Mapping[str, str] | None = None, *, oauth: bool = True
) -> dict[str, tuple[str, str, str]]:
    """Source, kind and value of what is best for each provider."""
    best = credentials.best(credentials.find(PROVIDERS, {"HOME": str(home), **(environ or {})}), oauth=oauth)
    return {name: (one.source, one.auth_type, one.value) for name, one in best.items()}


def with_credentials(environ: Mapping[str, str]) -> set[str]:
    return {name for name, spec in SPECS.items() if credentials.available(spec, PROVIDERS, environ)}


def jwt(exp: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


@pytest.mark.parametrize(
    ("environ", "provider", "kind"),
    [
        ({"ANTHROPIC_API_KEY": "x"}, "anthropic", "api_key"),
        ({"CLAUDE_API_KEY": "x", "ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic", "api_key"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "x", "ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic", "oauth"),
        ({"ANTHROPIC_AUTH_TOKEN": "x"}, "anthropic", "oauth"),
        ({"OPENAI_API_KEY": "x", "CODEX_API_KEY": "y"}, "openai", "api_key"),
        ({"CODEX_API_KEY": "x", "OPENAI_API_KEY": " "}, "openai", "api_key"),
        ({"GEMINI_API_KEY": "x"}, "google", "api_key"),
    ],
)
def test_the_environment_comes_first(tmp_path: Path, environ: dict[str, str], provider: str, kind: str) -> None:
    """Before any file; a key before a token; a variable that is blank is none."""
    write(tmp_path, ".claude.json", {"primaryApiKey": "file"})
    write(tmp_path, ".codex/auth.json", {"OPENAI_API_KEY": "file"})
    assert found(tmp_path, environ)[provider] == ("environment", kind, "x")


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (".claude.json", {"primaryApiKey": "k"}, {"anthropic": ("claude-code", "api_key", "k")}),
        (".claude.json", {"apiKey": "k", "numStartups": 3}, {"anthropic": ("claude-code", "api_key", "k")}),
        (
            ".claude/.credentials.json",
            {"claudeAiOauth": {"accessToken": "t", "refreshToken": "r", "expiresAt": FUTURE_MS}},
            {"anthropic": ("claude-code", "oauth", "t")},
        ),
        (".codex/auth.json", {"OPENAI_API_KEY": "k"}, {"openai": ("codex", "api_key", "k")}),
        (
            ".codex/auth.json",
            {"OPENAI_API_KEY": None, "tokens": {"access_token": "t"}},
            {"openai": ("codex", "oauth", "t")},
        ),
        (
            ".local/share/opencode/auth.json",
            {
                "anthropic": {"type": "api", "key": "k"},
                "openai": {"type": "oauth", "access": "t", "expires": FUTURE_MS},
                "openrouter": {"type": "api", "key": "o"},
            },
            {
                "anthropic": ("opencode", "api_key", "k"),
                "openai": ("opencode", "oauth", "t"),
                "openrouter": ("opencode", "api_key", "o"),
            },
        ),
        (
            ".amp/config.json",
            {"anthropicApiKey": "k", "apiKey": "sgamp_1"},
            {"anthropic": ("amp", "api_key", "k"), "amp": ("amp", "api_key", "sgamp_1")},
        ),
        (".amp/config.json", {"api_key": "sk-ant-1"}, {"anthropic": ("amp", "api_key", "sk-ant-1")}),
        (".local/share/amp/secrets.json", {"apiKey@https://amp.example/": "k"}, {"amp": ("amp", "api_key", "k")}),
        (
            ".pi/agent/auth.json",
            {"openai-codex": {"type": "oauth", "access": "t", "expires": FUTURE_MS}, "x": {"key": "!op read it"}},
            {"openai": ("pi", "oauth", "t")},
        ),
        (
            ".gemini/oauth_creds.json",
            {"access_token": "t", "expiry_date": FUTURE_MS},
            {"google": ("gemini", "oauth", "t")},
        ),
        (".vibe/.env", "# mine\nMISTRAL_API_KEY='k'\n", {"mistral": ("vibe", "api_key", "k")}),
    ],
)
def test_agents_files_are_read(
    tmp_path: Path, file: str, content: Any, expected: dict[str, tuple[str, str, str]]
) -> None:
    """Each in the form in which its agent writes it."""
    write(tmp_path, file, content)
    assert found(tmp_path) == expected


@pytest.mark.parametrize("when", [PAST_MS, PAST_MS // 1000, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00"])
def test_expired_logins_are_passed_over(tmp_path: Path, when: float | str) -> None:
    """Whatever form the time has; the next source answers then."""
    write(tmp_path, ".claude/.credentials.json", {"claudeAiOauth": {"accessToken": "t", "expiresAt": when}})
    assert found(tmp_path) == {}
    assert with_credentials({"HOME": str(tmp_path)}) & (FREE | NEEDY) == FREE
    write(tmp_path, ".local/share/opencode/auth.json", {"anthropic": {"type": "api", "key": "k"}})
    assert found(tmp_path)["anthropic"] == ("opencode", "api_key", "k")


def test_the_expiry_of_a_codex_login_is_in_its_token(tmp_path: Path) -> None:
    """The access token is a JSON Web Token; one that is none is taken as it is."""
    write(tmp_path, ".codex/auth.json", {"tokens": {"access_token": jwt(PAST_MS // 1000)}})
    assert found(tmp_path) == {}
    for token in (jwt(FUTURE_MS // 1000), "a.%%%.c", "a.bm90IGpzb24.c"):
        write(tmp_path, ".codex/auth.json", {"tokens": {"access_token": token}})
        assert found(tmp_path)["openai"][2] == token


def test_an_expired_login_that_its_agent_renews_counts_as_one(tmp_path: Path) -> None:
    """The agent is usable, though the token is of no use to anybody else."""
    login = {"accessToken": "t", "refreshToken": "r", "expiresAt": PAST_MS}
    write(tmp_path, ".claude/.credentials.json", {"claudeAiOauth": login})
    assert found(tmp_path) == {}
    assert "claude" in with_credentials({"HOME": str(tmp_path)})


def test_logins_can_be_left_out(tmp_path: Path) -> None:
    """Keys alone: the next one after a login is taken."""
    write(tmp_path, ".local/share/opencode/auth.json", {"anthropic": {"type": "api", "key": "k"}})
    assert found(tmp_path, {"CLAUDE_CODE_OAUTH_TOKEN": "t"}, oauth=False) == {"anthropic": ("opencode", "api_key", "k")}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "\x00\xff",
        '{"claudeAiOauth": 1, "tokens": [], "anthropic": "x"}',
        "[" * 10_000,
        '{"primaryApiKey": {"a": 1}, "OPENAI_API_KEY": 5, "apiKey": [], "openai": {"key": null}, "access_token": {}}',
    ],
)
def test_malformed_files_are_passed_over(tmp_path: Path, content: str) -> None:
    """They are somebody else's, who will tell; nothing is raised, nothing found."""
    for name in (
        ".claude.json",
        ".claude/.credentials.json",
        ".codex/auth.json",
        ".local/share/opencode/auth.json",
        ".amp/config.json",
        ".pi/agent/auth.json",
        ".gemini/oauth_creds.json",
        ".vibe/.env",
    ):
        write(tmp_path, name, content)
    assert found(tmp_path) == {}


def test_a_file_that_cannot_be_read_holds_nothing(tmp_path: Path) -> None:
    """Neither a folder nor a pipe, which nobody may ever write to, is waited for."""
    (tmp_path / ".claude.json").mkdir()
    (tmp_path / ".codex").mkdir()
    os.mkfifo(tmp_path / ".codex" / "auth.json")
    assert found(tmp_path) == {}


@pytest.mark.parametrize(
    ("variable", "agents"),
    [
        (None, set()),
        ("ANTHROPIC_API_KEY", {"claude", "amp", "opencode"}),
        ("CLAUDE_CODE_OAUTH_TOKEN", {"claude", "amp", "opencode"}),
        ("OPENAI_API_KEY", {"codex", "opencode"}),
    ],
)
def test_availability_follows_the_contract(tmp_path: Path, variable: str | None, agents: set[str]) -> None:
    """Claude and amp need Anthropic, codex OpenAI, opencode either; an empty variable is none."""
    environ = {"HOME": str(tmp_path), "AMP_API_KEY": ""} | ({variable: "x"} if variable else {})
    assert with_credentials(environ) & (NEEDY | FREE) == agents | FREE


@pytest.mark.parametrize(
    ("file", "content", "agents"),
    [
        (".claude.json", {"primaryApiKey": "k"}, {"claude", "amp", "opencode"}),
        (".codex/auth.json", {"OPENAI_API_KEY": "k"}, {"codex", "opencode"}),
        ("elsewhere/auth.json", {"OPENAI_API_KEY": "k"}, {"codex", "opencode"}),
        (".local/share/opencode/auth.json", {"openrouter": {"type": "api", "key": "k"}}, {"opencode"}),
    ],
)
def test_logins_on_disk_count(tmp_path: Path, file: str, content: Any, agents: set[str]) -> None:
    """Where a variable moves an agent's folder, there; and an agent's own file counts whoever's key it holds."""
    write(tmp_path, file, content)
    environ = {"HOME": str(tmp_path), "CODEX_HOME": str(tmp_path / "elsewhere")}
    assert with_credentials(environ) & NEEDY == agents


def test_another_home_is_not_led_away(tmp_path: Path) -> None:
    """Variables that move folders are the user's own, not those of the home that is looked into."""
    write(tmp_path / "own", "auth.json", {"OPENAI_API_KEY": "own"})
    write(tmp_path / "other", ".codex/auth.json", {"OPENAI_API_KEY": "other"})
    environ = credentials.at_home({"CODEX_HOME": str(tmp_path / "own"), "HOME": "/x"}, str(tmp_path / "other"))
    assert credentials.best(credentials.find(PROVIDERS, environ))["openai"].value == "other"


def test_a_credential_is_not_shown_by_accident(tmp_path: Path) -> None:
    """Its value is in no representation, so in no trace and no log."""
    write(tmp_path, ".claude.json", {"primaryApiKey": "sk-ant-hidden-hidden"})
    one = credentials.best(credentials.find(PROVIDERS, {"HOME": str(tmp_path)}))["anthropic"]
    assert "hidden" not in repr(one)
    assert credentials.mask(one.value) == "sk-a...dden"
    assert credentials.mask("short-key") == "****"


def test_a_key_of_ones_own_replaces_all_of_its_provider() -> None:
    """An agent that was given a key must not prefer another one of the server's."""
    assert credentials.replaced({"ANTHROPIC_API_KEY": "x"}, PROVIDERS) == {
        "CLAUDE_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
    }
    assert credentials.replaced({"DEBUG": "1"}, PROVIDERS) == frozenset()


def test_secrets_are_known_by_name_form_or_place() -> None:
    """What only looks like a setting stays readable: taken out everywhere it would spoil every text."""
    environ = {
        "ANTHROPIC_API_KEY": "plain-value-1",
        "DB_PASSWORD": "hunter2hunter2",
        "INNOCENT": "ghp_0123456789abcdef0123",
        "DATABASE_URL": "postgres://me:s3cret-s3cret@db/x",
        "OPENAI_MODEL": "gpt-5.5-some-model",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:4000",
        "MY_TOKEN": "1",
        "PWD": "/home/me/work",
        "OLDPWD": "/home/me/before",
        "XAUTHORITY": "/home/me/.Xauthority",
        "SSH_AUTH_SOCK": "/run/user/1000/agent.7",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "GIT_AUTHOR_NAME": "Ada Lovelace",
        "PATH_SECRET": "/looks/like/a/path",
        "PROXY_AUTHORIZATION": "Basic bWU6bWU=",
    }
    assert credentials.secrets(environ) == {
        "plain-value-1",
        "hunter2hunter2",
        "ghp_0123456789abcdef0123",
        "s3cret-s3cret",
        "/looks/like/a/path",
        "Basic bWU6bWU=",
    }
