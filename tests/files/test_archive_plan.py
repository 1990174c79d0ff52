"""What an archive may hold: every member is judged before anything is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_agent.files.archive_plan import ArchiveError, ArchiveLimits, Folder, Member, Plan
from sandbox_agent.problems import InvalidRequest, PayloadTooLarge

from ..support.archives import STEADY


def planned(*members: Member, limits: ArchiveLimits | None = None) -> Plan:
    plan = Plan(limits)
    for member in members:
        plan.add(member)
    return plan


def taken(*members: Member, limits: ArchiveLimits | None = None) -> Plan:
    plan = Plan(limits)
    plan.take(members)
    return plan


def file(name: bytes) -> Member:
    return Member(name, "file")


def folder(name: bytes) -> Member:
    return Member(name, "folder")


@pytest.mark.parametrize(
    ("members", "name", "reason"),
    [
        ([file(b"../x")], "../x", "'..'"),
        ([file(b"a/../../x")], "a/../../x", "'..'"),
        ([folder(b"a/..")], "a/..", "'..'"),
        ([file(b"/etc/x")], "/etc/x", "absolute"),
        ([folder(b"/")], "/", "absolute"),
        ([file(b"")], "", "no name"),
        ([file(b"a\0b")], "a\0b", "NUL"),
        ([file(b"n" * 256)], "n" * 256, "255"),
        ([file(b"/".join([b"n" * 200] * 21))], "/".join(["n" * 200] * 21)[:4096], "4095"),
        ([file(b"d/" * 201 + b"f")], "d/" * 201 + "f", "200 folders deep"),
        ([file(b"x"), file(b"x")], "x", "twice"),
        ([file(b"x"), file(b"./x")], "./x", "twice"),
        ([file(b"x"), file(b"x/y")], "x/y", "a file where its folder"),
        ([file(b"x"), folder(b"x")], "x", "a file where its folder"),
        ([folder(b"x"), file(b"x")], "x", "a folder of that name"),
        ([file(b"x/y"), file(b"x")], "x", "a folder of that name"),
        ([file(b".")], ".", "destination itself"),
        ([Member(b"l", "symbolic link")], "l", "symbolic link"),
        ([Member(b"h", "hard link")], "h", "hard link"),
        ([file(b"\xff/../x")], "\\xff/../x", "'..'"),
    ],
)
def test_a_member_that_must_not_be_written_is_refused_by_name(members: list[Member], name: str, reason: str) -> None:
    for way in (planned, taken):
        with pytest.raises(InvalidRequest) as refused:
            way(file(b"good"), *members).check()
        (told,) = refused.value.extensions["members"]
        assert told["name"] == name
        assert reason in told["reason"]


PARTS = st.sampled_from([b"a", b"b", b"..", b".", b"", b"n" * 256, b"x\0y"])


@STEADY
@given(
    st.lists(
        st.tuples(st.lists(PARTS, min_size=1, max_size=5).map(b"/".join), st.sampled_from(["file", "folder", "fifo"])),
        max_size=12,
    ),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_taking_many_at_once_means_the_same_as_adding_each(
    entries: list[tuple[bytes, str]], most: int, depth: int
) -> None:
    """Names that are odd, there twice, in each other's way, too many or too deep are refused alike."""
    members = [Member(name, kind) for name, kind in entries]
    seen: list[object] = []
    for way in (planned, taken):
        try:
            plan = way(*members, limits=ArchiveLimits(members=most, depth=depth))
            seen.append((plan.root, plan.names, plan.placed, plan.count))
            plan.check()
        except (InvalidRequest, ArchiveError) as error:
            seen.append(getattr(error, "extensions", None) or (str(error), getattr(error, "member", None)))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_every_refused_member_is_told_up_to_a_hundred_of_them() -> None:
    with pytest.raises(InvalidRequest, match="249 more") as refused:
        planned(*(file(b"../%d" % number) for number in range(250))).check()
    assert [told["name"] for told in refused.value.extensions["members"]] == [f"../{n}" for n in range(100)]


def test_the_tree_has_folders_that_no_member_names_and_modes_of_those_that_are_named() -> None:
    plan = planned(file(b"a/b/c"), Member(b"a", "folder", mode=0o750), folder(b"./a/"), file(b"./d//e"))
    plan.check()
    assert plan.root.folders[b"a"].folders[b"b"].files.keys() == {b"c"}
    assert plan.root.folders[b"d"].files.keys() == {b"e"}
    assert plan.names == [b"a/b/c", b"a", b"a", b"d/e"]
    assert plan.placed == 4


def test_a_plan_can_be_put_into_folders_that_are_still_to_be_made() -> None:
    plan = planned(file(b"f"))
    plan.nest([b"new", b"deep"])
    assert plan.root == Folder(folders={b"new": Folder(folders={b"deep": Folder(files={b"f": file(b"f")})})})


def test_only_the_first_names_are_kept() -> None:
    plan = Plan()
    for number in range(5):
        plan.add(file(b"%d" % number), keep=3)
    assert (plan.names, plan.placed) == ([b"0", b"1", b"2"], 5)


def test_too_many_members_are_refused_at_the_first_that_is_too_many() -> None:
    with pytest.raises(ArchiveError) as refused:
        planned(*(file(b"%d" % n) for n in range(4)), limits=ArchiveLimits(members=3))
    problem = refused.value.problem()
    assert isinstance(problem, PayloadTooLarge)
    assert problem.extensions["members"][0]["name"] == "3"
    assert problem.extensions["limit"] == 3


def test_limits_hold_for_size_always_and_for_the_ratio_once_much_was_expanded() -> None:
    limits = ArchiveLimits(expanded_bytes=1000, ratio=10, ratio_from=100)
    limits.check_expanded(1, 100)
    limits.check_expanded(100, 1000)
    with pytest.raises(ArchiveError, match="10 times"):
        limits.check_expanded(1, 101)
    with pytest.raises(ArchiveError, match="1000 bytes"):
        limits.check_expanded(1000, 1001)


NAME = st.lists(st.sampled_from([b"a", b"b", b"..", b".", b"", b"\xff", b"c" * 256]), max_size=5).map(b"/".join)


@STEADY
@given(st.lists(st.tuples(NAME, st.sampled_from(["file", "folder", "fifo"])), max_size=8))
def test_whatever_is_planned_stays_below_the_destination(members: list[tuple[bytes, str]]) -> None:
    """After any members, each name in the tree is one plain component, and nothing is both file and folder."""
    plan = planned(*(Member(name, kind) for name, kind in members))

    def check(node: Folder) -> None:
        names = [*node.files, *node.folders]
        assert len(names) == len(set(names))
        assert all(name and b"/" not in name and name not in {b".", b".."} and len(name) <= 255 for name in names)
        for inner in node.folders.values():
            check(inner)

    check(plan.root)
