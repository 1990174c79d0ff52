"""Append-only numbered logs: producers append, readers pull from their own cursors, a store keeps them.

Memory, SQLite (the default) and PostgreSQL lie underneath. An entry is on disk before a reader sees it.
"""

from sandbox_agent.journal.clock import Clock
from sandbox_agent.journal.engine import Limits, StoreStopped
from sandbox_agent.journal.log import Journal, JournalClosed
from sandbox_agent.journal.records import Records
from sandbox_agent.journal.segment import Reset, Retention, Segment, Sender, StoreHealth
from sandbox_agent.journal.service import Journals, open_journals
from sandbox_agent.journal.store import Record

__all__ = [
    "Clock",
    "Journal",
    "JournalClosed",
    "Journals",
    "Limits",
    "Record",
    "Records",
    "Reset",
    "Retention",
    "Segment",
    "Sender",
    "StoreHealth",
    "StoreStopped",
    "open_journals",
]
