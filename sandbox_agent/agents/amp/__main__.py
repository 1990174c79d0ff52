"""Start the Amp adapter: ``python -I -S -E .../sandbox_agent/agents/amp/__main__.py``.

It stands on the standard library alone, so the packages around it are entered without running their own code, which
needs more than that. A fork server has executed this file before there is anything to start.
"""

from __future__ import annotations

import sys

_agents = __file__.rpartition("/")[0].rpartition("/")[0]
for _name, _folder in (("sandbox_agent", _agents.rpartition("/")[0]), ("sandbox_agent.agents", _agents)):
    _package = type(sys)(_name)
    _package.__path__ = [_folder]
    sys.modules[_name] = _package
main = __import__("sandbox_agent.agents.amp.agent", fromlist=["main"]).main

if __name__ == "__main__":
    main()
