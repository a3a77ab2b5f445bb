"""Takes an artifact of the same run from the local GitHub."""

import io
import sys
import zipfile

from run import Run


def main() -> None:
    """Unpack it; one that was never uploaded is an error."""
    name, target = sys.argv[1:]
    run = Run()
    found = run.ask(f"/actions/runs/{run.told['run']['id']}/artifacts", name=name)["artifacts"]
    if not found:
        sys.exit(f"this run has no artifact {name}")
    packed = run.github.get(f"/actions/artifacts/{found[0]['id']}/zip", follow_redirects=True).raise_for_status()
    zipfile.ZipFile(io.BytesIO(packed.content)).extractall(target)


if __name__ == "__main__":
    main()
