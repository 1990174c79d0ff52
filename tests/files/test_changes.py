"""Changes since a reader last looked: each path once, and nothing lost without saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox_agent.files.changes import Change, Changes

if TYPE_CHECKING:
    from sandbox_agent.files.changes import ChangeKind


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (["created"], "created"),
        (["created", "modified", "modified"], "created"),
        (["created", "deleted"], "deleted"),
        (["modified", "deleted"], "deleted"),
        (["deleted", "created"], "modified"),
        (["deleted", "created", "modified"], "modified"),
        (["modified", "modified"], "modified"),
        (["modified", "created"], "created"),
    ],
)
def test_what_happened_to_a_path_is_told_once(kinds: list[ChangeKind], told: ChangeKind) -> None:
    changes = Changes()
    for kind in kinds:
        changes.note(kind, b"/x", folder=False)
    assert changes
    assert changes.take() == ([Change(told, b"/x", folder=False)], False)
    assert not changes


def test_paths_come_in_the_order_in_which_they_first_changed() -> None:
    changes = Changes()
    for path in (b"/b", b"/a", b"/b", b"/c"):
        changes.note("modified", path, folder=False)
    assert [change.path for change in changes.take()[0]] == [b"/b", b"/a", b"/c"]


def test_more_than_a_reader_can_be_behind_is_forgotten_and_said() -> None:
    changes = Changes(limit=2)
    for number in range(3):
        changes.note("created", b"/%d" % number, folder=True)
    changes.note("created", b"/last", folder=True)
    assert changes.take() == ([Change("created", b"/last", folder=True)], True)
    changes.lose()
    assert changes
    assert changes.take() == ([], True)
