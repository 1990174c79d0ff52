"""Settings that the standalone server and the Jupyter extension share, as traits."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs
from traitlets import Float, HasTraits, Int, Unicode

from sandbox_agent.journal import Retention
from sandbox_agent.sandbox import SandboxConfig
from sandbox_agent.sessions import SessionOptions

APP_NAME = "sandbox-agent"
DATABASE = "sandbox-agent.db"
PRIVATE = 0o700
DAY = 86400.0


class ServiceSettings(HasTraits):
    """Where things are kept and how long is waited."""

    data_dir = Unicode(
        help="Folder that sessions and events are kept in, made for this user only. Empty: the user's data directory."
    ).tag(config=True)
    store = Unicode(
        help="URL of the store in place of a file in the data directory: sqlite:///PATH, postgresql://..., or memory:"
    ).tag(config=True)
    agents_config = Unicode(help="JSON or TOML file with custom agents.").tag(config=True)
    max_body_bytes = Int(
        0, min=0, help="Largest JSON body accepted, in bytes. 0: the limit of each route (256 MiB for ACP)."
    ).tag(config=True)
    max_upload_bytes = Int(
        0, min=0, help="Largest file or archive that may be uploaded, in bytes. 0: as large as the disk takes."
    ).tag(config=True)
    root = Unicode(
        help="Folder that the file routes are confined to: no path and no link leads out of it. Empty: not confined."
    ).tag(config=True)
    retain_bytes = Int(
        0, min=0, help="Bytes of events kept of a session or ACP server; the oldest go. 0 keeps all."
    ).tag(config=True)
    retain_days = Float(0.0, min=0, help="Days that events are kept. 0 keeps them for good.").tag(config=True)
    agent_start_seconds = Float(
        60.0, min=0.01, help="How long an agent may take to answer initialize, and to make a session; then it is ended."
    ).tag(config=True)
    cancel_grace_seconds = Float(
        5.0, min=0.0, help="How long an agent may take to end a cancelled turn; then it is replaced."
    ).tag(config=True)
    heartbeat_seconds = Float(15.0, min=0.01, help="An idle event stream sends a heartbeat event this often.").tag(
        config=True
    )

    def sandbox_config(self, store: Path | str, *, adopt_orphans: bool) -> SandboxConfig:
        """The services these settings describe, over ``store``."""
        retention = Retention(max_bytes=self.retain_bytes or None, max_age_s=self.retain_days * DAY or None)
        return SandboxConfig(
            store=store,
            agents=Path(self.agents_config).expanduser() if self.agents_config else None,
            retention=retention,
            sessions=SessionOptions(
                initialize_deadline=self.agent_start_seconds,
                session_deadline=self.agent_start_seconds,
                cancel_grace=self.cancel_grace_seconds,
                retention=retention,
            ),
            adopt_orphans=adopt_orphans,
            root=Path(self.root).expanduser() if self.root else None,
        )


def user_data_dir() -> Path:
    """The data directory of this user, honouring ``XDG_DATA_HOME``."""
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False))


def private_dir(path: Path) -> Path:
    """The folder, made if need be, open to this user only. Raises ``OSError``."""
    path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(PRIVATE)
    return path
