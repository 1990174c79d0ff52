"""The one style sheet of all HTML we leave behind: scoped by a class, without scripts or outside resources.

Colours come from the page where it names them (JupyterLab's ``--jp-*``, then VS Code's ``--vscode-*``); else they are
our own, by ``prefers-color-scheme``. Text and background are always set together, so that a dark system on a light
page stays readable. Tints are translucent, which suits both.
"""

from __future__ import annotations

import re
from importlib.resources import files

from sandbox_agent.render.markup import Markup

ROOT = "sandbox-agent"


def _style(name: str) -> Markup:
    sheet = files("sandbox_agent.render").joinpath(name).read_text("utf-8")
    small = re.sub(r"\s*([{};,>])\s*|(?<=:)\s+", lambda match: match.group(1) or "", " ".join(sheet.split()))
    return Markup(f"<style>{small}</style>")


STYLE = _style("style.css")
PAGE_STYLE = _style("page.css")
