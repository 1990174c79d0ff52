"""Prompts that end in a question mark.

IPython takes any line that ends in ``?`` for a request for help, magics included: ``%agent prompt why is it slow?``
would look up an object named ``slow``. This rewrites such lines before IPython reads them.
"""

from __future__ import annotations

import re

_QUESTION = re.compile(r"^(?P<indent>\s*)%agent\s+(?P<rest>\S.*\?)\s*$")


def keep_questions(lines: list[str]) -> list[str]:
    """An input transformer (IPython's ``input_transformers_cleanup``); other lines and cell magics stay as they are."""
    if lines and lines[0].startswith("%%"):
        return lines
    return [_rewritten(line) for line in lines]


def _rewritten(line: str) -> str:
    match = _QUESTION.match(line)
    if match is None:
        return line
    return f"{match['indent']}get_ipython().run_line_magic('agent', {match['rest']!r})\n"
