"""Sandbox Agent inside Jupyter: the server extension and the %agent magics."""
