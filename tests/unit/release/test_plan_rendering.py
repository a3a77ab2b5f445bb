"""What people see of a plan: nothing that a document says becomes more than text, and nothing is lost silently."""

import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from release.preview.markdown import LIMIT, comment, full, marker
from release.preview.page import page
from release.preview.plan import (
    UNKNOWN,
    Against,
    Alarm,
    Cost,
    Head,
    PlanDocument,
    PropertyChange,
    ResourceChange,
    StatementChange,
)
from release.preview.remarks import Level, remarks
from release.preview.table import picture
from release.pulumi.changes import Impact
from release.text import one_line
from tests.examples import examples
from tests.unit.release.plan_world import MADE, TABLE, alarm_threshold, many, plan, same, step

RUN = "https://github.com/octo/repo/actions/runs/1"
GITHUB = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
OURS = {"<details>", "</details>"}
SHA = "5a" * 20
HOSTILE = [
    "`",
    "```\n# out",
    "~~~",
    "<!-- sentiment-pipeline stack-preview/prod -->",
    "-->",
    "</details>",
    "</summary><img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "@user and @org/team",
    "[x](http://evil.test)",
    "![x](http://evil.test/a.png)",
    "https://evil.test",
    "#1 GH-2",
    "> [!CAUTION]",
    "| a | b |\n|---|---|",
    "\n\n# heading",
    "\u202etxt.exe\u2066",
    "[bold red]markup[/]",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &#64;user",
    "\\",
    " ",
    "\x1b[31mred",
]
WORD = "Zq7"
"""Stands around every hostile text, so that a test finds it again wherever it lands."""
hostile = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
).map(lambda text: f"{WORD}{text[:200]}{WORD}")


@st.composite
def documents(draw):
    """A document that says something hostile in every field that is text."""
    words = st.lists(hostile, max_size=2).map(tuple)
    resource = st.builds(
        ResourceChange,
        op=st.one_of(st.sampled_from(["create", "update", "delete", "replace"]), hostile),
        type=st.one_of(st.sampled_from([TABLE, "github:index/repositoryRuleset:RepositoryRuleset"]), hostile),
        name=hostile,
        component=st.one_of(st.just(""), hostile),
        change=st.sampled_from(Impact),
        properties=st.lists(
            st.builds(
                PropertyChange,
                path=hostile,
                old=st.none() | hostile,
                new=st.none() | hostile | st.just(UNKNOWN),
                replaces=st.booleans(),
            ),
            max_size=2,
        ).map(tuple),
        statements=st.lists(
            st.builds(StatementChange, path=hostile, added=st.booleans(), statement=hostile, flags=words), max_size=2
        ).map(tuple),
        forced_by=words,
        computed=words,
        protected=st.booleans(),
        retained=st.booleans(),
    )
    return PlanDocument(
        stack="prod",
        head=Head(sha=SHA, changed_files=draw(st.integers(0, 3))),
        against=Against(
            kind=draw(st.sampled_from(["published", "base", "empty"])),
            sha=SHA,
            at=draw(hostile),
            behind=draw(st.integers(0, 2)),
        ),
        changes=tuple(draw(st.lists(resource, max_size=3))),
        alarms=tuple(
            draw(
                st.lists(
                    st.builds(Alarm, name=hostile, before=st.none() | hostile, after=st.none() | hostile), max_size=2
                )
            )
        ),
        costs=tuple(
            draw(
                st.lists(
                    st.builds(Cost, what=hostile, before=st.just(0), after=st.just(1), usd=st.floats(-1e9, 1e9)),
                    max_size=1,
                )
            )
        ),
    )


def parsed(markdown):
    """What GitHub makes of it: text outside of code, and HTML."""
    texts, htmls = [], []

    def walk(tokens):
        for token in tokens:
            if token.type == "inline":
                walk(token.children or [])
            elif token.type in {"html_block", "html_inline"}:
                htmls.append(token.content)
            elif token.type not in {"fence", "code_inline"}:
                texts.append(f"{token.type} {token.content} {token.info} {token.attrs}")

    walk(GITHUB.parse(markdown))
    return "\n".join(texts), htmls


