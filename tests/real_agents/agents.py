"""The real agents: how each is pointed at the stub and kept from calling home, and what each cannot do."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Scenario: TypeAlias = Literal[
    "permissions", "mcp", "pictures", "models", "restores at once", "gives up on 429", "goes on after 401"
]


@dataclass(frozen=True)
class RealAgent:
    """``settings`` writes an agent's files below a home, and gives the environment of its sessions.

    ``mode`` is the one in which it asks before it acts; ``model`` is another one than it starts with, and what its
    provider is then asked for. ``cannot`` says why a scenario goes another way with this agent: its test shows how.
    """

    name: str
    settings: Callable[[Path, str], Mapping[str, str]]
    mode: str | None = None
    model: tuple[str, str] = ("", "")
    cannot: Mapping[Scenario, str] = field(default_factory=dict)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def _on(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "1")


def claude(home: Path, url: str) -> Mapping[str, str]:
    """Claude Code takes all from its environment."""
    address = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "x", "CLAUDE_CODE_MAX_RETRIES": "1"}
    quiet = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_ERROR_REPORTING")
    return {**address, **_on(*quiet, "DISABLE_TELEMETRY", "IS_SANDBOX"), "ENABLE_TOOL_SEARCH": "false"}


def codex(home: Path, url: str) -> Mapping[str, str]:
    """Codex takes a provider from a file, and runs no program of a home below the folder for temporary files."""
    _write(
        home / ".codex" / "config.toml",
        f"""
