"""How long the client waits before it tries again."""

# ruff: noqa: S311 - made-up chance, not secrets

from __future__ import annotations

import random

from sandbox_agent.client.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.1, longest=5.0, source=random.Random(1))
    ceilings = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    for ceiling in ceilings:
        assert ceiling / 2 <= backoff.delay() <= ceiling


def test_progress_starts_over() -> None:
    backoff = Backoff(first=0.1, source=random.Random(1))
    for _ in range(6):
        backoff.delay()
    backoff.reset()
    assert backoff.delay() <= 0.1


def test_clients_do_not_come_back_all_at_once() -> None:
    """Two clients that lost the same server wait differently long."""
    assert Backoff(source=random.Random(1)).delay() != Backoff(source=random.Random(2)).delay()
