"""An ACP adapter over Amp's execute mode; see ``agent.py``."""
