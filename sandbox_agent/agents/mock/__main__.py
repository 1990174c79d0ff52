"""Start the mock agent: ``python -I -S -E .../sandbox_agent/agents/mock/__main__.py [FAULT...]``.

The flags leave out the site packages and the environment of Python, which makes the start twice as fast. They also
leave this folder off the path, so it is put there here; nothing outside this package and the standard library is used.
A fork server has executed this file before there is anything to start.
"""

from __future__ import annotations

import sys

_parent, _, _name = __file__.rpartition("/")[0].rpartition("/")
sys.path.insert(0, _parent)
main = __import__(f"{_name}.agent", fromlist=["main"]).main

if __name__ == "__main__":
    main()
