"""Installs the engine of the clone that runs the tests, with its plugins, as if a registry had given them."""

import os
import shutil
import sys
from pathlib import Path

from run import Run, tell


def main() -> None:
    """Put the CLI into ~/.pulumi/bin, where pulumi/actions puts it, and that folder on the later steps' PATH."""
    (version,) = sys.argv[1:]
    run = Run()
    if version != run.told["pulumi"]["version"]:
        sys.exit(f"the engine of this clone is {run.told['pulumi']['version']}, the workflow wants {version}")
    home = Path(os.environ["HOME"], ".pulumi")
    shutil.copytree(run.told["pulumi"]["bin"], home / "bin")
    shutil.copytree(run.told["pulumi"]["plugins"], home / "plugins", symlinks=True)
    tell("GITHUB_PATH", [str(home / "bin")])


if __name__ == "__main__":
    main()
