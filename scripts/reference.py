"""Writes docs/reference from the code: the routes, the commands, the magics, the SDK and the settings."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sandbox_agent
from sandbox_agent.cli import build_parser, exits
from sandbox_agent.cli.connection import ENVIRONMENT, add_connection
from sandbox_agent.server.app import StandaloneServer
from sandbox_agent.server.openapi import document
from sandbox_agent.server.routes import ROUTES
from sandbox_agent_jupyter.app import SandboxAgentApp
from sandbox_agent_jupyter.magics import grammar
from sandbox_agent_jupyter.magics.desktop_grammar import desktop_help

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
FIRST_PROBLEM = 400
NOTE = "<!-- Made by scripts/reference.py; change the code it tells of, then run it again. -->\n"


def page(title: str, lead: str, lines: Iterable[str]) -> str:
    return f"{NOTE}\n# {title}\n\n{lead}\n\n" + "\n".join(lines).rstrip() + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    cells = [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    if cells:
        yield from (f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *cells))
        yield ""


def kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(choice) for choice in choices))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"array of {kind(schema.get('items', {}))}"
    told = schema.get("type", "any")
    return " or ".join(told) if isinstance(told, list) else str(told)


def http() -> str:
    openapi = document(ROUTES)
    lines: list[str] = []
    for path, methods in openapi["paths"].items():
        for method, told in methods.items():
            lines += [f"## `{method.upper()} {path}`", "", f"{told['summary']}.", ""]
            lines += table(
                ("parameter", "in", "type", ""),
                (
                    (f"`{p['name']}`", p["in"], kind(p.get("schema", {})), p.get("description", ""))
                    for p in told.get("parameters", ())
                ),
            )
            lines += prose(told)
            if body := told.get("requestBody"):
                content = body["content"].items()
                forms = [kind(media["schema"]) if "schema" in media else f"`{name}`" for name, media in content]
                lines += [f"Body: {', '.join(forms)}.", ""]
            lines += table(("status", "body"), answers(told["responses"]))
            problems = [status for status in told["responses"] if int(status) >= FIRST_PROBLEM]
            lines += [f"Problems: {', '.join(problems)}.", ""]
    lines += ["## Schemas", ""]
    for name, schema in openapi["components"]["schemas"].items():
        lines += [
            f"### {name}",
            "",
            *prose(schema),
        ]
        required = schema.get("required", ())
        fields = schema.get("properties", {})
        lines += table(
            ("member", "type", ""),
            ((f"`{field}`", kind(told), "required" if field in required else "") for field, told in fields.items()),
        )
    lead = (
        "Below the server's base URL. Errors are problem documents (`application/problem+json`) with the schema "
        "[ProblemDetails](#problemdetails). The same, for programs: `GET /v1/openapi.json`."
    )
    return page("HTTP API", lead, lines)


def prose(told: dict[str, Any]) -> list[str]:
    """What a docstring says of an operation or a schema."""
    return [told["description"], ""] if "description" in told else []


def answers(responses: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, answer in responses.items():
        if int(status) >= FIRST_PROBLEM:
            continue
        bodies = [
            kind(media["schema"]) if "$ref" in media.get("schema", {}) else f"`{name}`"
            for name, media in answer.get("content", {}).items()
        ]
        yield status, " or ".join(dict.fromkeys(bodies)) or answer.get("description", "")


def cli() -> str:
    top = build_parser()
    lines = ["## `sandbox-agent`", "", *table(("option", ""), options(top)), "```text", exits.HELP, "```", ""]
    for command in subcommands(top):
        inner = list(leaves(command))
        if inner == [command]:
            lines += _command(command)
            continue
        lines += [f"## `{command.prog}`", "", command.description or "", ""]
        lines += [command.epilog, ""] if command.epilog else []
        if any(ENVIRONMENT in (leaf.epilog or "") for leaf in inner):
            lines += ["Each of its commands takes these options.", "", *table(("option", ""), options(connecting()))]
            lines += [ENVIRONMENT, ""]
        for leaf in inner:
            lines += _command(leaf, level=3)
    return page("Command line", "`sandbox-agent --help` and `sandbox-agent COMMAND --help` say the same.", lines)


def _command(parser: argparse.ArgumentParser, level: int = 2) -> list[str]:
    """A command's words and options, without those of its connection, which are told once."""
    epilog = (parser.epilog or "").replace(ENVIRONMENT, "").strip()
    connected = set(options(connecting())) if ENVIRONMENT in (parser.epilog or "") else set()
    rows = [row for row in options(parser) if row not in connected]
    lines = [f"{'#' * level} `{parser.prog}`", "", parser.description or "", ""]
    return [*lines, *table(("option", ""), rows), *([epilog, ""] if epilog else [])]


