"""The trusted half of the previews over real HTTP: what it says, and every attack of which it must not think well."""

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from contextlib import closing
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from components.github_rules import PREVIEWS
from release.clients.github import GitHub, GitHubError
from release.console import Console
from release.preview import pull_request, upload
from release.preview.approval import LABEL
from release.preview.markdown import marker
from release.preview.pull_request import comment_on_pull, comment_on_run
from tests.examples import examples
from tests.localcloud.parts import ROOT, running_part

REPOSITORY = "/repos/local/sentiment-pipeline"
FORK = "somebody/sentiment-pipeline"
HEAD, OTHER = "a" * 40, "b" * 40
CODEOWNERS = "# who\n* @Traylorre @local/team mail@example.org # @stranger\n"
STACKS = upload.STACKS
TABLE = {
    "op": "replace",
    "type": "aws:dynamodb/table:Table",
    "name": "items",
    "change": "destructive",
    "forced_by": ["hashKey"],
    "properties": [{"path": "hashKey", "old": '"id"', "new": '"key"', "replaces": True}],
}
UPDATE = {"op": "update", "type": "aws:lambda/function:Function", "name": "dashboard", "change": "shared"}
LONG_AGO, LATER = "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def plan(stack="prod", **wanted):
    return {"format": 1, "stack": stack, "head": {"sha": HEAD}, "against": {"kind": "empty"}, "pull": 7, **wanted}


def plans(**changed):
    """All four files; the name of a stack (with underscores) gives its file other contents."""
    given = {name.replace("_", "-"): value for name, value in changed.items()}
    return {f"{stack}.json": json.dumps(given.get(stack, plan(stack))).encode() for stack in STACKS}


def archive(files, *more):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened, warnings.catch_warnings(action="ignore"):
        for name, body in (*files.items(), *more):
            opened.writestr(name, body)
    return packed.getvalue()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A GitHub of this module's own; each test has a pull request of its own on it."""
    with running_part("github", tmp_path_factory.mktemp("github") / "github.log") as url:
        for login, kind in (("somebody", "User"), ("maintainer", "User"), ("labeller[bot]", "Bot")):
            httpx.post(f"{url}/_localcloud/users", json={"login": login, "type": kind}).raise_for_status()
        roles = {"maintainer": "maintain", "somebody": "triage", "traylorre": "write", "labeller[bot]": "admin"}
        for login, role in roles.items():
            httpx.put(f"{url}/_localcloud/roles", json={"login": login, "role_name": role}).raise_for_status()
            httpx.put(f"{url}/_localcloud/tokens", json={"token": f"of-{login}", "login": login}).raise_for_status()
        yield url


class World:
    """One pull request from a fork, the run that previewed it, and what can be read of it afterwards."""

    def __init__(self, address, wire, number, sha):
        self.address, self.wire, self.number, self.sha = address, wire, number, sha
        self.run_id = 1_000 + number
        self.pull()
        self.run()

    def pull(self, **wanted):
        head = {"sha": self.sha, "ref": f"branch-{self.number}", "repo": FORK}
        self.seed("pulls", {"number": self.number, "user": "somebody", "merged": False, "head": head, **wanted})

    def run(self, **wanted):
        run = {
            "id": self.run_id,
            "event": "pull_request",
            "workflow": "stack-preview.yml",
            "head_sha": self.sha,
            "head_branch": f"branch-{self.number}",
            "head_repository": FORK,
            "status": "completed",
            "created_at": LONG_AGO,
            "jobs": [{"name": "Preview"}, {"name": "Checks", "conclusion": "failure"}],
        }
        self.seed("runs", {**run, **wanted})

    def seed(self, what, body):
        self.wire.put(f"{self.address}/_localcloud/{what}", json=body).raise_for_status()

    def upload(self, body, run_id=None, **told):
        """Upload an archive as it is, or files whose commit and number are those of this pull request."""
        if isinstance(body, dict):
            body = archive({name: self.mine(text) for name, text in body.items()})
        path = f"{self.address}/_localcloud/runs/{run_id or self.run_id}/artifacts/previews"
        self.wire.put(path, content=body, params=told).raise_for_status()

    def mine(self, text):
        return text.replace(b'"%s"' % HEAD.encode(), b'"%s"' % self.sha.encode()).replace(
            b'"pull": 7', b'"pull": %d' % self.number
        )

    def api(self, method, path, body=None, token="made-up"):
        url = f"{self.address}/api/v3{REPOSITORY}/{path}"
        answer = self.wire.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return answer.json()

    def label(self, who, name=LABEL):
        self.api("POST", f"issues/{self.number}/labels", {"labels": [name]}, token=f"of-{who}")

    def unlabel(self, who):
        self.api("DELETE", f"issues/{self.number}/labels/{LABEL}", token=f"of-{who}")

    def client(self):
        return closing(GitHub("made-up", "local/sentiment-pipeline", f"{self.address}/api/v3"))

    def comment(self):
        with self.client() as github:
            return comment_on_run(github, self.run_id, CODEOWNERS, Console()).as_dict()

    def relabelled(self):
        with self.client() as github:
            return comment_on_pull(github, self.number, CODEOWNERS, Console()).as_dict()

    @property
    def comments(self):
        return self.api("GET", f"issues/{self.number}/comments")

    def body(self, stack):
        (found,) = [one["body"] for one in self.comments if one["body"].startswith(marker(stack))]
        return found

    @property
    def status(self):
        """State and description of the newest status; nothing where there is none."""
        statuses = self.api("GET", f"commits/{self.sha}/statuses")
        assert {one["context"] for one in statuses} <= {PREVIEWS}
        return (statuses[0]["state"], statuses[0]["description"]) if statuses else None

    def nothing_was_said(self):
        return not self.comments and self.status is None


