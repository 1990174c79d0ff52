"""What may be answered without asking: rules, modes, and the tricks that must not get past them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.sessions.policy import as_policy, decide, option_for, plain_words, replies_for, reply_of
from sandbox_agent.wire.sessions import PermissionOption, PermissionPolicy, PermissionRule

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.wire.sessions import Decision, PolicyMode


def bash(command: Any, **more: Any) -> dict[str, Any]:
    return {"toolCallId": "t1", "kind": "execute", "title": str(command), "rawInput": {"command": command}, **more}


def edit(*paths: str, **more: Any) -> dict[str, Any]:
    return {"toolCallId": "t1", "kind": "edit", "locations": [{"path": path} for path in paths], **more}


def ruled(decision: Decision, default: PolicyMode = "ask", **condition: Any) -> PermissionPolicy:
    return PermissionPolicy(default=default, rules=(PermissionRule(decision=decision, **condition),))


def test_nothing_is_allowed_when_no_policy_was_set() -> None:
    assert decide(as_policy("ask"), edit("/w/a"), "/w") == ("ask", "default ask")


@pytest.mark.parametrize(("mode", "decision"), [("allow_all", "allow"), ("deny", "deny"), ("ask", "ask")])
def test_a_mode_decides_every_tool_call_when_no_rule_does(mode: PolicyMode, decision: Decision) -> None:
    assert decide(as_policy(mode), bash("rm -rf /"), "/w") == (decision, f"default {mode}")


def test_the_first_rule_that_matches_decides_and_names_itself() -> None:
    policy = PermissionPolicy(
        default="deny",
        rules=(
            PermissionRule(decision="ask", kinds=("fetch",)),
            PermissionRule(decision="allow", kinds=("read", "edit")),
            PermissionRule(decision="deny", kinds=("edit",)),
        ),
    )
    assert decide(policy, edit("/w/a"), "/w") == ("allow", "rule 1")


def test_all_conditions_of_a_rule_must_hold() -> None:
    policy = ruled("allow", kinds=("execute",), command="make", path="/w/out")
    assert decide(policy, bash("make all", locations=[{"path": "/w/out/x"}]), "/w").decision == "allow"
    assert decide(policy, bash("make all", locations=[{"path": "/w/src/x"}]), "/w").decision == "ask"
    assert decide(policy, bash("make all", kind="other", locations=[{"path": "/w/out/x"}]), "/w").decision == "ask"


# --- edits within the working directory


def test_allow_edits_lets_an_edit_below_the_working_directory_pass(tmp_path: Path) -> None:
    call = edit(str(tmp_path / "a.txt"), "sub/b.txt")
    assert decide(as_policy("allow_edits"), call, str(tmp_path)) == ("allow", "default allow_edits")


@pytest.mark.parametrize(
    "call",
    [
        edit("/etc/passwd"),
        edit("a.txt", "/etc/passwd"),
        edit("../outside.txt"),
        edit("sub/../../outside.txt"),
        edit("~/.bashrc"),
        edit("file:///etc/passwd"),
        edit("http://host/a.txt"),
        edit("link/passwd"),
        edit(".git/hooks/pre-commit"),
        edit("a.txt", content=[{"type": "diff", "path": "/etc/passwd", "newText": ""}]),
        edit("a.txt", rawInput={"file_path": "/etc/passwd"}),
        edit("a.txt", rawInput={"changes": {"/etc/passwd": {"update": {}}}}),
        edit("a.txt", rawInput={"patch": "*** Begin Patch\n*** Add File: /etc/cron.d/x\n+x\n*** End Patch"}),
        edit(),
        {"kind": "edit", "locations": [{"line": 3}]},
        {"kind": "delete", "locations": [{"path": "a.txt"}]},
        {"kind": "move", "locations": [{"path": "a.txt"}]},
        bash("touch a.txt", locations=[{"path": "a.txt"}]),
        edit("a.txt", rawInput={"command": "sed -i s/a/b/ a.txt; rm -rf /"}),
        edit("a.txt", rawInput={"command": {"script": "x"}}),
        {"locations": [{"path": "a.txt"}]},
    ],
)
def test_allow_edits_asks_for_anything_else(call: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert decide(as_policy("allow_edits"), call, str(tmp_path)).decision == "ask"


def test_a_sibling_that_shares_the_name_of_the_working_directory_is_not_within_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert decide(as_policy("allow_edits"), edit(str(tmp_path / "work-2" / "a")), str(work)).decision == "ask"


def test_a_working_directory_reached_through_a_link_still_contains_its_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    cwd = str(tmp_path / "link")
    assert decide(as_policy("allow_edits"), edit(str(tmp_path / "real" / "a")), cwd).decision == "allow"


# --- commands


@pytest.mark.parametrize(
    "command",
    ["git status", "git  status --short", "git status 'a b'", 'git status "x;y"', "git status *.py", ["git", "status"]],
)
def test_a_command_prefix_allows_one_plain_command_that_starts_with_its_words(command: Any) -> None:
    assert decide(ruled("allow", command="git status"), bash(command), "/w") == ("allow", "rule 0")


@pytest.mark.parametrize(
    "command",
    [
        "git statusx",
        "git",
        "git push",
        "git status; rm -rf /",
        "git status;rm -rf /",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status & rm x",
        "git status > /etc/passwd",
        "git status >> x",
        "git status < x",
        "git status <(rm x)",
        "git status $(rm x)",
        "git status `rm x`",
        'git status "$(rm x)"',
        "git status $HOME",
        "git status\nrm x",
        "git status\r\nrm x",
        "git status \\\nrm x",
        "GIT_PAGER=rm git status",
        "(git status; rm x)",
        "git status 'unclosed",
        "'git status' x",
        "#git status",
        "",
        "   ",
        "sudo git status",
        "sh -c 'git status'",
        ["sh", "-c", "git status"],
        ["git status"],
        [],
        {"program": "git"},
        ["git", 1],
        None,
    ],
)
def test_a_command_prefix_allows_nothing_but_one_plain_command(command: Any) -> None:
    assert decide(ruled("allow", command="git status"), bash(command), "/w").decision == "ask"


def test_every_command_of_a_tool_call_must_match() -> None:
    call = bash("git status", rawInput={"command": "git status", "commands": ["git status", "rm x"]})
    assert decide(ruled("allow", command="git status"), call, "/w").decision == "ask"


def test_a_title_is_not_taken_for_the_command() -> None:
    call = {"kind": "execute", "title": "git status", "rawInput": {}}
    assert decide(ruled("allow", command="git status"), call, "/w").decision == "ask"


def test_a_prefix_that_is_itself_no_plain_command_allows_nothing() -> None:
    assert decide(ruled("allow", command="a; b"), bash("a; b"), "/w").decision == "ask"
    assert decide(ruled("allow", command=""), bash("a"), "/w").decision == "ask"


@pytest.mark.parametrize(
    "command",
    ["rm -rf x", "/bin/rm x", "true; rm x", "A=1 rm x", "ls\nrm x", "ls | rm", ["rm", "x"], "(rm x)", "r\\m x"],
)
def test_a_denied_command_is_denied_wherever_it_stands_in_the_line(command: Any) -> None:
    assert decide(ruled("deny", "allow_all", command="rm"), bash(command), "/w") == ("deny", "rule 0")


@pytest.mark.parametrize(
    "command",
    ["sh -c 'rm x'", "sudo rm x", "$(echo rm) x", "`echo rm` x", "find . -exec rm {} +", "'rm", {"a": 1}],
)
def test_a_line_that_may_hide_a_denied_command_is_asked_about(command: Any) -> None:
    assert decide(ruled("deny", "allow_all", command="rm"), bash(command), "/w") == ("ask", "rule 0")


def test_a_command_without_text_is_asked_about_when_a_command_is_denied() -> None:
    assert decide(ruled("deny", "allow_all", command="rm"), {"kind": "execute"}, "/w").decision == "ask"
    assert decide(ruled("deny", "allow_all", command="rm"), edit("/w/a"), "/w").decision == "allow"


def test_other_commands_pass_a_denying_rule() -> None:
    assert decide(ruled("deny", "allow_all", command="git push"), bash("git status"), "/w").decision == "allow"


@given(st.text(alphabet="git statu;|&<>$`()\n\\\"' #=x", max_size=30))
def test_a_line_with_shell_syntax_outside_quotes_is_never_plain(tail: str) -> None:
    words = plain_words("git status" + tail)
    if words is not None:
        assert not any(char in tail for char in "\n$`\\")
        unquoted = tail.replace('"', "'").split("'")[::2]
        quotes = [char for char in tail if char in "\"'"]
        if len(set(quotes)) <= 1:
            assert not any(char in part for part in unquoted for char in ";|&<>()")


# --- paths


def test_a_path_rule_matches_a_file_a_folder_with_all_below_it_and_a_glob(tmp_path: Path) -> None:
    cwd = str(tmp_path)
    for pattern, path, decision in [
        ("a.txt", "a.txt", "allow"),
        ("a.txt", "a.txt.bak", "ask"),
        ("src", "src/deep/x.py", "allow"),
        ("src/", "src/x.py", "allow"),
        ("src", "srcs/x.py", "ask"),
        ("*.py", "x.py", "allow"),
        ("*.py", "sub/x.py", "ask"),
        ("**/*.py", "x.py", "allow"),
        ("**/*.py", "a/b/x.py", "allow"),
        ("src/**", "src/a/b", "allow"),
        ("a?.txt", "ab.txt", "allow"),
        ("[ab].txt", "b.txt", "allow"),
        ("[!ab].txt", "b.txt", "ask"),
        (str(tmp_path / "*.txt"), "z.txt", "allow"),
        ("/", "/etc/passwd", "allow"),
        ("/etc/*", "/etc/passwd", "allow"),
        (".", "x/y", "allow"),
        ("src", "src/../../etc/passwd", "ask"),
    ]:
        assert decide(ruled("allow", path=pattern), edit(path), cwd).decision == decision, (pattern, path)


def test_a_link_out_of_an_allowed_folder_does_not_match(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "out").symlink_to("/etc")
    policy = ruled("allow", path="src")
    assert decide(policy, edit("src/out/passwd"), str(tmp_path)).decision == "ask"
    assert decide(ruled("allow", path="src/**"), edit("src/out/passwd"), str(tmp_path)).decision == "ask"


def test_every_path_of_the_call_must_match_to_allow_and_any_is_enough_to_deny() -> None:
    both = edit("/w/a", "/secret/b")
    assert decide(ruled("allow", path="/w"), both, "/w").decision == "ask"
    assert decide(ruled("deny", "allow_all", path="/secret"), both, "/w").decision == "deny"


def test_a_path_alone_allows_no_command_whatever_paths_the_agent_names_for_it() -> None:
    call = bash("rm -rf /", locations=[{"path": "/w/made.txt"}])
    for policy in (ruled("allow", path="/w"), ruled("allow", path="/w", kinds=("execute",))):
        assert decide(policy, call, "/w").decision == "ask"
    assert decide(ruled("allow", path="/w", command="rm"), call, "/w").decision == "allow"
    assert decide(ruled("deny", "allow_all", path="/w"), call, "/w").decision == "deny"


def test_a_call_without_paths_is_not_allowed_by_a_path_and_is_asked_about_when_a_path_is_denied() -> None:
    assert decide(ruled("allow", path="/"), bash("cat x"), "/w").decision == "ask"
    assert decide(ruled("deny", "allow_all", path="/secret"), bash("cat x"), "/w").decision == "ask"
    assert decide(ruled("deny", "allow_all", path="/secret"), edit("/w/a"), "/w").decision == "allow"


def test_a_tool_call_of_unknown_kind_counts_as_other_when_allowing_and_is_asked_about_when_denying() -> None:
    assert decide(ruled("allow", kinds=("other",)), {"toolCallId": "x"}, "/w").decision == "allow"
    assert decide(ruled("allow", kinds=("edit",)), {"toolCallId": "x"}, "/w").decision == "ask"
    assert decide(ruled("deny", "allow_all", kinds=("edit",)), {"toolCallId": "x"}, "/w").decision == "ask"


@given(
    st.dictionaries(
        st.sampled_from(["kind", "rawInput", "locations", "content", "title"]), st.none() | st.text("abc/", max_size=5)
    )
)
def test_a_malformed_tool_call_is_asked_about_and_never_raises(call: dict[str, Any]) -> None:
    policy = PermissionPolicy(
        default="allow_edits",
        rules=(PermissionRule(decision="allow", command="ls"), PermissionRule(decision="allow", path="/w")),
    )
    assert decide(policy, call, "/w").decision == "ask"


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "", "etc"]), min_size=1, max_size=8))
def test_no_way_of_writing_a_path_gets_out_of_the_working_directory(parts: list[str]) -> None:
    path = "/".join(parts)
    inside = os.path.normpath("/w/x/" + path if not path.startswith("/") else path).startswith("/w/x")
    allowed = decide(as_policy("allow_edits"), edit(path or "."), "/w/x").decision == "allow"
    assert allowed <= inside


# --- options


def option(option_id: str, kind: str) -> PermissionOption:
    return PermissionOption(option_id=option_id, name=option_id, kind=kind)


def test_an_option_is_chosen_by_kind_and_never_by_its_id_or_place() -> None:
    options = (option("reject", "allow_always"), option("allow", "reject_once"), option("cancel", "allow_once"))
    chosen = {reply: option_for(reply, options) for reply in ("once", "always", "reject")}
    assert {reply: found.option_id for reply, found in chosen.items() if found} == {
        "once": "cancel",
        "always": "reject",
        "reject": "allow",
    }


def test_a_rejection_prefers_once_then_always_then_none() -> None:
    assert option_for("reject", (option("a", "reject_always"), option("b", "reject_once"))) == option(
        "b", "reject_once"
    )
    assert option_for("reject", (option("a", "reject_always"),)) == option("a", "reject_always")
    assert option_for("reject", (option("a", "allow_once"),)) is None


def test_allowing_once_never_becomes_allowing_always() -> None:
    assert option_for("once", (option("a", "allow_always"),)) is None


def test_the_replies_a_request_can_be_given_follow_from_its_options() -> None:
    assert replies_for((option("a", "allow_once"), option("b", "reject_once"))) == ("once", "reject")
    assert replies_for((option("a", "allow_always"),)) == ("always", "reject")
    assert replies_for(()) == ("reject",)
    assert reply_of(option("a", "reject_always")) == "reject"
    assert reply_of(option("a", "someday")) is None
