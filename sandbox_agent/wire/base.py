"""Bases of all wire structs."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]


class Wire(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """A value on the wire: camelCase keys, immutable, defaults left out."""


class StrictRequest(Wire, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A request body of ours beyond the 0.4.2 contract: a misspelt key is refused, not ignored."""
