"""The examples in the SDK's docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
from typing import TYPE_CHECKING

import pytest

from ..support.server import environment

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [
    "sandbox_agent",
    "sandbox_agent.client.agent",
    "sandbox_agent.client.async_agent",
    "sandbox_agent.client.desktop",
    "sandbox_agent.client.fs",
    "sandbox_agent.client.processes",
    "sandbox_agent.client.session",
    "sandbox_agent.client.terminal",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(tmp_path).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(example, out=told.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(told)
