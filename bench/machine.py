"""On which machine, and with which versions, a benchmark was measured."""

import os
import platform
import re
import subprocess
from importlib.metadata import version

from localcloud import paths
from localcloud.engine import build
from localcloud.rehearsal.broken_releases import head


def described() -> str:
    """Two lines: commit and machine, versions."""
    cli = build.official_pulumi() or paths.ENGINE / build.PULUMI.executable
    said = subprocess.run([cli, "version"], capture_output=True, text=True, check=True).stdout.strip()
    # The CLI that we build says nothing: it is the one that its Go module pins.
    engine = said or re.findall(r"pulumi/pkg/v3 (v\S+)", (build.PULUMI.source / "go.mod").read_text())[0]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    return (
        f"Commit {head(paths.ROOT)[:12]}; {machine};\n"
        f"Python {platform.python_version()}, Pulumi CLI {engine.removeprefix('v')}, SDK {version('pulumi')}, "
        f"moto {version('moto')};"
    )
