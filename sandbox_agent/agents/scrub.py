"""Keys in a text that somebody is about to show around: those that are known, and those that look like one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox_agent.agents.credentials import SHORTEST_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "[redacted]"

_FORMS = re.compile(
    r"""(?x)
    \b (?: sk | pk | rk | sgamp | gh[a-z] | github_pat | xox[a-z] | glpat | hf | npm | pypi ) [-_]
        (?= [-_A-Za-z0-9]* \d ) [-_A-Za-z0-9]{16,}
  | \b (?: AKIA | AIza ) [-_A-Za-z0-9]{16,}
  | \b eyJ [-_A-Za-z0-9]{8,} (?: \. [-_A-Za-z0-9]+ ){1,2}
    """
)
"""The forms in which providers issue keys, and JSON Web Tokens (RFC 7519)."""

_NAME = r"[\w-]*(?:api[-_]?key|token|secret|passw(?:or)?d|credential|cookie|private[-_]?key)s?"
_GIVEN = re.compile(
    rf"""(?xi)
    (?P<before>
        \b authorization ["']? \s* [:=] \s* ["']? (?: bearer \s+ | basic \s+ )?   # a header
      | \b bearer \s+
      | \b {_NAME} ["']? \s* [:=] \s* ["']                                         # in code, or in JSON
      | \b (?-i:[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)) =            # a shell's assignment
      | (?:^|\s) x?-? {_NAME} : \s+ (?= \S*\d )                                     # a header of another name
      | ://[^\s/:@]*:                                                              # a URL's password
    )
    (?P<secret> [^\s"'@]{{8,}} )
    """
)


def scrubbed(text: str, known: Iterable[str]) -> str:
    """The text without the values that are known, the longest first, and without what looks like another."""
    for secret in sorted((one for one in known if len(one) >= SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _GIVEN.sub(_masked, _FORMS.sub(MASK, text))


def _masked(found: re.Match[str]) -> str:
    secret = found["secret"]
    harmless = secret.isdigit() or secret.startswith((MASK, "$", "<", "os.", "process.env"))
    url = found["before"].startswith("://") and not found.string[found.end() :].startswith("@")
    return found[0] if harmless or url else found["before"] + MASK
