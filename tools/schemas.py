"""Check what GitHub reads against its published schemas, in one process: importing the checker is what takes long."""

import sys
from pathlib import Path

from check_jsonschema import main

FILES = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.github-actions": ".github/actions/*/action.yml",
    "vendor.dependabot": ".github/dependabot.yml",
}

if __name__ == "__main__":
    failed = [
        schema
        for schema, pattern in FILES.items()
        if main(["--quiet", "--builtin-schema", schema, *map(str, Path().glob(pattern))], standalone_mode=False)
    ]
    sys.exit(f"against the schema: {', '.join(failed)}" if failed else 0)