NUMBERS = iter(range(100, 10_000))


@pytest.fixture(scope="module")
def wire():
    """Return one client for all: each new one reads all the certificates of the system."""
    with httpx.Client() as client:
        yield client


@pytest.fixture
def world(address, wire):
    number = next(NUMBERS)
    return World(address, wire, number, f"{number:040x}")


# What it says


def test_every_stack_gets_one_comment_and_the_commit_its_status(world):
    world.upload(plans(prod=plan(changes=[UPDATE])))
    said = world.comment()
    assert len(world.comments) == len(STACKS)
    assert all(world.body(stack) for stack in STACKS)
    assert {(one["user"]["login"], one["user"]["type"]) for one in world.comments} == {("github-actions[bot]", "Bot")}
    assert world.status == ("success", "changes prod")
    assert said["status"] == "success"
    assert said["digests"]["prod"][:12] in world.body("prod")
    status, reading = world.api("GET", f"commits/{world.sha}/statuses")
    assert reading["state"] == "pending"
    assert status["target_url"].endswith(f"/actions/runs/{world.run_id}")


def test_a_second_run_edits_what_has_changed_and_touches_nothing_else(world):
    world.upload(plans(prod=plan(changes=[UPDATE])))
    world.comment()
    before = {one["id"]: one["body"] for one in world.comments}
    world.upload(plans(prod=plan(changes=[TABLE])))
    world.comment()
    after = {one["id"]: one["body"] for one in world.comments}
    assert before.keys() == after.keys()
    changed = [text for key, text in after.items() if text != before[key]]
    assert changed == [world.body("prod")]


def test_a_comment_that_says_the_same_is_not_sent_again(world, monkeypatch):
    world.upload(plans())
    world.comment()
    seen = []
    real = httpx.Client.request
    monkeypatch.setattr(
        httpx.Client, "request", lambda self, method, *a, **k: (seen.append(method), real(self, method, *a, **k))[1]
    )
    world.comment()
    assert seen.count("POST") == 2  # the status, pending and in the end
    assert "PATCH" not in seen


def test_the_artifact_of_the_newest_attempt_counts(world):
    world.upload(plans(prod=plan(changes=[TABLE])))
    world.upload(plans())
    world.comment()
    assert world.status == ("success", "no stack changes")


def test_a_run_whose_path_names_its_ref_is_known(world):
    world.run(path=".github/workflows/stack-preview.yml@refs/pull/7/merge")
    world.upload(plans())
    world.comment()
    assert world.status is not None


# Where there is nothing to trust


@pytest.mark.parametrize(
    "wanted",
    [
        {"event": "push"},
        {"event": "workflow_dispatch"},
        {"workflow": "build-and-promote.yml"},
        {"path": "other/.github/workflows/stack-preview.yml"},
        {"path": "x@.github/workflows/stack-preview.yml"},
        {"status": "in_progress"},
    ],
)
def test_a_run_of_anything_else_is_refused(world, wanted):
    world.run(**wanted)
    world.upload(plans())
    with pytest.raises(GitHubError, match="no complete run"):
        world.comment()
    assert world.nothing_was_said()