@settings(max_examples=examples(60))
@given(documents())
def test_a_comment_holds_the_documents_text_in_code_alone(document):
    for said in (comment(document, run_url=RUN), full(document)):
        texts, htmls = parsed(said)
        assert WORD not in texts
        assert [html.strip() for html in htmls if "<!--" in html] == [marker("prod")]
        assert said.startswith(marker("prod"))
        assert said.count("<!--") == 1
        for html in htmls:
            for line in html.strip().splitlines():
                assert line in OURS | {marker("prod")} or re.fullmatch(r"<summary>[A-Za-z :\d]+</summary>", line)
        assert "link_open" not in texts.replace(f"link_open  auto {{'href': '{RUN}'}}", "")
        assert "image" not in texts
        assert "h1" not in texts


@settings(max_examples=examples(25))
@given(documents())
def test_the_full_text_says_everything_that_the_document_says(document):
    said = full(document)
    for change in document.changes:
        shown = [prop for prop in change.properties if prop.old or prop.new]
        texts = [change.name, *(text for prop in shown for text in (prop.path, prop.old, prop.new) if text)]
        texts += [one.statement for one in change.statements]
        for text in texts:
            assert one_line(text).replace("<!--", "<! --") in said
    for alarm in document.alarms:
        if {alarm.before, alarm.after} == {None}:
            continue
        assert one_line(alarm.name).replace("<!--", "<! --") in said


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_comment(self, data):
        self.seen.add("comment")


@settings(max_examples=examples(25))
@given(documents())
def test_a_page_has_the_tags_that_we_write_and_no_script(document):
    tags = Tags()
    tags.feed(page([document]))
    whole = {"html", "head", "meta", "title", "style", "body", "main", "section", "details", "summary", "article"}
    assert tags.seen <= whole | {"h1", "h2", "h3", "p", "div", "strong", "ul", "li", "code", "b", "span", "pre"}
    assert tags.attributes <= {"lang", "charset", "http-equiv", "content", "name", "id", "class", "open"}


def test_a_page_shows_every_stack_under_a_policy_that_allows_its_own_style_alone():
    said = page([make() for name, make in MADE.items() if name != "many"])
    assert "default-src 'none'; style-src 'sha256-" in said
    assert 'id="prod-foundation"' in said
    assert "<script" not in said
    assert "&#34;source&#34;" in said


def printed(document, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(picture(document))
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(MADE))
def test_no_line_of_the_terminal_is_longer_than_80_columns(name):
    assert max(cell_len(line) for line in printed(MADE[name]()).splitlines()) <= 80


@settings(max_examples=examples(25))
@given(documents())
def test_the_terminal_gets_no_escape_and_loses_no_name(document):
    said = printed(document)
    assert "\x1b" not in said
    assert max(cell_len(line) for line in said.splitlines()) <= 80
    squeezed = re.sub(r"[\s]", "", said)
    for change in document.changes:
        for text in (prop.path for prop in change.properties if prop.old or prop.new):
            assert re.sub(r"\s", "", one_line(text)) in squeezed


def test_a_narrow_terminal_folds_values_and_keeps_all_of_them():
    value = "v" * 300
    said = printed(plan([step("update", TABLE, "items", old={"name": "a"}, new={"name": value})]))
    assert value in re.sub(r"\s", "", said)


# -- limits


def test_300_resources_fit_into_a_comment_that_counts_all_of_them():
    document = many()
    said = comment(document, run_url=RUN)
    assert len(said) <= LIMIT
    numbers = [int(number) for number in re.findall(r"(\d+) (?:destructive|takes?|only|new)", said.split("\n\n")[1])]
    assert sum(numbers) == len(document.changes) == 300
    assert len(re.findall(r"^- (?:\*\*|`)", said, re.MULTILINE)) == 300
    whole = said.count("  ```diff\n")
    assert f"the details of {300 - whole} resources" in said
    assert whole > 50
    assert f"<{RUN}>" in said


