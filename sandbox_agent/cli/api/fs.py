"""`sandbox-agent api fs`: the sandbox's files; what the actions do is in `fs_reads` and `fs_writes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.cli.api import fs_reads, fs_writes
from sandbox_agent.cli.completion import remote_paths
from sandbox_agent.cli.connection import add_connection
from sandbox_agent.cli.output import add_json
from sandbox_agent.cli.parsers import completed_by

if TYPE_CHECKING:
    import argparse
    from typing import TypeAlias

    Actions: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name

PATHS = """\
Paths are the server's: absolute, or from its home folder."""


def add_parser(areas: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = areas.add_parser("fs", help="files of the sandbox", description="Files of a server.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_ls(actions)
    _add_cat(actions)
    _add_stat(actions)
    _add_put(actions)
    _add_get(actions)
    _add_changes(actions)
    _add_search(actions)
    _add_watch(actions)


def _action(actions: Actions, name: str, told: str, description: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=told, description=description, epilog=PATHS)


def _remote(parser: argparse.ArgumentParser, name: str, told: str, **options: str) -> None:
    completed_by(parser.add_argument(name.lower(), metavar=name, help=told, **options), remote_paths)  # type: ignore[arg-type]


def _add_ls(actions: Actions) -> None:
    parser = _action(actions, "ls", "list a folder", "List a folder, by name.")
    _remote(parser, "PATH", "the folder (default: the server's home)", nargs="?", default=".")
    parser.add_argument("-r", "--recursive", action="store_true", help="what is in its folders too")
    parser.add_argument("--depth", type=int, metavar="N", help="with --recursive, so many levels down")
    parser.add_argument("--glob", metavar="PATTERN", help="only what matches, such as *.py or src/**/*.ts")
    parser.add_argument("-q", "--quiet", action="store_true", help="print paths alone")
    add_json(parser)
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_ls)


def _add_cat(actions: Actions) -> None:
    parser = _action(actions, "cat", "print files", "Print files as they are, byte by byte.")
    _remote(parser, "PATH", "a file", nargs="+")
    parser.add_argument("--offset", type=int, default=0, metavar="N", help="begin after so many bytes")
    parser.add_argument("--length", type=int, metavar="N", help="at most so many bytes of each")
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_cat)


def _add_stat(actions: Actions) -> None:
    parser = _action(actions, "stat", "what a path leads to", "Tell kind, size, date and etag of what a path leads to.")
    _remote(parser, "PATH", "a file or a folder")
    add_json(parser)
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_stat)


def _add_put(actions: Actions) -> None:
    told = (
        "Copy a file or a folder of this machine to the server. A file becomes REMOTE, or goes into it where that is a"
        " folder or ends with a slash; what is in a folder goes into the folder REMOTE, all of it or nothing."
    )
    parser = _action(actions, "put", "copy a file or a folder to the server", told)
    parser.add_argument("local", metavar="LOCAL", help="a file or a folder of this machine; - for standard input")
    _remote(parser, "REMOTE", "where to (default: the same name in the server's home)", nargs="?")
    parser.add_argument("--if-match", metavar="ETAG", help="replace a file only while it has this etag (see stat)")
    parser.add_argument("--no-overwrite", action="store_true", help="fail where there is such a file already")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing, show no progress")
    add_json(parser)
    add_connection(parser)
    parser.set_defaults(run=fs_writes.run_put)


def _add_get(actions: Actions) -> None:
    told = (
        "Copy a file or a folder of the server to this machine. A file becomes LOCAL, or goes into it where that is a"
        " folder, once it is whole; what is in a folder goes into the folder LOCAL."
    )
    parser = _action(actions, "get", "copy a file or a folder from the server", told)
    _remote(parser, "REMOTE", "a file or a folder of the server")
    parser.add_argument(
        "local", metavar="LOCAL", nargs="?", help="where to (default: the same name here); - for standard output"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing, show no progress")
    add_json(parser)
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_get)


def _add_changes(actions: Actions) -> None:
    parser = _action(actions, "rm", "remove files", "Remove files, links and empty folders.")
    _remote(parser, "PATH", "what to remove", nargs="+")
    parser.add_argument("-r", "--recursive", action="store_true", help="folders with all that is in them")
    parser.add_argument("-f", "--force", action="store_true", help="what is not there is no fault")
    add_connection(parser)
    parser.set_defaults(run=fs_writes.run_rm)

    told = "Rename or move a file or a folder. TO is its new path, not the folder it goes into."
    parser = _action(actions, "mv", "rename or move", told)
    _remote(parser, "PATH", "what to move")
    _remote(parser, "TO", "its new path")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    add_connection(parser)
    parser.set_defaults(run=fs_writes.run_mv)

    told = "Make folders, and those above them; one that is there is left as it is."
    parser = _action(actions, "mkdir", "make folders", told)
    _remote(parser, "PATH", "a folder", nargs="+")
    add_connection(parser)
    parser.set_defaults(run=fs_writes.run_mkdir)


def _add_search(actions: Actions) -> None:
    told = (
        "Find files by what is in them, or by their names. Case is ignored; .git and binary files are not looked at."
        " Status 1 where nothing is found."
    )
    parser = _action(actions, "search", "find text in files, or names", told)
    parser.add_argument("query", metavar="TEXT", help="what to look for")
    _remote(parser, "PATH", "the folder to look in (default: the server's home)", nargs="?", default=".")
    parser.add_argument("--name", action="store_true", help="look at names")
    parser.add_argument("--glob", metavar="PATTERN", help="look only at paths that match")
    parser.add_argument("--regex", action="store_true", help="TEXT is a regular expression")
    parser.add_argument("--case-sensitive", action="store_true", help="tell upper from lower case")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many")
    add_json(parser)
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_search)


def _add_watch(actions: Actions) -> None:
    told = "Tell the changes of a folder or a file as they are made, until it is gone or Control-C is pressed."
    parser = _action(actions, "watch", "tell changes as they are made", told)
    _remote(parser, "PATH", "what to watch (default: the server's home)", nargs="?", default=".")
    parser.add_argument("-r", "--recursive", action="store_true", help="all that is in a folder")
    add_json(parser, "print JSON lines; the first says `ready`: from there on nothing is missed")
    add_connection(parser)
    parser.set_defaults(run=fs_reads.run_watch)