@pytest.mark.parametrize(
    "pull",
    [
        {"head": {"sha": OTHER, "ref": "BRANCH", "repo": FORK}},  # it has moved on
        {"state": "closed"},
        {"merged": True},
        {"head": {"sha": "SHA", "ref": "BRANCH", "repo": "somebody/another"}},  # the same owner, another repository
        {"head": {"sha": "SHA", "ref": "BRANCH", "repo": None}},
        {"head": {"sha": "SHA", "ref": "elsewhere", "repo": FORK}},
    ],
)
def test_without_an_open_pull_request_at_this_very_commit_nothing_is_written(world, pull):
    if "head" in pull:
        names = {"SHA": world.sha, "BRANCH": f"branch-{world.number}"}
        pull = {"head": {key: names.get(value, value) for key, value in pull["head"].items()}}
    world.upload(plans())
    world.pull(**pull)
    assert world.comment()["pull"] is None
    assert world.nothing_was_said()


def test_another_pull_request_from_the_same_branch_name_of_another_fork_is_left_alone(world):
    other = World(world.address, world.wire, next(NUMBERS), world.sha)
    other.pull(head={"sha": world.sha, "ref": f"branch-{world.number}", "repo": "other/sentiment-pipeline"})
    world.upload(plans())
    world.comment()
    assert len(world.comments) == len(STACKS)
    assert other.comments == []


def test_a_pull_request_that_moves_on_while_it_is_read_gets_nothing(world, monkeypatch):
    world.upload(plans())
    real = upload.read

    def slow(*args):
        world.pull(head={"sha": OTHER, "ref": f"branch-{world.number}", "repo": FORK})
        return real(*args)

    monkeypatch.setattr(upload, "read", slow)
    assert world.comment()["pull"] is None
    assert (world.comments, world.status[0]) == ([], "pending")


def test_trouble_in_the_middle_leaves_no_green_status_of_before(world, monkeypatch):
    world.upload(plans())
    world.comment()
    assert world.status[0] == "success"

    def broken(*_):
        raise GitHubError("broken")

    monkeypatch.setattr(GitHub, "upsert_comment", broken)
    with pytest.raises(GitHubError, match="broken"):
        world.relabelled()
    assert world.status[0] == "pending"


@pytest.mark.parametrize("jobs", [[], [{"name": "Preview", "conclusion": "failure"}], [{"name": "Preview"}] * 2])
def test_a_preview_that_was_not_made_fails_even_where_an_earlier_attempt_left_an_archive(world, jobs):
    world.run(jobs=jobs)
    world.upload(plans())
    world.comment()
    assert world.status == ("failure", "no preview was made")
    assert all("no preview was made" in world.body(stack) for stack in STACKS)


def test_without_an_artifact_there_is_no_preview(world):
    world.comment()
    assert world.status == ("failure", "no preview was made")


def test_a_stale_plan_gives_way_to_the_refusal_of_the_next(world):
    world.upload(plans(prod=plan(changes=[TABLE])))
    world.comment()
    assert "Table" in world.body("prod")
    world.upload(b"no archive")
    world.comment()
    assert upload.UNREADABLE in world.body("prod")
    assert "Table" not in world.body("prod")
    assert world.status[0] == "failure"


# The archive


def _says(world, sentence, stacks=STACKS):
    world.comment()
    said = [stack for stack in STACKS if sentence in world.body(stack)]
    return said == list(stacks) and world.status[0] == "failure"


def test_an_archive_that_is_too_large_is_refused_by_its_told_size(world):
    world.upload(plans(), size_in_bytes=upload.LONGEST_ARCHIVE + 1)
    assert _says(world, pull_request.TOO_LARGE)


def test_an_archive_that_is_larger_than_told_is_cut_off_while_it_comes(world):
    world.upload(archive(plans()) + bytes(upload.LONGEST_ARCHIVE), size_in_bytes=10)
    assert _says(world, pull_request.TOO_LARGE)


def test_an_archive_that_has_expired_is_said_to_have(world):
    world.upload(plans(), expired=True)
    assert _says(world, pull_request.EXPIRED)


def test_bytes_that_are_no_archive_are_refused(world):
    world.upload(b"PK\x05\x06 and nothing more")
    assert _says(world, upload.UNREADABLE)


def test_a_bomb_is_not_unpacked(world):
    world.upload({**plans(), "prod.json": bytes(100_000_000)})
    assert _says(world, upload.TOO_LONG, ["prod"])


