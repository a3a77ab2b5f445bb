"""Where the local cloud keeps its files: all below `.localcloud/` of this clone, so that two clones never meet.

`LOCALCLOUD_HOME` moves what belongs to one running local cloud, so that a test has one of its own beside a person's;
the engine is built once for both.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".localcloud"
BIN = BUILT / "bin"
ENGINE = BUILT / "engine"
PULUMI_HOME = BUILT / "pulumi-home"

HOME = Path(os.environ.get("LOCALCLOUD_HOME", BUILT)).resolve()
DATA = HOME / "data"
LOGS = HOME / "logs"
OVERLAYS = HOME / "overlays"
PASSPHRASE_FILE = HOME / "passphrase"
STACKS = HOME / "stacks"
STATE_FILE = HOME / "cloud.json"