def connecting() -> argparse.ArgumentParser:
    """The options by which commands find their server."""
    parser = argparse.ArgumentParser()
    add_connection(parser)
    return parser


def subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse tells its actions no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            told = {listed.dest: listed.help for listed in action._get_subactions()}  # noqa: SLF001 - as above
            for name, command in action.choices.items():
                command.description = command.description or f"{str(told[name]).capitalize()}."
                yield command


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands below it that do something; itself, if it does."""
    inner = list(subcommands(parser))
    for command in inner:
        yield from leaves(command)
    if not inner:
        yield parser


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if action.help == "==SUPPRESS==" or isinstance(action.choices, dict) or "--help" in action.option_strings:
            continue
        value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
        yield names + (f" `{value.strip()}`" if value and action.option_strings else ""), f"{action.help}{choices}"


def magics() -> str:
    lines = ["```text", grammar.help_text(), "```", ""]
    for name in grammar.COMMANDS:
        lines += [f"## `%agent {name}`", "", "```text", grammar.help_text(name), "```", ""]
    lines += ["## `%desktop`", "", "```text", desktop_help(), "```", ""]
    lead = "`%load_ext sandbox_agent_jupyter` (or `sandbox_agent`) brings them; `%agent help`, `%desktop help` too."
    return page("Magics", lead, lines)


class _Annotation(str):
    """The text of an annotation, shown as it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(function: Callable[..., Any]) -> str:
    bare = inspect.signature(function)
    parameters = [one.replace(annotation=_told(one.annotation)) for one in bare.parameters.values()]
    told = str(bare.replace(parameters=parameters, return_annotation=_told(bare.return_annotation)))
    return told.replace("(self, ", "(").replace("(self)", "()").replace("(cls, ", "(").replace("(cls)", "()")


def _told(annotation: Any) -> Any:
    return _Annotation(annotation) if isinstance(annotation, str) else annotation


def python() -> str:
    lines: list[str] = []
    for name in sandbox_agent.__all__:
        told = getattr(sandbox_agent, name)
        if not inspect.isclass(told):
            continue
        lines += [f"## {name}", "", *doc(told)]
        for member, value in sorted(vars(told).items()):
            if member.startswith("_"):
                continue
            function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if inspect.isfunction(function):
                lines += [f"### `{member}{signature(function)}`", "", *doc(function)]
            elif isinstance(value, property) and value.__doc__:
                lines += [f"### `{member}`", "", *doc(value)]
    return page("Python SDK", "`from sandbox_agent import ...`", lines)


def doc(told: object) -> list[str]:
    """The docstring a thing has of its own; doctests become examples."""
    text = getattr(told, "__doc__", None) or ""
    if not text or (inspect.isclass(told) and text == (told.__base__.__doc__ if told.__base__ else None)):
        return []
    # Docstrings mark code as reStructuredText does.
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", inspect.cleandoc(text)).replace("``", "`")
    lines, inside = [], False
    for line in text.splitlines():
        starts = line.startswith((">>>", "..."))
        if starts and not inside:
            lines.append("```pycon")
        elif inside and not line:
            lines.append("```")
        inside = starts or (inside and bool(line))
        lines.append(line)
    return [*lines, *(["```"] if inside else []), ""]


def settings() -> str:
    lines = []
    for owner, where in (
        (StandaloneServer, "In the `server` section of the file that `sandbox-agent server --config` names."),
        (SandboxAgentApp, "In `jupyter_server_config.py`: `c.SandboxAgentApp.NAME = VALUE`."),
    ):
        lines += [f"## {owner.__name__}", "", where, ""]
        rows = []
        for name, trait in sorted(owner.class_traits(config=True).items()):
            if trait.this_class is not None and trait.this_class.__module__.startswith("sandbox_agent"):
                rows.append((f"`{name}`", type(trait).__name__, f"`{trait.default_value_repr()}`", trait.help))
        lines += table(("name", "type", "default", ""), rows)
    return page("Settings", "The standalone server and the Jupyter extension share most of them.", lines)


PAGES = {"http": http, "cli": cli, "magics": magics, "python": python, "settings": settings}


def main() -> int:
    for name, write in PAGES.items():
        (FOLDER / f"{name}.md").write_text(write())
    return 0


if __name__ == "__main__":
    sys.exit(main())
