"""On which machine, and with which versions, a benchmark was measured."""

import os
import platform
import subprocess
from importlib.metadata import version

from localcloud import paths
from localcloud.engine import build
from localcloud.rehearsal import head


def described() -> str:
    """Two lines: commit and machine, versions."""
    cli = build.official_pulumi() or paths.ENGINE / build.PULUMI.executable
    engine = subprocess.run([cli, "version"], capture_output=True, text=True, check=True).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    return (
        f"Commit {head(paths.ROOT)[:12]}; {machine};\n"
        f"Python {platform.python_version()}, Pulumi CLI {engine.removeprefix('v')}, SDK {version('pulumi')}, "
        f"moto {version('moto')};"
    )