def test_what_is_not_shown_and_what_is_shown_add_up():
    document = many(2_000)
    said = comment(document, run_url=RUN)
    assert len(said) <= LIMIT
    shown = len(re.findall(r"^- (?:\*\*|`)", said, re.MULTILINE))
    missing = re.search(r"Not shown here: .*?(\d+) resources", said)
    assert shown + int(missing[1]) == 2_000
    assert re.search(r"\d+ alarms", said.split("Not shown here: ")[1])


def test_the_most_serious_is_shown_when_there_is_no_room_for_all():
    document = many(2_000)
    lost = ResourceChange(op="delete", type=TABLE, name="precious", change=Impact.DESTRUCTIVE)
    said = comment(document.model_copy(update={"changes": (lost, *document.changes)}), run_url=RUN)
    assert "**delete** `dynamodb.Table` `precious`" in said
    assert "> [!CAUTION]" in said


@pytest.mark.parametrize("length", [290, 20_000])
def test_texts_as_long_as_a_document_may_hold_leave_the_comment_within_the_limit(length):
    text = "`" * length
    number = 60_000 // length
    prop = PropertyChange(path="`" * 300, old=text, new=text)
    change = ResourceChange(
        op="replace",
        type=TABLE,
        name="`" * 300,
        change=Impact.DESTRUCTIVE,
        properties=(prop,) * number,
        forced_by=("`" * 300,) * 200,
        statements=(StatementChange(path="p", added=True, statement=text, flags=("`" * 300,) * 50),) * 3,
    )
    document = PlanDocument(
        stack="prod",
        head=Head(sha=SHA),
        against=Against(kind="published", at="`" * 300),
        changes=(change,) * 20,
        alarms=(Alarm(name="`" * 300, before=text),) * 50,
        costs=(Cost(what="`" * 300, before=0, after=1e9, usd=1e9),) * 500,
    )
    said = comment(document, run_url=RUN, approval="Somebody decides.")
    assert len(said) <= LIMIT
    assert "Not shown here: " in said
    assert WORD not in parsed(said)[0]


def test_a_value_without_its_end_is_counted():
    long = step("update", TABLE, "items", old={"a": "x" * 400}, new={"a": "y" * 400})
    said = comment(plan([long]), run_url=RUN)
    assert "[cut]" in said
    assert "Not shown here: parts of 2 long texts." in said
    assert "y" * 400 in full(plan([long]))


def test_a_plan_without_a_change_is_short():
    said = comment(plan(same(62)), run_url=RUN)
    assert "No change; 62 unchanged." in said
    assert len(said) < 400
    assert "Not shown" not in said


def test_the_approval_stands_before_the_changes():
    said = comment(MADE["table-replacement"](), run_url=RUN, approval="A code owner sets the label `data-loss`.")
    assert said.index("A code owner sets") < said.index("#### Deleted or replaced")


def test_summary_says_numbers_in_words_and_the_cost():
    alarm = step("create", "aws:cloudwatch/metricAlarm:MetricAlarm", "a", new={"name": "a"})
    said = comment(plan([alarm, alarm | {"urn": "urn::b"}, *same(3)]), run_url=RUN)
    assert "**2 new; 3 unchanged; +0.20 USD a month.**" in said


# -- what to look at


def told(document):
    return {remark.text: remark for remark in remarks(document)}


def test_data_that_would_be_lost_comes_first_and_says_what_it_holds():
    first = remarks(MADE["table-replacement"]())[0]
    assert first.level is Level.DANGER
    assert (first.subjects[0].name, first.subjects[0].relation) == ("dynamodb.Table items", "holds items")


def test_a_replacement_names_the_property_that_forces_it():
    found = told(MADE["table-replacement"]())["1 resource is deleted and made again."]
    assert (found.subjects[0].relation, found.subjects[0].values) == ("forced by", ("hashKey",))


