"""Start the Amp adapter: ``python -I -S -E .../sandbox_agent/agents/amp/__main__.py``.

It stands on the standard library alone, so the packages around it are entered without running their own code, which
needs more than that.
"""

from __future__ import annotations

import sys


def _main() -> None:
    agents = __file__.rpartition("/")[0].rpartition("/")[0]
    for name, folder in (("sandbox_agent", agents.rpartition("/")[0]), ("sandbox_agent.agents", agents)):
        package = type(sys)(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    __import__("sandbox_agent.agents.amp.agent", fromlist=["main"]).main()


if __name__ == "__main__":
    _main()
