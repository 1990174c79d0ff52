"""What happens to sessions, as events of Jupyter Server's event system."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_events import EventLogger

BASE = "urn:sandbox-agent:events"
VERSION = "v1"
KINDS = ("session_created", "turn_started", "turn_ended", "permission_asked", "permission_resolved")


def schema_id(kind: str) -> str:
    """The id of the schema of one kind of event."""
    return f"{BASE}:{kind}:{VERSION}"


def register(logger: EventLogger) -> None:
    """Make the kinds known."""
    folder = resources.files("sandbox_agent_jupyter") / "schemas"
    for kind in KINDS:
        if schema_id(kind) not in logger.schemas:
            logger.register_event_schema((folder / kind / f"{VERSION}.yaml").read_text())


def emit(logger: EventLogger, kind: str, data: dict[str, Any]) -> None:
    """Tell of one event. Kinds that have no schema are not told."""
    if kind in KINDS:
        logger.emit(schema_id=schema_id(kind), data={key: value for key, value in data.items() if value is not None})
