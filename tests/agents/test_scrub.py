"""Keys in texts that people paste: taken out whether anybody knows them or not."""

from __future__ import annotations

import pytest

from sandbox_agent.agents.scrub import MASK, scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "401 for sk-ant-api03-AbCdEfGhIjKlMnOp",
        "hf_abcdefghijklmnopqrstuvwxyz0123 is no good",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
        "ANTHROPIC_API_KEY=abcd1234efgh sandbox-agent server",
        "client = Client(api_key='hello-world-1')",
        '{"primaryApiKey": "abc123def456"}',
        "Authorization: Bearer abcdefghijk",
        "> x-api-key: 01234abcde",
        "postgres://me:hunter2hunter@db/x",
    ],
)
def test_what_looks_like_a_key_is_taken_out(text: str) -> None:
    """By its form, or by what stands before it."""
    done = scrubbed(text, ())
    assert MASK in done
    assert not any(part in done for part in ("AbCd", "abcd", "IOSF", "eyJ", "hello", "abc1", "01234", "hunter2"))


@pytest.mark.parametrize(
    "text",
    [
        'token=os.environ["X_TOKEN"]',
        "export OPENAI_API_KEY=$OTHER_KEY_HERE",
        "no key or login for Google found: set GEMINI_API_KEY",
        "max_tokens: 40000000",
        "http://127.0.0.1:12345678/x",
        "npm-registry-fetch-something-long",
        "the token: undefined",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert scrubbed(text, ()) == text


def test_known_values_go_the_longest_first() -> None:
    """So that of one that begins like another nothing is left; what is too short to be one stays."""
    assert scrubbed("a secret-one-two and secret-one, x", ["secret-one", "secret-one-two", "x"]) == (
        f"a {MASK} and {MASK}, x"
    )