model = "gpt-5.5"
model_provider = "stub"
[model_providers.stub]
name = "Stub"
base_url = "{url}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = false
request_max_retries = 1
stream_max_retries = 1
[analytics]
enabled = false
""",
    )
    (home / "tmp").mkdir(exist_ok=True)
    return {"CODEX_HOME": str(home / ".codex"), "OPENAI_API_KEY": "x", "TMPDIR": str(home / "tmp")}


def opencode(home: Path, url: str) -> Mapping[str, str]:
    """OpenCode reads its provider from a file, and asks only where it is told to."""
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    sees = {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}
    models = {"stub-model": {"name": "Stub", **sees}, "stub-mini": {"name": "Mini"}}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}
    config = {
        "model": "stub/stub-model",
        "small_model": "stub/stub-model",
        "provider": {"stub": provider},
        "permission": {"edit": "ask", "bash": "ask"},
    }
    _write(home / "config" / "opencode" / "opencode.json", config)
    return _on("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD")


def pi(home: Path, url: str) -> Mapping[str, str]:
    models = [
        {"id": name, "name": name, "contextWindow": 200_000, "maxTokens": 8_000} for name in ("stub-model", "stub-mini")
    ]
    provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "x", "models": models}
    _write(home / ".pi" / "agent" / "models.json", {"providers": {"stub": provider}})
    retry = {"enabled": True, "maxRetries": 2, "baseDelayMs": 100}
    settings = {"defaultProvider": "stub", "defaultModel": "stub-model", "retry": retry}
    _write(home / ".pi" / "agent" / "settings.json", settings)
    return _on("PI_OFFLINE")


def gemini(home: Path, url: str) -> Mapping[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "model": {"name": "gemini-2.5-pro"},
        "general": {"disableAutoUpdate": True, "maxAttempts": 2},
        "privacy": {"usageStatisticsEnabled": False},
    }
    _write(home / ".gemini" / "settings.json", settings)
    trust = {"GEMINI_CLI_NO_RELAUNCH": "true", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "x", **trust}


def qwen(home: Path, url: str) -> Mapping[str, str]:
    models = [
        {"id": name, "name": name, "baseUrl": f"{url}/v1", "envKey": "OPENAI_API_KEY"}
        for name in ("stub-model", "stub-mini")
    ]
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "modelProviders": {"openai": models},
        "model": {"name": "stub-model", "generationConfig": {"maxRetries": 1}},
        "general": {"disableAutoUpdate": True},
        "privacy": {"usageStatisticsEnabled": False},
    }
    _write(home / ".qwen" / "settings.json", settings)
    return {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "x", "OPENAI_MODEL": "stub-model"}


def copilot(home: Path, url: str) -> Mapping[str, str]:
    provider = {"BASE_URL": f"{url}/v1", "TYPE": "openai", "API_KEY": "x"}
    asked = {f"COPILOT_PROVIDER_{name}": value for name, value in provider.items()}
    return {"COPILOT_OFFLINE": "true", "COPILOT_MODEL": "gpt-5.2", **asked}


def kimi(home: Path, url: str) -> Mapping[str, str]:
    """Kimi wants a stored login whatever its provider is."""
    models = "".join(
        f'[models.{name}]\nprovider = "stub"\nmodel = "{name}"\nmax_context_size = 200000\n'
        'capabilities = ["image_in"]\n'
        for name in ("stub-model", "stub-mini")
    )
    provider = f'[providers.stub]\ntype = "openai_legacy"\nbase_url = "{url}/v1"\napi_key = "x"\n'
    _write(home / ".kimi" / "config.toml", f'default_model = "stub-model"\n{models}{provider}')
    token = {"access_token": "x", "refresh_token": "x", "expires_at": 4e9, "scope": "", "token_type": "Bearer"}
    _write(home / ".kimi" / "credentials" / "kimi-code.json", token)
    return {}


def vibe(home: Path, url: str) -> Mapping[str, str]:
    models = "".join(
        f'[[models]]\nname = "{name}"\nprovider = "stub"\nalias = "{name}"\n' for name in ("stub-model", "stub-mini")
    )
    provider = f'[[providers]]\nname = "stub"\napi_base = "{url}/v1"\napi_key_env_var = "STUB_KEY"\n'
    quiet = "enable_telemetry = false\nenable_update_checks = false\napi_retry_max_elapsed_time = 1.0\n"
    _write(home / ".vibe" / "config.toml", f'active_model = "stub-model"\n{quiet}{provider}{models}')
    return {"STUB_KEY": "x"}


DEFAULT = (
    RealAgent("claude", claude, mode="default", model=("haiku", "haiku")),
    RealAgent("codex", codex, mode="read-only", model=("gpt-5.6-luna", "gpt-5.6-luna")),
    RealAgent("opencode", opencode, model=("stub/stub-mini", "stub-mini")),
)
MORE = (
    RealAgent(
        "pi",
        pi,
        model=("stub/stub-mini", "stub-mini"),
        cannot={
            "permissions": "pi never asks: it does what its model wants",
            "mcp": "pi uses no MCP servers",
        },
    ),
    RealAgent(
        "gemini",
        gemini,
        mode="default",
        model=("gemini-3-flash-preview", "gemini-3-flash-preview"),
        cannot={"restores at once": "gemini loses a session that is loaded in the minute in which it was made"},
    ),
    RealAgent(
        "qwen",
        qwen,
        mode="default",
        model=("stub-mini(openai)", "stub-mini"),
        cannot={
            "gives up on 429": "qwen asks again for minutes when it is told to slow down",
            "pictures": "qwen shows a model it does not know no pictures of tools",
        },
    ),
    RealAgent(
        "copilot",
        copilot,
        cannot={
            "models": "copilot offers no models where it is given a provider",
            "mcp": "copilot starts no MCP servers while it is offline",
        },
    ),
    RealAgent("kimi", kimi, model=("stub-mini", "stub-mini")),
    RealAgent(
        "vibe",
        vibe,
        mode="ask",
        model=("stub-mini", "stub-mini"),
        cannot={
            "mcp": "vibe has its model call a server's tools from programs it writes, and offers none of them",
            "goes on after 401": "vibe uses a key no more that was refused, until it is another one",
        },
    ),
)


def chosen() -> tuple[RealAgent, ...]:
    """The agents to test: SANDBOX_AGENT_TEST_AGENTS names some, or is ``all``; else those that CI has time for."""
    wanted = os.environ.get("SANDBOX_AGENT_TEST_AGENTS", "")
    names = wanted.replace(",", " ").split()
    return tuple(agent for agent in DEFAULT + MORE if wanted == "all" or agent.name in names) if names else DEFAULT
