"""A fourth function is one row in the table and one folder in `lambdas/`: shown in a copy of this repository.

`make check` takes minutes, and most of it knows no function. Here runs what could notice a fourth one: the linters over
its folder, the tests that read the table or the folders, and a preview on the real engine.
"""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.cloud import BIN, ROOT
from tests.stacks import copy_to, repository_copy
from tests.unit.workflows.test_rules import DEPENDABOT_ENTRY

pytestmark = [pytest.mark.engine, pytest.mark.stack_files, pytest.mark.timeout(600)]

ROW = """    FunctionSpec(
        key="digest",
        description="Counts the new items of a day",
        trigger=Trigger.TOPIC,
        environment=lambda _settings, _arns: {},
        statements=lambda _arns: [],
        probes=(Probe(name="counts an item", event={"probe": True}, answer={"counted": 1}),),
        sample=(Probe(name="counts an item", event={"probe": True}, answer={"counted": 1}),),
    ),
"""
FOLDER = {
    "handler.py": '''"""Entry of the digest function: counts what is announced."""

import os
from typing import Any


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return how many items an event announces."""
    counted = len(event["Records"])
    return {"counted": counted, "release": os.environ["RELEASE_SHA"], "digest": os.environ["RELEASE_DIGEST"]}
''',
    "pyproject.toml": """[project]
name = "digest"
version = "0"
requires-python = "==3.11.*"
dependencies = []

[tool.uv]
package = false

[tool.release]
aws-services = []
size-budget-mb = 1
""",
    "uv.lock": """version = 1
revision = 3
requires-python = "==3.11.*"

[[package]]
name = "digest"
version = "0"
source = { virtual = "." }
""",
}
READS_THE_TABLE = re.compile(r'service\.functions import|bench\.cost|"lambdas"|lambdas/')
ASKS_FOR_MORE = {
    "test_dependabot_has_an_entry_for_each_function_and_keeps_major_versions_apart_from_the_others",
    "test_the_page_is_not_older_than_the_program",
}
MADE = {
    "Role": "digest",
    "RolePolicy": "digest",
    "LogGroup": "digest",
    "Function": "digest",
    "TopicSubscription": "digest-topic",
    "Permission": "digest-topic",
    "MetricAlarm": "digest-errors",
}


def _git(folder, *words):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository with a fourth function that nobody has committed yet."""
    folder = repository_copy(tmp_path_factory.mktemp("fourth") / "copy")
    copy_to(folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / ".localcloud").symlink_to(ROOT / ".localcloud")
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "base")
    table = folder / "components" / "service" / "functions.py"
    before, end, after = table.read_text().partition(")\nKEYS: Final")
    assert end
    table.write_text(before + ROW + end + after)
    (folder / "lambdas" / "digest").mkdir()
    for name, text in FOLDER.items():
        (folder / "lambdas" / "digest" / name).write_text(text)
    _git(folder, "add", ".")
    return folder


@pytest.fixture(scope="module")
def run(copy):
    """Run a command in the copy, with the copy's own modules."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def in_copy(*command, expected=0, **variables):
        env = mine | {"PYTHONPATH": str(copy)} | variables
        ran = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == expected, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    return in_copy


def test_its_folder_and_the_table_pass_the_linters(run):
    run(BIN / "ruff", "format", "--check", "lambdas/digest", "components")
    run(BIN / "ruff", "check", "lambdas/digest", "components")
    run(BIN / "ty", "check", "--quiet", "components")
    run(BIN / "ty", "check", "--quiet", "lambdas/digest/handler.py", "--extra-search-path", "lambdas/digest")


def test_of_the_tests_that_read_the_table_two_ask_for_more_and_say_what(run, copy):
    reading = [
        path for path in (copy / "tests" / "unit").rglob("test_*.py") if READS_THE_TABLE.search(path.read_text())
    ]
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider")
    said = run(*pytest_, *map(str, sorted(reading)), expected=1)
    assert set(re.findall(r"^(?:FAILED|ERROR) .*?::(\w+)", said, re.MULTILINE)) == ASKS_FOR_MORE
    # What they say is all that there is left to do.
    entry = DEPENDABOT_ENTRY.format(key="digest")
    assert [line for line in entry.splitlines() if line not in said] == []
    with (copy / ".github" / "dependabot.yml").open("a") as file:
        file.write(entry)
    assert "python -m bench.cost > docs/reference/cost.md" in said
    (copy / "docs" / "reference" / "cost.md").write_text(run(sys.executable, "-m", "bench.cost"))
    run(*pytest_, "tests/unit/workflows/test_rules.py", "tests/unit/test_cost.py", "-k", " or ".join(ASKS_FOR_MORE))


def test_its_preview_shows_all_that_belongs_to_it_and_nothing_else(run, cloud):
    said = run(BIN / "release", "preview", "--stack", "preprod", "--base", "HEAD", "--json", **cloud.variables)
    changes = {(one["op"], one["type"].split(":")[-1], one["name"]) for one in json.loads(said)["changes"]}
    aliases = {("create", "Alias", f"digest-{alias}") for alias in ("candidate", "live")}
    made = {("create", *one) for one in MADE.items()}
    assert changes == made | aliases | {("update", "Dashboard", "overview")}
