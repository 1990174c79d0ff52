"""What agents get to see of the server's environment, and of a session's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox_agent.agents.catalogue import load
from sandbox_agent.agents.environment import environment, gateway, keyed
from sandbox_agent.problems import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

SPECS, PROVIDERS = load()
SERVER = {"ANTHROPIC_API_KEY": "server", "ANTHROPIC_MODEL": "m", "OPENAI_API_KEY": "o", "SANDBOX_AGENT_TOKEN": "t"}


def of(
    agent: str, environ: dict[str, str], env: dict[str, str] | None = None, url: str | None = None
) -> dict[str, str]:
    return environment(SPECS[agent], PROVIDERS, environ, env=env, base_url=url)


def test_a_sessions_own_variables_are_added() -> None:
    """Whatever the agent may inherit; they win over the server's."""
    assert of("claude", SERVER, {"DEBUG": "1", "ANTHROPIC_MODEL": "other"}) == {
        "ANTHROPIC_API_KEY": "server",
        "ANTHROPIC_MODEL": "other",
        "DEBUG": "1",
    }


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_a_sessions_own_key_stands_alone(name: str) -> None:
    """None of the server's keys and tokens for the same provider is beside it."""
    server = SERVER | {"CLAUDE_API_KEY": "c", "ANTHROPIC_AUTH_TOKEN": "a", "CLAUDE_CODE_OAUTH_TOKEN": "l"}
    assert of("claude", server, {name: "mine"}) == {name: "mine", "ANTHROPIC_MODEL": "m"}
    assert of("opencode", server, {name: "mine"})["OPENAI_API_KEY"] == "o"


def test_a_key_known_under_one_agents_name_is_passed_under_the_usual_one() -> None:
    """Claude Code does not read CLAUDE_API_KEY itself; where it has a login, that stands alone."""
    assert of("claude", {"CLAUDE_API_KEY": "c"})["ANTHROPIC_API_KEY"] == "c"
    assert "ANTHROPIC_API_KEY" not in of("claude", {"CLAUDE_API_KEY": "c", "ANTHROPIC_AUTH_TOKEN": "t"})
    assert of("codex", {"CODEX_API_KEY": "c", "OPENAI_API_KEY": "o"})["OPENAI_API_KEY"] == "o"


@pytest.mark.parametrize("url", ["http://127.0.0.1:4000", "http://127.0.0.1:4000/", "http://127.0.0.1:4000/v1"])
def test_a_gateway_is_told_to_each_agent_in_its_own_way(url: str) -> None:
    """With or without the version's path; a session's own variables still win."""
    root = "http://127.0.0.1:4000"
    assert gateway(SPECS["claude"], url) == {"ANTHROPIC_BASE_URL": root}
    assert gateway(SPECS["gemini"], url) == {"GOOGLE_GEMINI_BASE_URL": root}
    assert gateway(SPECS["qwen"], url) == {"OPENAI_BASE_URL": f"{root}/v1"}
    assert gateway(SPECS["copilot"], url) == {"COPILOT_PROVIDER_BASE_URL": f"{root}/v1"}
    config = json.loads(gateway(SPECS["opencode"], url)["OPENCODE_CONFIG_CONTENT"])
    assert config["provider"]["anthropic"]["options"]["baseURL"] == f"{root}/v1"
    config = json.loads(gateway(SPECS["codex"], url)["CODEX_CONFIG"])
    assert config["model_providers"]["gateway"]["base_url"] == f"{root}/v1"
    assert of("claude", {}, {"ANTHROPIC_BASE_URL": "http://mine"}, url) == {"ANTHROPIC_BASE_URL": "http://mine"}


@pytest.mark.parametrize(
    "url", ["", "localhost:4000", "ftp://x", "http://", "http://x/?a=b", 'http://x/"', "http://x/ y", "http://[", "x\n"]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    """It ends in agents' JSON configurations, so nothing that needs escaping there passes."""
    with pytest.raises(InvalidRequest, match="baseUrl"):
        gateway(SPECS["opencode"], url)


def test_an_agent_without_such_a_variable_says_where_to_set_it() -> None:
    """Rather than take a setting that it would ignore."""
    with pytest.raises(InvalidRequest, match="takes no base URL") as refused:
        gateway(SPECS["pi"], "http://x")
    assert "gateways.md" in str(refused.value.hint)


def test_every_template_has_a_place_for_the_address() -> None:
    """One variable of each agent at least."""
    for spec in SPECS.values():
        assert not spec.gateway or any("{url}" in template for template in spec.gateway.values())


def test_the_providers_with_a_key_are_known() -> None:
    assert keyed({"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": " ", "GEMINI_API_KEY": "g"}, PROVIDERS) == {
        "anthropic",
        "google",
    }


def codex(tmp_path: Path, env: dict[str, str]) -> dict[str, str]:
    return of("codex", {"HOME": str(tmp_path)}, env)


def test_codex_is_given_its_key_without_keeping_it(tmp_path: Path) -> None:
    """By its own way to authenticate it would write the key of one session into the user's files, for all to use."""
    assert "api-key" in json.loads(codex(tmp_path, {"OPENAI_API_KEY": "k"})["CODEX_CONFIG"])["model_providers"]
    assert "CODEX_CONFIG" in codex(tmp_path, {"CODEX_API_KEY": "k"})
    assert "CODEX_CONFIG" not in codex(tmp_path, {})
    assert codex(tmp_path, {"OPENAI_API_KEY": "k", "CODEX_CONFIG": "{}"})["CODEX_CONFIG"] == "{}"
    assert "gateway" in of("codex", {"HOME": str(tmp_path)}, {"OPENAI_API_KEY": "k"}, "http://x")["CODEX_CONFIG"]


def test_what_the_user_has_set_up_for_codex_stands(tmp_path: Path) -> None:
    """A login goes before the server's key, not before a session's own; a provider in its settings before all."""
    folder = tmp_path / ".codex"
    folder.mkdir()
    (folder / "auth.json").write_text('{"tokens": {"access_token": "t"}}')
    server = {"HOME": str(tmp_path), "OPENAI_API_KEY": "server"}
    assert "CODEX_CONFIG" not in of("codex", server)
    assert "CODEX_CONFIG" in of("codex", server, {"OPENAI_API_KEY": "mine"})
    for settings in ('model_provider = "azure"', "not TOML ["):
        (folder / "config.toml").write_text(settings)
        assert "CODEX_CONFIG" not in of("codex", server, {"OPENAI_API_KEY": "mine"})
    (folder / "config.toml").write_text('model = "x"')
    assert "CODEX_CONFIG" in of("codex", server, {"OPENAI_API_KEY": "mine"})
