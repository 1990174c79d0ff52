"""What lies beside the checkout: the public contract, and recorded conversations of real agents."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("SANDBOX_AGENT_SHARED") or Path(__file__).parents[3] / "shared")

RECORDINGS = sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("recordings/*/*.jsonl"))
"""Their names, as `claude/text`."""


def shared(path: str) -> Path:
    """A file of that folder. A test that needs it fails where it is not: what is not run proves nothing."""
    found = FOLDER / path
    assert found.exists(), f"{found} is missing: put `shared` beside the checkout, or name it in SANDBOX_AGENT_SHARED"
    return found


def recording(name: str) -> Path:
    return shared(f"recordings/{name}.jsonl")