def test_a_header_that_lies_about_its_size_gets_no_more_than_the_limit():
    body = archive({**plans(), "prod.json": bytes(50_000_000)})
    told = (50_000_000).to_bytes(4, "little")
    assert body.count(told) == 2
    read = upload.read(body.replace(told, (500_000).to_bytes(4, "little")), HEAD, 7)
    assert read["prod"] == upload.BROKEN
    shown = archive(plans())
    size = len(plans()["prod.json"])
    start = shown.rindex(b"PK\x01\x02", 0, shown.rindex(b"prod.json"))
    lied = shown[: start + 24] + (size + 9).to_bytes(4, "little") + shown[start + 28 :]
    assert upload.BROKEN in upload.read(lied, HEAD, 7).values()


@pytest.mark.parametrize(
    "name", ["../prod.json", "/etc/prod.json", "x/prod.json", "prod.json/", "PROD.JSON", "evil.sh"]
)
def test_other_files_and_paths_are_neither_read_nor_written(world, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = plans()
    del files["prod.json"]
    world.upload({**files, name: json.dumps(plan(changes=[UPDATE])).encode()})
    assert _says(world, upload.MISSING, ["prod"])
    assert list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent / "prod.json").exists()


def test_extra_files_do_no_harm(world):
    world.upload({**plans(), "../x": b"#!", "notes.md": b"@somebody"})
    world.comment()
    assert world.status[0] == "success"


def test_a_file_that_is_there_twice_is_refused():
    twice = archive(plans(), ("prod.json", json.dumps(plan(changes=[TABLE]))))
    assert upload.read(twice, HEAD, 7)["prod"] == upload.TWICE


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_the_usual_ways_of_packing_are_unpacked(how):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as opened:
        for name, body in plans().items():
            opened.writestr(name, body)
    assert set(upload.read(packed.getvalue(), HEAD, 7).values()) == {upload.BROKEN}


@settings(max_examples=examples(150))
@given(st.data())
def test_no_byte_of_an_archive_makes_it_more_than_refused(data):
    body = bytearray(archive(plans()))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for stack, read in upload.read(bytes(body), HEAD, 7).items():
        assert isinstance(read, str) or (read.stack, read.head.sha) == (stack, HEAD)


# The documents


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], upload.NO_PLAN),
        ("plan", upload.NO_PLAN),
        ({"stack": "prod"}, upload.NO_PLAN),
        (plan(format=2), upload.NO_PLAN),
        (plan(extra="field"), upload.NO_PLAN),
        (plan(pull="7"), upload.NO_PLAN),
        (plan(stack="another"), upload.NO_PLAN),
        (plan(unchanged=1.5), upload.NO_PLAN),
        (plan(costs=[{"what": "x", "before": 0.0, "after": 1e308 * 10, "usd": 1.0}]), upload.NO_PLAN),
        (plan(changes=[{**UPDATE, "change": "harmless"}]), upload.NO_PLAN),
        (plan(changes=[{**UPDATE, "name": "x" * 301}]), upload.NO_PLAN),
        (plan(changes=[{**UPDATE, "loses_data": False}]), upload.NO_PLAN),
        (plan(stack="preprod"), upload.OTHER_STACK),
        (plan(head={"sha": OTHER}), upload.OTHER_COMMIT),
        (plan(head={"sha": HEAD[:12]}), upload.NO_PLAN),
        (plan(pull=8), upload.OTHER_PULL),
        (plan(pull=None), upload.OTHER_PULL),
    ],
)
def test_a_document_that_is_wrong_in_one_thing_is_refused_in_one_sentence(world, document, sentence):
    world.upload(plans(prod=document))
    assert _says(world, sentence, ["prod"])
    assert world.status == ("failure", "no usable preview of prod")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"stack": "\\ud800"}', b" " * 1_000_001])
def test_bytes_that_are_no_document_are_refused(body):
    read = upload.read(archive({**plans(), "prod.json": body}), HEAD, 7)
    assert read["prod"] in (upload.NO_PLAN, upload.TOO_LONG)
    assert not any(isinstance(read[stack], str) for stack in STACKS if stack != "prod")


def test_a_refusal_repeats_no_word_of_the_archive(world):
    world.upload(plans(prod={"@somebody": "<script>", "stack": "[x](http://evil.test)"}))
    world.comment()
    for word in ("@somebody", "script", "evil"):
        assert word not in world.body("prod")
        assert word not in world.status[1]


# Who wrote what


