"""What children see of the server's environment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.supervisor.environment import DEFAULT_ALLOWED, MARKER, child_environment

SECRETS = ("SANDBOX_AGENT_TOKEN", "JUPYTER_TOKEN", "JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN", "ANTHROPIC_API_KEY")


def test_only_what_is_allowed_passes() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "XDG_DATA_HOME": "/d", "LCX": "no"} | dict.fromkeys(SECRETS, "secret")
    assert child_environment(environ, DEFAULT_ALLOWED, {}, "t.1/") == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "XDG_DATA_HOME": "/d",
        MARKER: "t.1/",
    }


def test_the_command_adds_and_overrides() -> None:
    made = child_environment({"PATH": "/bin"}, DEFAULT_ALLOWED, {"PATH": "/mine", "KEY": "v"}, "t.1/")
    assert made == {"PATH": "/mine", "KEY": "v", MARKER: "t.1/"}


def test_a_command_cannot_take_the_marker_off() -> None:
    assert child_environment({}, DEFAULT_ALLOWED, {MARKER: ""}, "t.1/")[MARKER] == "t.1/"


def test_a_server_within_a_spawn_keeps_the_outer_mark() -> None:
    """So the outer server still finds what the inner one started."""
    assert child_environment({MARKER: "outer.3/"}, DEFAULT_ALLOWED, {}, "inner.1/")[MARKER] == "outer.3/inner.1/"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_nothing_passes_an_empty_list(environ: dict[str, str]) -> None:
    environ.pop(MARKER, None)
    assert child_environment(environ, (), {}, "t.1/") == {MARKER: "t.1/"}
