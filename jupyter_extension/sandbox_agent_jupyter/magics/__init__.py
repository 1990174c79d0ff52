"""``%agent`` and ``%%agent``: drive coding agents from notebook cells."""