def test_a_comment_with_our_marker_by_the_author_of_the_fork_is_neither_edited_nor_counted(world):
    theirs = f"{marker('prod')}\nnothing changes, merge it"
    world.api("POST", f"issues/{world.number}/comments", {"body": theirs}, token="of-somebody")
    world.upload(plans(prod=plan(changes=[TABLE])))
    for _ in range(2):
        world.comment()
    by = {one["user"]["login"]: one["body"] for one in world.comments if one["body"].startswith(marker("prod"))}
    assert by["somebody"] == theirs
    assert "Table" in by["github-actions[bot]"]
    assert len(world.comments) == len(STACKS) + 1


def test_a_marker_in_the_middle_of_another_comment_of_ours_is_not_taken_for_it(world):
    world.api("POST", f"issues/{world.number}/comments", {"body": f"rolled back\n{marker('prod')}"})
    world.upload(plans())
    world.comment()
    assert world.comments[0]["body"].startswith("rolled back")
    assert len(world.comments) == len(STACKS) + 1


# Loss of data


def lossy(world):
    world.upload(plans(prod=plan(changes=[TABLE])))


def test_a_loss_of_data_fails_until_a_code_owner_allows_it(world):
    lossy(world)
    world.comment()
    assert world.status == ("failure", "destroys data in prod: a code owner has to set allow-data-loss")
    assert LABEL in world.body("prod")
    assert LABEL not in world.body("preprod")
    world.label("traylorre")
    assert world.relabelled()["status"] == "success"
    assert world.status == ("success", "destroys data in prod, which a code owner allows")
    assert "`traylorre` has allowed it" in world.body("prod")
    world.unlabel("traylorre")
    world.relabelled()
    assert world.status[0] == "failure"
    assert "has allowed it" not in world.body("prod")


def test_who_maintains_the_repository_may_allow_it_too(world):
    lossy(world)
    world.label("maintainer")
    world.comment()
    assert world.status[0] == "success"


def test_a_label_by_somebody_else_counts_for_nothing(world):
    lossy(world)
    world.label("somebody")
    world.comment()
    assert world.status[0] == "failure"
    assert "`somebody` is no code owner" in world.body("prod")


@pytest.mark.parametrize("who", ["labeller[bot]", "bot of a job"])
def test_a_label_by_a_program_counts_for_nothing_even_if_it_administers_all(world, who):
    lossy(world)
    world.label(who)
    world.comment()
    assert world.status[0] == "failure"
    assert "no person" in world.body("prod")


def test_a_label_that_is_older_than_the_push_counts_for_nothing_until_it_is_set_again(world):
    lossy(world)
    world.label("traylorre")
    world.run(created_at=LATER)
    world.comment()
    assert world.status[0] == "failure"
    assert "before this commit was previewed" in world.body("prod")
    world.unlabel("traylorre")
    world.label("traylorre")
    world.run(created_at=LONG_AGO)
    world.relabelled()
    assert world.status[0] == "success"


def test_a_later_run_of_the_same_commit_makes_a_label_old(world):
    """The branch may have been elsewhere in between: what was allowed then is not what stands there now."""
    lossy(world)
    world.label("traylorre")
    later = world.run_id + 50_000
    world.run(id=later, created_at=LATER, status="in_progress")
    world.comment()
    assert world.status[0] == "failure"


def test_the_newest_setting_of_the_label_counts(world):
    lossy(world)
    world.label("traylorre")
    world.unlabel("traylorre")
    world.label("somebody")
    world.comment()
    assert world.status[0] == "failure"


def test_another_label_allows_nothing(world):
    lossy(world)
    world.label("traylorre", "allow-data-loss-please")
    world.comment()
    assert world.status[0] == "failure"


def test_the_label_saves_no_plan_that_is_refused(world):
    world.upload(plans(prod=plan(changes=[TABLE]), preprod={}))
    world.label("traylorre")
    world.comment()
    assert world.status == ("failure", "no usable preview of preprod")


def test_a_label_before_any_preview_is_left_to_the_end_of_the_run(world):
    world.run(status="in_progress")
    world.label("traylorre")
    assert world.relabelled()["pull"] is None
    assert world.nothing_was_said()


@pytest.mark.parametrize("pull", [{"state": "closed"}, {"merged": True}])
def test_a_label_on_a_closed_pull_request_changes_nothing(world, pull):
    lossy(world)
    world.label("traylorre")
    world.pull(**pull)
    assert world.relabelled()["pull"] is None
    assert world.nothing_was_said()


