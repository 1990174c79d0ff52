"""What the transcript makes of every recording of a real agent, kept to be compared and read.

``python -m tests.sessions.test_snapshots`` writes the files anew; what changed in them is to be read before it is kept.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox_agent.sessions.transcript import Fold

from ..support.outline import outline
from ..support.recordings import AGENT, raw, session
from ..support.shared import RECORDINGS

if TYPE_CHECKING:
    from sandbox_agent.wire.transcript import Transcript

FOLDER = Path(__file__).parent / "snapshots"
AGENTS = {agent: list(names) for agent, names in itertools.groupby(RECORDINGS, lambda name: name.partition("/")[0])}


def folded(name: str, *, notes: bool = True) -> Transcript:
    fold = Fold("s", name.partition("/")[0])
    for entry in session(name) if notes else raw(name):
        fold.apply(*entry)
    return fold.snapshot()


def snapshot(agent: str) -> str:
    """All of an agent's recordings, one after another."""
    lines = [line for name in AGENTS[agent] for line in (f"== {name}", *outline(folded(name)), "")]
    return "\n".join(lines)


@pytest.mark.parametrize("agent", AGENTS)
def test_transcripts_are_as_they_were_reviewed(agent: str) -> None:
    """A change in how an agent's ways are understood shows here, in the words of the change."""
    assert snapshot(agent).splitlines() == (FOLDER / f"{agent}.txt").read_text().splitlines()


def test_no_snapshot_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(AGENTS)


@pytest.mark.parametrize("name", RECORDINGS)
def test_nothing_that_an_agent_told_is_lost(name: str) -> None:
    """Each text it said is in some item, and each call it told of is one."""
    kept = msgspec.json.encode(folded(name, notes=False).items).decode()
    for entry in raw(name):
        message = json.loads(entry.payload)
        if entry.sender != AGENT or message.get("method") != "session/update":
            continue
        update: dict[str, Any] = message["params"]["update"]
        kind, content = update["sessionUpdate"], update.get("content")
        if kind in {"agent_message_chunk", "agent_thought_chunk"} and isinstance(content, dict):
            for line in filter(None, map(str.strip, content.get("text", "").removeprefix("**Warning:**").splitlines())):
                assert msgspec.json.encode(line).decode()[1:-1] in kept, line
        if kind in {"tool_call", "tool_call_update"}:
            assert msgspec.json.encode(update["toolCallId"]).decode() in kept


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for agent in AGENTS:
        (FOLDER / f"{agent}.txt").write_text(snapshot(agent))


if __name__ == "__main__":
    write()
