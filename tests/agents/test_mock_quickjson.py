"""The mock agent's JSON is that of the standard library, with and without the interpreter's accelerator."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.agents.mock import quickjson

if TYPE_CHECKING:
    from types import ModuleType

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def without_accelerator() -> ModuleType:
    """The module as it is where the interpreter has no ``_json``."""
    found = importlib.util.find_spec(quickjson.__name__)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    accelerator = sys.modules.get("_json")
    sys.modules["_json"] = None  # type: ignore[assignment]
    try:
        found.loader.exec_module(module)
    finally:
        del sys.modules["_json"]
        if accelerator is not None:
            sys.modules["_json"] = accelerator
    return module


BOTH = pytest.mark.parametrize("module", [quickjson, without_accelerator()], ids=["quick", "package"])


@BOTH
@given(value=values)
def test_what_is_written_is_what_the_library_writes_and_is_read_back(module: ModuleType, value: Any) -> None:
    """Lone surrogates, big numbers and empty containers among them."""
    written = module.dumps(value)
    assert written == json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    line = b" " + written.encode("utf-8", "surrogatepass") + b"\r\n"
    assert module.loads(line) == json.loads(line)


@BOTH
@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"{", b"{}x", b"{} {}", b"[1,]", b"nul", b'"\n"', b'"\\x"', b"\xff", b"'a'", b"{'a':1}", b"\xa01"],
)
def test_what_is_no_json_is_refused(module: ModuleType, line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its kind is the library's own affair
        module.loads(line)


@BOTH
def test_numbers_beyond_json_are_taken_and_other_things_are_not_written(module: ModuleType) -> None:
    """As the standard library does."""
    assert math.isnan(module.loads(b"NaN"))
    assert module.loads(b"-Infinity") == -math.inf
    with pytest.raises(TypeError):
        module.dumps({"a": object()})
