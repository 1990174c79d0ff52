"""What `import sandbox_agent` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import sandbox_agent
from sandbox_agent import client, problems


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.parametrize("name", sandbox_agent.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(sandbox_agent, name) is not None
    assert name in dir(sandbox_agent)


def test_everything_the_client_exports_is_public() -> None:
    assert set(client.__all__) <= set(sandbox_agent.__all__)
    assert list(sandbox_agent.__all__) == sorted(sandbox_agent.__all__)


def test_errors_are_one_tree() -> None:
    """Whatever goes wrong on purpose is caught by one class."""
    errors = [getattr(sandbox_agent, name) for name in sandbox_agent.__all__]
    raised = [e for e in errors if isinstance(e, type) and issubclass(e, Exception)]
    assert len(raised) > 20
    assert all(issubclass(e, problems.SandboxAgentError) for e in raised)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        sandbox_agent.no_such_thing  # noqa: B018
    assert isinstance(sandbox_agent, types.ModuleType)


def test_importing_the_package_loads_none_of_it() -> None:
    """The command line and kernels import it first of all: names are loaded when they are used."""
    loaded = python(
        "import sys; before = set(sys.modules); import sandbox_agent; "
        "print([m for m in set(sys.modules) - before if m.partition('.')[0] not in sys.stdlib_module_names])"
    )
    assert loaded == "['sandbox_agent']"


def test_errors_and_wire_types_do_not_load_the_http_library() -> None:
    assert (
        python("import sys; from sandbox_agent import Problem, PermissionPolicy; print('httpx2' in sys.modules)")
        == "False"
    )


def test_the_client_loads_neither_server_nor_renderer() -> None:
    """A program that only calls pays only for calling."""
    loaded = python("import sys; from sandbox_agent import SandboxAgent; print(*sys.modules)").split()
    assert not {"tornado", "traitlets", "sandbox_agent.server", "sandbox_agent.render", "IPython"} & set(loaded)
