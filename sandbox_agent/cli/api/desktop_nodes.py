"""The actions of `sandbox-agent api desktop` for what programs tell of their windows: tree, find, node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.connection import add_connection, connect
from sandbox_agent.cli.exits import Exit, UsageError
from sandbox_agent.cli.output import add_json, print_json, say

if TYPE_CHECKING:
    import argparse
    from typing import TypeAlias

    from sandbox_agent.client import Node, NodeList

    Actions: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name

VERBS = ("press", "click", "focus", "set")


def add_nodes(actions: Actions) -> None:
    """Add the three actions."""
    told = "Print what programs tell of their windows, as an outline: ids, roles, names, contents, states, places."
    parser = actions.add_parser("tree", help="print what programs tell of their windows", description=told)
    _where(parser)
    parser.add_argument("--depth", type=int, metavar="N", help="so many levels, programs being the first")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="at most so many nodes (default: 1000)")
    parser.add_argument("--all", action="store_true", help="with what has neither a name nor a use, or is not shown")
    parser.set_defaults(run=run_tree)
    told = "Find nodes by what they are; the status is 1 where there is none. Words may be of any case of letters."
    parser = actions.add_parser("find", help="find buttons, fields and other nodes", description=told)
    parser.add_argument("--role", metavar="ROLE", help="such as button, entry, check box, link, menu item")
    parser.add_argument("--name", metavar="NAME", help="a part of the name")
    parser.add_argument("--text", metavar="TEXT", help="a part of the name or of what is written in it")
    told = "such as focused, checked, disabled; repeatable, all must be so"
    parser.add_argument("--state", action="append", default=[], metavar="STATE", help=told)
    _where(parser)
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    parser.set_defaults(run=run_find)
    told = "Press a node, click on its middle, give it the focus, or set the text of a field or the number of a slider."
    parser = actions.add_parser("node", help="act on a node", description=told)
    add_connection(parser)
    add_json(parser)
    parser.add_argument("verb", choices=VERBS, help="what to do with it")
    parser.add_argument("node", metavar="NODE", help="the node's id, as tree and find tell it")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="what to set")
    parser.set_defaults(run=run_node)


def _where(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_json(parser)
    parser.add_argument("--window", metavar="ID", help="of this window")
    parser.add_argument("--app", metavar="NAME", help="of programs with this in their name")


def run_tree(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        tree = client.desktop.tree(
            window=arguments.window,
            app=arguments.app,
            depth=arguments.depth,
            limit=arguments.limit,
            interesting_only=not arguments.all,
        )
    _print(tree, "apps", as_json=arguments.json)
    return Exit.OK


def run_find(arguments: argparse.Namespace) -> int:
    with connect(arguments) as client:
        found = client.desktop.find(
            arguments.role,
            arguments.name,
            text=arguments.text,
            states=arguments.state,
            window=arguments.window,
            app=arguments.app,
            limit=arguments.limit,
        )
    _print(found, "nodes", as_json=arguments.json)
    return Exit.OK if found else Exit.FAILURE


def _print(nodes: NodeList[Node], name: str, *, as_json: bool) -> None:
    """Nodes on standard output; what is missing of them, for people, on the other."""
    if as_json:
        told = {"partial": nodes.partial, "truncated": nodes.truncated, "silent": nodes.silent}
        print_json({name: [node.info for node in nodes]} | told)
        return
    for line in nodes.lines():
        print(line)
    for app in nodes.silent:
        say(f"{app.name} does not answer")
    if nodes.truncated:
        say("there is more: --limit and --depth set how much is told")


def run_node(arguments: argparse.Namespace) -> int:
    if (arguments.value is not None) != (arguments.verb == "set"):
        raise UsageError("node: a value comes with set, and with nothing else")
    with connect(arguments) as client:
        _do(client.desktop.node(arguments.node), arguments.verb, arguments.value)
    if arguments.json:
        print_json({"ok": True})
    return Exit.OK


def _do(node: Node, verb: str, value: str) -> None:
    match verb:
        case "press":
            node.press()
        case "click":
            node.click()
        case "focus":
            node.focus()
        case "set":
            node.set_value(value)
