"""What both SDKs' objects know without asking."""

from __future__ import annotations

import msgspec
import pytest

from sandbox_agent.client.base import SessionBase
from sandbox_agent.client.errors import ContentNotSupported

from .test_results import SESSION

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_session_holds_prompts_against_what_its_agent_takes() -> None:
    """Before anything is sent; an agent that said nothing yet is not second-guessed."""
    deaf = msgspec.structs.replace(SESSION, agent_capabilities={"promptCapabilities": {}})
    with pytest.raises(ContentNotSupported):
        SessionBase(deaf, local=True)._content(["look", PNG])
    assert SessionBase(SESSION, local=True)._content(["look", PNG])[1]["type"] == "image"  # type: ignore[index]


def test_a_session_shows_what_it_is() -> None:
    shown = SessionBase(SESSION, local=True)
    assert (shown.id, shown.agent, shown.cwd, shown.state) == ("s", "mock", "/x", "idle")
    assert repr(shown).startswith("<SessionBase s mock idle")
