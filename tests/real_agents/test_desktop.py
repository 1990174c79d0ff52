"""A real agent uses the desktop: its model sees a screenshot, and clicks on what it sees in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.desktop.tools import LONGEST_SIDE

from ..support.desktop import some_display
from ..support.viewer import painted
from .agents import chosen
from .lab import Lab
from .model_stub import serving

if TYPE_CHECKING:
    from pathlib import Path

    from .agents import RealAgent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WIDE = 1600
"""Pixels; screenshots for models are narrower, so their pixels are not the screen's."""


@pytest.mark.parametrize("agent", chosen(), ids=lambda agent: agent.name)
def test_what_the_model_sees_is_clicked(agent: RealAgent, tmp_path: Path) -> None:
    """The click is in the pixels of the scaled screenshot, and a real program gets it where it shows what was meant."""
    with serving() as stub, (lab := Lab.build(agent, tmp_path, stub)).server() as (_, client):
        body = {"displayNum": some_display(), "width": WIDE, "height": 1000}
        assert client.post("/v1/desktop/start", json=body).json()["state"] == "active"
        with painted(client, tmp_path) as program:
            session = lab.session(client, desktop=True)
            if "mcp" in agent.cannot:
                assert [server["name"] for server in session.get()["mcp"]] == ["desktop"]
                return
            assert {"name": "desktop", "status": "offered", "origin": "session"} in session.get()["mcp"]
            running = session.prompt("point", wait=0)
            assert session.finish(running, "once")["state"] == "completed"
            if "pictures" in agent.cannot:
                assert f"{LONGEST_SIDE}x800 pixels" in session.said()
                return
            assert "done" in session.said().partition("done: ")[2], session.said()
            (click,) = program.told("ButtonPress")
            middle = program.square
            assert (click["x"], click["y"]) == (pytest.approx(middle[0], abs=2), pytest.approx(middle[1], abs=2))