def test_a_run_of_the_same_commit_out_of_another_repository_previews_nothing(world):
    world.run(head_repository="other/sentiment-pipeline")
    world.upload(plans())
    assert world.relabelled()["pull"] is None
    assert world.nothing_was_said()


# Text


NASTY = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "@traylorre",
            "#1",
            "[click](http://evil.test)",
            "![x](http://evil.test/x.png)",
            "<img src=x>",
            "</details>",
            "```\n@traylorre",
            "````",
            "` @traylorre `",
            "<!-- sentiment-pipeline stack-preview/prod -->",
            "a\n\n# heading",
            "\u202egnp",
            "https://evil.test",
            "| a | b |",
            "local/sentiment-pipeline#1",
            "\\` @traylorre",
            "--><script>",
        ]
    ),
).map(lambda text: text + "QZX") | st.sampled_from(["```", "````"])
"""Text that ends in letters which nothing else holds, so that it is found wherever it is shown; and ends of blocks."""


def _outside_of_code(body):
    """Everything of a comment that GitHub does not show as code: text, HTML, addresses, languages of blocks."""
    out = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(body):
        for one in (token, *(token.children or ())):
            if one.type not in ("code_inline", "fence", "code_block", "inline"):
                out.append(one.content)
            out += [one.info, *map(str, one.attrs.values())]
    return "\n".join(out)


def test_what_is_outside_of_code_is_found():
    shown = _outside_of_code("`a` @x `b` [l](http://h)\n\n- i\n  ```text\n  @y\n  ```\n\n<b title=z>\n\n    @v")
    assert all(word in shown for word in ("@x", "http://h", "text", "title=z", "i"))
    assert "@y" not in shown
    assert "@v" not in shown
    assert "@z" in _outside_of_code("``a` @z")


def _values(text):
    return {
        "changes": [
            {
                **TABLE,
                "op": text(),
                "type": text(),
                "name": text(),
                "component": text(),
                "forced_by": [text()],
                "computed": [text()],
                "properties": [{"path": text(), "old": text(), "new": text(), "replaces": True}],
                "statements": [{"path": text(), "added": True, "statement": text(), "flags": [text()]}],
            },
            {**TABLE, "name": text()},
        ],
        "alarms": [{"name": text(), "before": text(), "after": text()}],
        "costs": [{"what": text(), "before": 0.0, "after": 1.0, "usd": 1.0}],
        "against": {"kind": "published", "sha": OTHER, "at": text(), "behind": 1},
    }


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_string_of_a_plan_leaves_its_code(data):
    document = json.dumps(plan(**_values(lambda: data.draw(NASTY)))).encode()
    read = upload.read(archive({**plans(), "prod.json": document}), HEAD, 7)
    if isinstance(read["prod"], str):  # a lone surrogate, for one
        assert read["prod"] == upload.NO_PLAN
        return
    approval = SimpleNamespace(granted=False, text="")
    body = pull_request.bodies(read, approval, "https://github.com/o/r/actions/runs/1")["prod"]
    shown = _outside_of_code(body)
    for wrong in ("QZX", "@traylorre", "evil.test", "<img", "<script", "# heading"):
        assert wrong not in shown
    assert body.startswith(marker("prod"))
    assert body.count("<!-- sentiment-pipeline") == 1
    assert len(body) <= 65_536


# The command


def _command(address, *args, **environment):
    return subprocess.run(
        [sys.executable, "-m", "release", "comment", *args],
        cwd=ROOT,
        env={**os.environ, "GITHUB_API_URL": f"{address}/api/v3", "GITHUB_REPOSITORY": "local/sentiment-pipeline"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_comments_and_says_what_it_did(world):
    world.upload(plans())
    done = _command(world.address, "--run", str(world.run_id), "--json", GITHUB_TOKEN="made-up")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pull"] == world.number
    assert world.status == ("success", "no stack changes")
    again = _command(world.address, "--pull", str(world.number), GITHUB_TOKEN="made-up")
    assert (again.returncode, again.stdout.strip()) == (0, "no stack changes")
    assert len(world.comments) == len(STACKS)


@pytest.mark.parametrize("args", [[], ["--run", "1", "--pull", "1"]])
def test_the_command_needs_exactly_one_thing_to_comment_on(address, args):
    assert _command(address, *args, GITHUB_TOKEN="made-up").returncode == 2


def test_trouble_with_github_is_told_apart_from_a_wrong_call(address):
    assert _command(address, "--run", "1", GITHUB_TOKEN="made-up").returncode == 1
    assert _command(address, "--run", "1", GITHUB_TOKEN="").returncode == 2
