"""From an agent's standard output into the journal, and to whoever waits for one of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox_agent.acp import envelope as envelopes
from sandbox_agent.acp.envelope import Kind
from sandbox_agent.acp.framing import LineFramer, OversizedLine
from sandbox_agent.acp.jsonscan import NotJson
from sandbox_agent.journal import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_agent.acp.envelope import Envelope
    from sandbox_agent.acp.flights import Flight, Flights
    from sandbox_agent.acp.roles import ClientRole
    from sandbox_agent.journal import Journal

_RAW_KEPT = 4096


class Intake:
    """Bytes in, entries and answers out; all that came with one read is one segment of the journal.

    ``on_answer`` is told of each request answered, ``refuse`` answers a request of the agent's that the role does not
    know.
    """

    def __init__(
        self,
        journal: Journal,
        flights: Flights,
        role: ClientRole | None,
        *,
        line_cap: int,
        on_answer: Callable[[Flight], None],
        refuse: Callable[[Envelope], None],
    ) -> None:
        self._journal = journal
        self._flights = flights
        self._role = role
        self._on_answer = on_answer
        self._refuse = refuse
        self._framer = LineFramer(line_cap)
        self._batch: list[bytes] = []
        self._seen: list[Envelope] = []  # beside the batch, where there is a role
        self._reports: list[bytes] = []

    def feed(self, data: bytes) -> None:
        lines = self._framer.feed(data)
        if lines:
            self._take(lines)

    def end(self) -> None:
        """The stream has ended: what was begun counts as a line."""
        self._take(self._framer.end())

    def _take(self, lines: list[bytes]) -> None:
        answers: list[tuple[Flight, bytes]] = []
        peek = envelopes.routed if self._role is None else envelopes.parse
        for raw in lines:
            line = envelopes.clean(raw)
            if not line:
                continue
            try:
                envelope = peek(line)
            except NotJson as error:
                if self._batch:
                    self._record()
                self._reports.append(_report(raw, str(error)))
                continue
            if self._reports:
                self._record()
            if envelope is not None:
                kept = self._route(envelope, answers)
                if kept is None:
                    continue
                line = kept
            self._batch.append(line)
        try:
            self._record()
        finally:  # a role that fails must not leave others waiting
            for flight, line in answers:
                if not flight.answer.done():
                    flight.answer.set_result(line)

    def _route(self, envelope: Envelope, answers: list[tuple[Flight, bytes]]) -> bytes | None:
        """The line to record; None when the role keeps it out."""
        if envelope.kind is Kind.RESPONSE:
            line = self._answered(envelope, answers)
        elif self._role is None or self._role.accept(envelope):
            line = envelope.raw
        else:
            return None
        self._seen.append(envelope)
        return line

    def _answered(self, envelope: Envelope, answers: list[tuple[Flight, bytes]]) -> bytes:
        """The response under its asker's own id."""
        raw_id, line = envelope.id, envelope.raw
        flight = self._flights.arrive(raw_id) if raw_id and envelopes.is_id(raw_id) else None
        if flight is None:
            return line
        self._on_answer(flight)
        if raw_id != flight.asked_as:
            line = envelopes.with_id(line, flight.asked_as)
        answers.append((flight, line))
        return line

    def _record(self) -> None:
        """Journal what has gathered: either messages or reports, as they take turns; then tell the role."""
        if self._reports:
            reports, self._reports = self._reports, []
            self._journal.extend(reports, Sender.SERVER)
        batch, self._batch = self._batch, []
        seen, self._seen = self._seen, []
        if not batch:
            return
        sequence = self._journal.extend(batch) - len(batch)
        if self._role is None:
            return
        for envelope in seen:
            sequence += 1
            if envelope.kind is Kind.NOTIFICATION:
                self._role.on_notification(sequence, envelope)
            elif envelope.kind is Kind.REQUEST and not self._role.on_request(sequence, envelope):
                self._refuse(envelope)


def _report(raw: bytes, fault: str) -> bytes:
    if isinstance(raw, OversizedLine):
        fault = f"line of {raw.size} bytes is over the limit and was skipped"
    text = raw[:_RAW_KEPT].decode(errors="replace")
    if len(raw) > _RAW_KEPT:
        text += f"... ({len(raw)} bytes)"
    return envelopes.notification("_adapter/invalid_stdout", {"error": fault, "raw": text})
