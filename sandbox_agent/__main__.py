"""`python -m sandbox_agent`."""

from __future__ import annotations

import sys

from sandbox_agent.cli import main

sys.exit(main())
