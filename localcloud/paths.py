"""Where the local cloud keeps its files: all below `.localcloud/` of this clone, so that two clones never meet."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".localcloud"
BIN = HOME / "bin"
DATA = HOME / "data"
ENGINE = HOME / "engine"
LOGS = HOME / "logs"
OVERLAYS = HOME / "overlays"
PULUMI_HOME = HOME / "pulumi-home"
STACKS = HOME / "stacks"
STATE_FILE = HOME / "cloud.json"
PASSPHRASE_FILE = HOME / "passphrase"
