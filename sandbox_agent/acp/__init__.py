"""Agents over ACP: framing and envelopes (no I/O), one connection to a process, the registry of servers."""