def test_a_retained_resource_leaves_the_stack_and_loses_no_data():
    document = plan([step("delete", TABLE, "items", old={"name": "a"}, retainOnDelete=True)])
    assert [remark.level for remark in remarks(document)] == [Level.NOTE]


def test_broad_statements_are_a_warning_with_their_flags():
    found = told(MADE["widened-statement"]())["Policies gain 2 broad statements."]
    assert found.level is Level.WARNING
    assert found.subjects[0].values == ("wildcard action", "wildcard resource", "PassRole")


@pytest.mark.parametrize(
    ("old", "new", "text", "level"),
    [
        ("one", None, "1 alarm goes away.", Level.WARNING),
        ("one", "two", "1 alarm changes its condition.", Level.WARNING),
        (None, "two", "1 alarm is new.", Level.NOTE),
    ],
)
def test_alarms_that_come_go_and_change_are_told_apart(old, new, text, level):
    document = alarm_threshold().model_copy(update={"changes": (), "alarms": (Alarm(name="a", before=old, after=new),)})
    assert [(remark.text, remark.level) for remark in remarks(document)] == [(text, level)]


def test_a_removed_reviewer_and_a_removed_check_are_warnings():
    found = told(MADE["removed-reviewer"]())
    lost = found["2 protections of the repository are removed."]
    assert lost.level is Level.WARNING
    assert [(one.relation, one.values[-1]) for one in lost.subjects] == [
        ("loses", '{"context": "Lint"}'),
        ("loses the reviewer", "octocat (202)"),
    ]
    assert found["1 protection of the repository changes."].subjects[0].values == ("preventSelfReview", "true -> false")


def test_an_added_reviewer_is_a_note():
    kind = "github:index/repositoryEnvironment:RepositoryEnvironment"
    old, new = ({"reviewers": [{"users": users}]} for users in ([1], [1, 2]))
    document = plan([step("update", kind, "production", old=old, new=new)], stack="prod-foundation")
    assert told(document)["1 protection of the repository is added."].subjects[0].relation == "gains the reviewer"


def test_the_last_reviewer_is_removed_too():
    kind = "github:index/repositoryEnvironment:RepositoryEnvironment"
    for new in ({"reviewers": [{"users": []}]}, {"reviewers": []}, {}):
        document = plan([step("update", kind, "production", old={"reviewers": [{"users": [1]}]}, new=new)])
        assert "1 protection of the repository is removed." in told(document)


def test_a_deleted_ruleset_is_a_removed_protection():
    kind = "github:index/repositoryRuleset:RepositoryRuleset"
    assert "1 protection of the repository is removed." in told(plan([step("delete", kind, "main", old={"name": "m"})]))


@pytest.mark.parametrize(
    ("head", "against", "text"),
    [
        ({}, {"kind": "base"}, "with the program of the base, not with what is deployed"),
        ({}, {"kind": "published", "behind": 3}, "an old copy: 3 commits came later"),
        ({}, {"kind": "empty"}, "nothing to compare with"),
        ({"changed_files": 1}, {"kind": "published"}, "1 file that no commit holds"),
    ],
)
def test_a_comparison_that_says_less_says_so(head, against, text):
    document = plan(same(1), head=Head(sha=SHA, **head), against=Against(**against))
    assert [text in remark.text for remark in remarks(document)] == [True]


def test_many_changes_are_folded_and_a_few_are_not():
    assert "<summary>Changed or new: 225 resources</summary>" in comment(many(), run_url=RUN)
    assert "#### Changed or new" in comment(MADE["renamed-function"](), run_url=RUN)


def test_a_page_escapes_names_and_values():
    tag = "<img src=x onerror=alert(1)>"
    one = step("update", TABLE, tag, old={tag: tag}, new={tag: f"{tag}2"}, parent=f"urn::sentiment:service:X::{tag}")
    said = page([plan([one], against=Against(kind="base", at=tag))])
    assert "<img" not in said
    assert said.count("&lt;img") >= 8
