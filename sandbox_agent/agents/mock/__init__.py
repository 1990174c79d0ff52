"""A scriptable ACP agent; see ``agent.py`` for the protocol and ``script.py`` for the script in a prompt."""
