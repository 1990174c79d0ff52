"""From an agent's bytes to entries, answers and what a role is told."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_agent.acp.flights import Flights
from sandbox_agent.acp.intake import Intake
from sandbox_agent.journal import Sender, open_journals

from .conftest import Recorder, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sandbox_agent.journal import Journal

LINES = [
    b'{"method":"a"}',
    b'{"method":"b","params":{"x":"\xc3\xa9"}}\r',
    b'{"id":1,"result":3}',
    b'{"id":5,"method":"ask"}',
    b"banner",
    b"",
    b'{"half":',
    b'\xef\xbb\xbf{"method":"c"}',
]


def run(work: Callable[[Journal], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        journals = open_journals("memory:")
        await journals.start()
        await work(await journals.open("j"))
        await journals.stop()

    asyncio.run(main())


def intake(journal: Journal, flights: Flights | None = None, role: Recorder | None = None) -> Intake:
    return Intake(
        journal,
        flights or Flights(),
        role,
        line_cap=1 << 20,
        on_answer=lambda _flight: None,
        refuse=lambda _envelope: None,
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(LINES), max_size=12), st.lists(st.integers(0), max_size=6), st.booleans())
def test_however_the_bytes_are_cut_the_entries_are_the_same(lines: list[bytes], cuts: list[int], role: bool) -> None:
    data = b"\n".join(lines)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]

    async def work(journal: Journal) -> None:
        told = Recorder() if role else None
        one = intake(journal, role=told)
        for begin, end in zip(edges, edges[1:], strict=False):  # noqa: RUF007  # pairs of one list
            one.feed(data[begin:end])
        one.end()
        found = [(sender, payload) for _, sender, payload in await entries(journal)]
        clean = [line.removeprefix(b"\xef\xbb\xbf").strip() for line in lines if line.strip()]
        assert [sender for sender, _ in found] == [
            Sender.SERVER if line in (b"banner", b'{"half":') else Sender.AGENT for line in clean
        ]
        assert [payload for sender, payload in found if sender == Sender.AGENT] == [
            line for line in clean if line not in (b"banner", b'{"half":')
        ]
        if told is not None:
            methods = [json.loads(payload).get("method") for _, payload in found]
            expected = [(n, method) for n, method in enumerate(methods, 1) if method and not method.startswith("_")]
            assert [(sequence, method) for _, sequence, method in told.told] == expected

    run(work)


def test_what_came_with_one_read_is_one_segment() -> None:
    """However many lines; noise in a row is one as well."""

    async def work(journal: Journal) -> None:
        intake(journal).feed(b'{"method":"a"}\n' * 500 + b"noise\n" * 300 + b'{"id":1,"result":2}\n' * 200)
        segments = await journal.read(0)
        assert isinstance(segments, list)
        assert [(segment.sender, len(segment.payloads)) for segment in segments] == [
            (Sender.AGENT, 500),
            (Sender.SERVER, 300),
            (Sender.AGENT, 200),
        ]

    run(work)


def test_a_role_that_fails_leaves_nobody_waiting() -> None:
    class Faulty(Recorder):
        def on_notification(self, sequence: int, envelope: Any) -> None:
            raise LookupError(envelope.method)

    async def work(journal: Journal) -> None:
        flights = Flights()
        answer = asyncio.get_running_loop().create_future()
        flights.depart(b"1", "m", answer)
        with pytest.raises(LookupError):
            intake(journal, flights, Faulty()).feed(b'{"method":"a"}\n{"id":1,"result":2}\n')
        assert await answer == b'{"id":1,"result":2}'
        assert journal.head == 2

    run(work)


def test_a_response_with_no_usable_id_is_recorded_like_any_other() -> None:
    async def work(journal: Journal) -> None:
        lines = b'{"id":null,"error":{}}\n{"id":9,"result":1}\n{"id":[],"result":1}\n'
        intake(journal).feed(lines)
        assert [payload for _, _, payload in await entries(journal)] == lines.split()

    run(work)
