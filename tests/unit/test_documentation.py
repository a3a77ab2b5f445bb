"""The documentation as a whole: links and named files exist, pages have their place, figures come from results."""

import re
from itertools import permutations, takewhile
from pathlib import Path

import pytest
import typer

from localcloud.cli import app as localcloud
from release.cli.main import app as release
from tests.unit.release.test_floors import FLOOR_OF

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *DOCS.rglob("*.md")])
MAPS = (ROOT / "CONTRIBUTING.md", DOCS / "explanation" / "architecture.md")
COMMANDS = DOCS / "reference" / "commands.md"
MOST_WORDS = 620
"""Of the README: one page."""


def text(page):
    return page.read_text(encoding="utf-8")


def prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)


def name(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"https?:|mailto:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    assert list(dead_links(page)) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](#there) [c](gone.md) [d](page.md#here) `[e](code.md)`\n```\n[f](x)\n```\n")
    assert list(dead_links(page)) == ["#there", "gone.md"]


def test_every_page_stands_in_one_of_the_four_parts_or_beside_them_for_a_reason():
    folders = {page.relative_to(DOCS).parts[0] for page in DOCS.rglob("*.md")}
    assert folders == {
        "index.md",
        *("tutorial", "how-to", "reference", "explanation"),
        *("decisions", "examples", "figures"),
    }


def test_the_readme_is_one_page_with_the_two_commands_and_a_picture():
    readme = text(ROOT / "README.md")
    assert len(readme.split()) <= MOST_WORDS
    assert all(f"\nmake {target} " in readme for target in ("demo", "test"))
    assert re.search(r"^!\[.+\]\(docs/figures/[\w.-]+\)$", readme, re.MULTILINE)


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "explanation" / "safety.md"], ids=name)
def test_how_surely_a_broken_release_is_detected_is_what_was_computed(page):
    figures = text(DOCS / "figures" / "detection.md")
    fails = {
        rate: float(re.search(rf"^\| errors {re.escape(rate)} % \| ([\d.]+)% \|", figures, re.MULTILINE)[1])
        for rate in ("0.1", "1", "5")
    }
    said = " ".join(text(page).split())
    assert re.search(rf"fails 1 % of (them|its questions) (is found )?in {fails['1']:.1f} % of cases", said)
    assert re.search(r"a healthy one (was rejected|failed) in none of 20,000", said)
    assert (fails["0.1"], fails["5"]) == (0, 100)


def test_the_cost_in_the_readme_is_that_of_the_page():
    (total,) = re.findall(r"^\*\*About ([\d.]+) USD a month", text(DOCS / "reference" / "cost.md"), re.MULTILINE)
    assert f"about {round(float(total))} USD a month" in text(ROOT / "README.md")


def test_the_index_of_decisions_is_complete_and_has_their_titles():
    rows = re.findall(
        r"^\| \[(.+)\]\((0\d+-[\w-]+\.md)\) \| .+ \|$", text(DOCS / "decisions" / "index.md"), re.MULTILINE
    )
    records = sorted((DOCS / "decisions").glob("0*.md"))
    assert rows == [(text(record).splitlines()[0].removeprefix("# "), record.name) for record in records]


def table_of(heading):
    """The first column of the table below a heading of the page of commands."""
    section = text(COMMANDS).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = takewhile(lambda line: not line.startswith("#"), section.splitlines())
    cells = [line.split(" | ")[0] for line in rows if line.startswith("| `")]
    return [command for cell in cells for command in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(("program", "app"), [("release", release), ("localcloud", localcloud)])
def test_the_page_of_commands_has_every_command_and_only_options_that_exist(program, app):
    cli, told = typer.main.get_command(app), set()
    for line in table_of(program):
        _, command, *words = line.split()
        told.add(command)
        known = cli.commands[command]
        known = known.commands[words[0]] if hasattr(known, "commands") else known
        options = {option for parameter in known.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) - {"--"} <= options
    assert told == set(cli.commands)


def test_the_page_of_commands_has_every_target_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):.*## ", text(ROOT / "Makefile"), re.MULTILINE)) - {"help"}
    assert {command.removeprefix("make ") for command in table_of("make")} == targets


def test_the_floors_of_the_architecture_are_those_that_the_imports_are_held_to():
    rows = re.findall(r"^\| (\d+) \| (`release/.+?) \|", text(DOCS / "explanation" / "architecture.md"), re.MULTILINE)
    told = {room: int(floor) for floor, rooms in rows for room in re.findall(r"`release/(\w+)[./]", rooms)}
    held = {room: floor for room, floor in FLOOR_OF.items() if room != "__main__"}
    assert held.keys() <= told.keys()
    for one, other in permutations(held, 2):
        assert (told[one] > told[other]) == (held[one] > held[other]), f"{one}, {other}"


def test_the_nine_common_changes_name_the_files_to_touch():
    changes = text(ROOT / "CONTRIBUTING.md").split("\n## Common changes\n")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(changes) == 9
    assert [one.splitlines()[0] for one in changes if not re.search(r"`[\w.]+/[\w./*-]+`|`Pulumi\.", one)] == []


@pytest.mark.parametrize("page", MAPS, ids=name)
def test_every_file_that_a_map_of_the_project_names_exists(page):
    named = set(re.findall(r"`([\w.*-]+(?:/[\w.*-]*)+|[\w*-]+\.(?:py|md|yaml|toml|lock))`", text(page)))
    assert len(named) > 20
    assert [path for path in sorted(named) if not list(ROOT.glob(path.rstrip("/")))] == []


def test_every_situation_in_which_somebody_may_act_names_a_test_that_exists():
    page = text(ROOT / "docs" / "explanation" / "who-may-act.md")
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    shown = [re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", row) for row in rows]
    assert len(rows) > 10
    assert [row for row, test in zip(rows, shown, strict=True) if test is None] == []
    assert [test[2] for test in shown if test and f"\ndef {test[2]}(" not in text(ROOT / test[1])] == []
