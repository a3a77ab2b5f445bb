"""Where the local cloud keeps its files: all below `.localcloud/` of this clone, so that two clones never meet.

`LOCALCLOUD_HOME` moves what belongs to one running local cloud, so that a test has one of its own beside a person's;
the engine is built once for both.
"""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".localcloud"
BIN = BUILT / "bin"
ENGINE = BUILT / "engine"

AWS_PLUGIN_VARIABLE = "LOCALCLOUD_AWS_PLUGIN"
AWS_PLUGIN = os.environ.get(AWS_PLUGIN_VARIABLE, "")
"""Folder of an AWS plugin that is used instead of our stand-in; empty for the stand-in."""
# One home per choice: whoever tries another plugin takes it from no command that runs at the same time.
PULUMI_HOME = BUILT / "-".join(
    ["pulumi-home", *([hashlib.sha256(os.path.realpath(AWS_PLUGIN).encode()).hexdigest()[:8]] if AWS_PLUGIN else [])]
)

HOME = Path(os.environ.get("LOCALCLOUD_HOME", BUILT)).resolve()
DATA = HOME / "data"
LOGS = HOME / "logs"
OVERLAYS = HOME / "overlays"
PASSPHRASE_FILE = HOME / "passphrase"
STACKS = HOME / "stacks"
STATE_FILE = HOME / "cloud.json"
