"""The verbs with which the mock agent says something."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .script import Step
    from .turn import Turn

# A PNG of one orange pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4P5MBAAPXAZ2BL2bTAAAAAElFTkSuQmCC"
THOUGHTS = ("Let me see what is asked.", "It can be answered at once.", "No tool is needed for that.")


def say(turn: Turn, step: Step) -> None:
    turn.say(step.text())


def think(turn: Turn, step: Step) -> None:
    turn.say(step.text(), "agent_thought_chunk")


def plan(turn: Turn, step: Step) -> None:
    """``a|b|c``; an entry that starts with ``x`` and a space is done, with ``>`` and a space in progress."""
    turn.tell({"sessionUpdate": "plan", "entries": [_entry(text.strip()) for text in step.text().split("|")]})


def _entry(text: str) -> dict[str, str]:
    marks = {"x ": "completed", "> ": "in_progress"}
    status = marks.get(text[:2], "pending")
    return {"content": text if status == "pending" else text[2:].strip(), "priority": "medium", "status": status}


def image(turn: Turn, _step: Step) -> None:
    content = {"type": "image", "mimeType": "image/png", "data": PIXEL}
    turn.tell({"sessionUpdate": "agent_message_chunk", "content": content})


def usage(turn: Turn, step: Step) -> None:
    numbers = {name: int(value) for name, value in step.fields().items()}
    cost = {"amount": 0.01, "currency": "USD"}
    turn.update({"sessionUpdate": "usage_update", "used": 1000, "size": 200_000} | numbers | {"cost": cost})


def mode(turn: Turn, step: Step) -> None:
    for update in turn.session.choose("mode", step.text()):
        turn.update(update)


def title(turn: Turn, step: Step) -> None:
    turn.update(turn.session.rename(step.text()))


def commands(turn: Turn, _step: Step) -> None:
    turn.update(turn.session.commands())


def unknown(turn: Turn, step: Step) -> None:
    """An update of a kind no client knows."""
    turn.tell({"sessionUpdate": "hologram_update", "hologram": {"text": step.text(), "depth": [1, 2.5, None]}})


def recall(turn: Turn, _step: Step) -> None:
    """What was asked in this session before, in this process or an earlier one."""
    earlier = turn.session.prompts()[: turn.number - 1]
    turn.say("\n".join([f"I remember {len(earlier)} earlier prompts.", *(f"- {text}" for text in earlier)]))


def env(turn: Turn, step: Step) -> None:
    """A variable of our environment, or the names of all."""
    name = step.text()
    turn.say(f"{name}={os.environ.get(name, '')}" if name else " ".join(sorted(os.environ)))


def demo(turn: Turn, step: Step) -> None:
    """What a prompt without steps gets: thoughts (as many as the thought level asks for), a plan, an answer."""
    asked = " ".join(step.rest.split())
    levels = ("low", "medium", "high")
    for thought in THOUGHTS[: levels.index(turn.session.chosen["thought_level"]) + 1]:
        turn.say(thought, "agent_thought_chunk")
    entries = ["Read the question", "Answer it"]
    for done in range(len(entries) + 1):
        states = ["completed"] * done + ["in_progress"] + ["pending"] * len(entries)
        pairs = zip(entries, states, strict=False)
        turn.tell(
            {
                "sessionUpdate": "plan",
                "entries": [{"content": text, "priority": "medium", "status": state} for text, state in pairs],
            }
        )
    if turn.session.chosen["mode"] == "plan":
        turn.say("This is the plan; nothing was done.")
        return
    turn.say(
        f"You said: {asked}\n\nI am the mock agent: I answer without a model, the same every time. "
        "Write steps in double brackets and I follow them, for example [[bash echo hello]]."
    )


VERBS: dict[str, Callable[[Turn, Step], Any]] = {
    verb.__name__: verb for verb in (say, think, plan, image, usage, mode, title, commands, unknown, recall, env, demo)
}
