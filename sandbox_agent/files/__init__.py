"""The sandbox's files."""

from sandbox_agent.files.opened import OpenFile
from sandbox_agent.files.root import OutsideRoot, Root
from sandbox_agent.files.service import Files

__all__ = ["Files", "OpenFile", "OutsideRoot", "Root"]
