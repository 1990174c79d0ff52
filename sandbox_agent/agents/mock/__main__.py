"""Start the mock agent: ``python -I -S -E .../sandbox_agent/agents/mock/__main__.py [FAULT...]``.

The flags leave out the site packages and the environment of Python, which makes the start twice as fast. They also
leave this folder off the path, so it is put there here; nothing outside this package and the standard library is used.
"""

from __future__ import annotations

import sys


def _main() -> None:
    package = __file__.rpartition("/")[0]
    parent, _, name = package.rpartition("/")
    sys.path.insert(0, parent)
    __import__(f"{name}.agent", fromlist=["main"]).main()


if __name__ == "__main__":
    _main()
