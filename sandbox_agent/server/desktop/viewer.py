"""`/v1/desktop/stream/view`: one page that shows the stream, and acts with ``?control=true``.

Its address may hold the server's token, which it tells nobody but the server.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox_agent.server.call import Answer

if TYPE_CHECKING:
    from sandbox_agent.server.call import Call

_PAGE = Path(__file__).with_name("view.html")
_INLINE = re.compile(rb"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)


async def view(call: Call) -> Answer:  # noqa: ARG001 - the same for all
    page, policy = _page()
    headers = (("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"))
    return Answer(body=page, media="text/html; charset=utf-8", headers=headers)


@cache
def _page() -> tuple[bytes, str]:
    """The page, and a policy under which nothing runs in it but its own script (Content Security Policy 3, 2.3.1)."""
    page = _PAGE.read_bytes()
    allowed = {kind: base64.b64encode(hashlib.sha256(text).digest()).decode() for kind, text in _INLINE.findall(page)}
    policy = (
        f"default-src 'none'; script-src 'sha256-{allowed[b'script']}'; style-src 'sha256-{allowed[b'style']}'; "
        "connect-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return page, policy
