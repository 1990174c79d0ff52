"""Short names for nodes, each for one node for good."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from sandbox_agent.problems import NodeNotFound

if TYPE_CHECKING:
    from sandbox_agent.desktop.a11y.messages import Ref

KEPT = 100_000
"""Names that are known; those that were not used for longest are forgotten."""


class Names:
    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._given = 0
        self._names: OrderedDict[Ref, str] = OrderedDict()
        self._refs: dict[str, Ref] = {}

    def name(self, ref: Ref) -> str:
        """The name of a node: the one it has, or a new one."""
        name = self._names.get(ref)
        if name is not None:
            self._names.move_to_end(ref)
            return name
        self._given += 1
        name = f"n{self._given}"
        self._names[ref], self._refs[name] = name, ref
        if len(self._names) > self._kept:
            del self._refs[self._names.popitem(last=False)[1]]
        return name

    def ref(self, name: str) -> Ref:
        """Whose name it is. Raises ``NodeNotFound``."""
        ref = self._refs.get(name)
        if ref is None:
            raise NodeNotFound(f"no node {name[:100]} is known", hint="ask for the tree again")
        return ref
