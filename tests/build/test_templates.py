"""GitHub takes the forms for issues, and an editor the devcontainer."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
CHECK = ROOT / ".venv" / "bin" / "check-jsonschema"


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-issue-forms", sorted({*FORMS.glob("*.yml")} - {FORMS / "config.yml"})),
        ("vendor.github-issue-config", [FORMS / "config.yml"]),
    ],
)
def test_a_form_is_of_the_schema_of_github(schema, files):
    assert files
    subprocess.run([CHECK, "--quiet", "--builtin-schema", schema, *files], check=True)


def test_the_devcontainer_makes_the_clone_ready():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert settings["postCreateCommand"] == "make setup"
