"""The sandbox's processes and terminals."""
