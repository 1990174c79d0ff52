"""`%agent` in IPython on a terminal, where what is shown cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from ..support.server import environment

if TYPE_CHECKING:
    from pathlib import Path

    from ..support.server import Server


def ipython(home: Path, *lines: str, **environ: str) -> str:
    """What IPython prints when these lines are typed."""
    flags = ["--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
    run = subprocess.run(
        [sys.executable, "-m", "IPython", *flags],
        input="\n".join(["%load_ext sandbox_agent", *lines, ""]),
        cwd=home,
        env=environment(home, {"IPYTHONDIR": str(home / "ipython")} | environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_turn_is_printed_as_it_goes_each_part_once(tmp_path: Path) -> None:
    """Text that streams, a command that asks in between and is allowed there, and how the turn ended, in order."""
    steps = "[[tick count=5 every=0.15]] [[bash echo hel''lo]] [[say all done]]"
    printed = ipython(tmp_path, "%agent new mock", f"%agent prompt {steps}", "y")
    parts = ["0 1 2 3 4", "Allow: echo hel''lo?", "    hello\n", "all done\n", "✓ completed"]
    assert [printed.count(part) for part in parts] == [1] * len(parts)
    assert sorted(parts, key=printed.index) == parts


def test_a_transcript_in_markdown_is_readable_there(tmp_path: Path) -> None:
    printed = ipython(tmp_path, "%agent new mock", "%agent prompt [[say hello]]", "%agent transcript --format md")
    assert "**You**\n\n> [[say hello]]" in printed


def test_the_next_kernel_takes_up_where_the_last_one_was(running_server: Server, tmp_path: Path) -> None:
    """It has no session of its own; what to do is said, and one word takes up the newest."""
    there = {"SANDBOX_AGENT_URL": running_server.url}
    nothing = ipython(tmp_path, "%agent use", **there)
    assert "no session in use here. Make one" in nothing
    ipython(tmp_path, "%agent new mock --title Lasting", "%agent prompt [[say from before]]", **there)
    again = ipython(tmp_path, "%agent status", "%agent use", "%agent transcript", **there)
    assert "Take up the newest (Lasting): %agent use." in again
    assert "from before" in again
