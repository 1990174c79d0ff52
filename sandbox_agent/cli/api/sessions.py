"""`sandbox-agent api sessions`: the table of what can be done with sessions; the doing is in the modules beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox_agent.cli.api import session_reads as reads
from sandbox_agent.cli.api import session_writes as writes
from sandbox_agent.cli.completion import agent_ids, session_ids
from sandbox_agent.cli.connection import add_connection
from sandbox_agent.cli.output import add_json
from sandbox_agent.cli.parsers import WordsParser, completed_by

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

FORMATS: Final = ("md", "html", "ipynb", "text", "json")

POLICY_HELP = "ask (the default), allow_edits, allow_all, deny; or a policy with rules as JSON, or @FILE that holds it"

SKILL_HELP = "a folder, OWNER/NAME on GitHub or a git URL; or a source as JSON, or @FILE that holds it; repeatable"

ENV_HELP = "for the agent's environment, without a value that of your own; repeatable"

PROMPT_EPILOG = """\
What the agent says is printed on stdout as it comes; tool calls, permissions and the spinner are on stderr. A
permission is asked on the terminal, where there is one; else it waits, and the command that answers it is printed.
An interrupt cancels the turn; the session stays. A command that is ended otherwise leaves the turn running.
With --json every line of stdout is an object: of "type" "event" one raw event of the turn, at last of "type"
"result" its "text" and the "prompt"."""


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser(
        "sessions",
        help="create, prompt, watch and export sessions",
        description="Sessions with agents; they live in the server, whoever looks at them.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=WordsParser)
    _create(actions)
    _list(actions)
    _prompt(actions)
    _reading(actions)
    _permissions(actions)
    _changing(actions)


def _action(
    actions: argparse._SubParsersAction[WordsParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    told: str,
    *,
    session: bool = True,
    json: str | None = "print JSON",
    epilog: str | None = None,
) -> WordsParser:
    parser = actions.add_parser(name, help=told[0].lower() + told[1:].rstrip("."), description=told, epilog=epilog)
    if session:
        completed_by(parser.add_argument("session", metavar="SESSION", help="the session's id"), session_ids)
    if json is not None:
        add_json(parser, json)
    add_connection(parser)
    parser.set_defaults(run=run)
    return parser


def _options(parser: argparse.ArgumentParser) -> None:
    """What a session can be made with, and changed to."""
    parser.add_argument("--title", help="a name for people")
    parser.add_argument("--model", help="the agent's model")
    parser.add_argument("--mode", help="the agent's mode")
    parser.add_argument("--thought-level", metavar="LEVEL", help="how much the agent thinks")
    parser.add_argument("--permissions", metavar="POLICY", help=POLICY_HELP)


def _create(actions: argparse._SubParsersAction[WordsParser]) -> None:
    parser = _action(actions, "create", writes.run_create, "Create a session with an agent.", session=False)
    completed_by(parser.add_argument("agent", metavar="AGENT", help="the agent's id"), agent_ids)
    parser.add_argument("--id", help="an id of your own; one that is taken is refused")
    parser.add_argument("--cwd", metavar="DIR", help="where the agent works (default: here, or there if it is remote)")
    parser.add_argument(
        "--mcp", action="append", default=[], metavar="JSON", help="an ACP McpServer, or @FILE; repeatable"
    )
    parser.add_argument("--desktop", action="store_true", help="let the agent see and use the desktop")
    parser.add_argument("--skill", action="append", default=[], metavar="SOURCE", help=SKILL_HELP)
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help=ENV_HELP)
    parser.add_argument("--base-url", metavar="URL", help="a gateway the agent asks in place of its provider")
    parser.add_argument("--auth-method", metavar="ID", help="one of the agent's own ways to authenticate")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the id alone")
    _options(parser)


def _list(actions: argparse._SubParsersAction[WordsParser]) -> None:
    parser = _action(actions, "list", reads.run_list, "List the sessions, newest first.", session=False)
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    parser.add_argument("--all", action="store_true", help="all of them")


def _prompt(actions: argparse._SubParsersAction[WordsParser]) -> None:
    parser = _action(
        actions,
        "prompt",
        writes.run_prompt,
        "Give the agent a prompt and print what it does, until its turn ends.",
        json="print JSON lines",
        epilog=PROMPT_EPILOG,
    )
    parser.words = "text"
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the prompt; - reads it from stdin")
    parser.add_argument("-f", "--file", metavar="FILE", help="a file that holds the prompt; - is stdin")
    parser.add_argument("-a", "--attach", action="append", default=[], metavar="FILE", help="attach a file; repeatable")
    parser.add_argument("--no-wait", action="store_true", help="print the prompt's id and leave the turn running")
    parser.add_argument("--no-input", action="store_true", help="ask nothing on the terminal")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what the agent says")
    parser.add_argument("--idempotency-key", metavar="KEY", help="a prompt of this key is run once, however often sent")


def _reading(actions: argparse._SubParsersAction[WordsParser]) -> None:
    _action(actions, "show", reads.run_show, "Show a session and what waits in it.")
    _action(actions, "prompts", reads.run_prompts, "List the prompts of a session and how they ended.")

    told = "Print the raw events of a session."
    events = _action(actions, "events", reads.run_events, told, json="print JSON lines")
    events.add_argument("--after", type=int, default=0, metavar="N", help="only those after this number (default: 0)")
    events.add_argument("--limit", type=int, metavar="N", help="at most so many")
    events.add_argument("--follow", action="store_true", help="go on with new ones until interrupted")

    told = "Print the transcript of a session."
    transcript = _action(actions, "transcript", reads.run_transcript, told, json="print JSON; with --follow JSON lines")
    transcript.add_argument("--follow", action="store_true", help="go on with what changes until interrupted")

    export = _action(actions, "export", reads.run_export, "Write the transcript as a document.", json=None)
    export.add_argument("--format", choices=FORMATS, help="default: by the file's name, else md")
    export.add_argument("-o", "--output", metavar="FILE", help="where to (default: stdout)")


def _permissions(actions: argparse._SubParsersAction[WordsParser]) -> None:
    permissions = _action(actions, "permissions", reads.run_permissions, "List the permission requests that wait.")
    permissions.add_argument("--all", action="store_true", help="those that were resolved too")

    answer = _action(actions, "answer", writes.run_answer, "Answer a permission request; the first answer wins.")
    answer.add_argument("request", metavar="REQUEST", help="the request's id")
    answer.add_argument("reply", metavar="REPLY", help="once, always, reject, or the id of one of its options")


def _changing(actions: argparse._SubParsersAction[WordsParser]) -> None:
    update = _action(actions, "update", writes.run_update, "Change a session's options; prints those in force.")
    _options(update)
    _action(actions, "cancel", writes.run_cancel, "End the running turn; the session stays.")
    fork = _action(actions, "fork", writes.run_fork, "Make a session that goes on from where this one stands.")
    fork.add_argument("--id", help="an id of your own; one that is taken is refused")
    fork.add_argument("--title", help="a name for people")
    fork.add_argument("-q", "--quiet", action="store_true", help="print the id alone")
    delete = _action(actions, "delete", writes.run_delete, "End sessions and forget them.", session=False, json=None)
    told = "a session's id; repeatable"
    completed_by(delete.add_argument("session", nargs="+", metavar="SESSION", help=told), session_ids)
