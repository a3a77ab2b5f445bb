"""`release init` writes an account, a repository and its people into all files that hold them, and nothing else."""

import contextlib
import json
import os
import pty
import select
import signal
from pathlib import Path

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from release.bootstrap import init as settling
from release.bootstrap.init import CODEOWNERS, codeowners, plan
from release.cli.main import app
from release.console import Console
from release.errors import UsageError
from release.pulumi.stack_config import STACKS, load
from tests.cloud import BIN
from tests.stacks import copy_to

ALL = ("preprod", "preprod-foundation", "prod", "prod-foundation")
OWNERS = """\
# who approves
*              @traylorre
/release/      @traylorre   # the releaser
/docs/         @writers
/a\\ b/         @traylorre
"""
ADOPTER = (
    *("--account", "481516234299", "--region", "eu-central-1", "--repository", "Acme/news.pipeline"),
    *("--owner-id", "12", "--repository-id", "34", "--reviewer", "ada", "--reviewer", "no", "--mail", "ops@acme.test"),
)
AS_A_BOOTSTRAP_LEAVES_IT = (
    "# first\nsecretsprovider: awskms://alias/x?region=us-east-1\nencryptedkey: " + "A" * 300 + "\n\n"
)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    return made(tmp_path, monkeypatch)


def made(folder, monkeypatch):
    copy_to(folder)
    (folder / CODEOWNERS).parent.mkdir()
    (folder / CODEOWNERS).write_text(OWNERS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RELEASE_STACK_CONFIG", '{"sentiment-pipeline:accountId": "999999999999"}')  # not for the files
    return folder


def texts(folder):
    return {file.name: file.read_bytes() for file in (*folder.glob("Pulumi.*"), folder / CODEOWNERS)}


def run(*words, expected=0, **more):
    ran = CliRunner().invoke(app, ["init", *words], **more)
    assert ran.exit_code == expected, ran.output
    return ran


def settings(folder):
    return {stack: load(stack, folder, {}) for stack in STACKS}


def test_every_stack_and_the_owners_get_what_was_said(clone):
    run(*ADOPTER, "--yes")
    for stack, own in settings(clone).items():
        assert (own.account_id, own.region, own.other_account_id) == ("481516234299", "eu-central-1", "")
        assert (own.github_owner, own.github_repository) == ("Acme", "news.pipeline")
        assert own.on_call_emails == ("ops@acme.test",)
        assert (own.github_owner_id, own.github_repository_id) == (
            ("12", "34") if stack.endswith("-foundation") else ("", "")
        )
    assert load("prod-foundation", clone, {}).reviewers == ("ada", "no")
    assert (clone / CODEOWNERS).read_text() == (OWNERS.replace("@traylorre", "@ada @no")), (
        "whom others own, and comments, stay"
    )


def test_a_second_run_changes_nothing_and_says_so(clone):
    run(*ADOPTER, "--yes")
    before = texts(clone)
    assert "nothing to change" in run(*ADOPTER, "--yes").stdout
    assert json.loads(run("--yes", "--json").stdout) == {"files": [], "written": False, "next": []}
    assert texts(clone) == before


@pytest.mark.parametrize(
    ("words", "files", "key"),
    [
        (("--region", "eu-west-1"), ALL, "aws:region"),
        (("--mail", "a@b.test"), ALL, "sentiment-pipeline:onCallEmails"),
        (("--repository", "a/b"), ALL, "sentiment-pipeline:githubRepository"),
        (("--team", "ops"), ("prod-foundation",), "sentiment-pipeline:reviewerTeams"),
        (("--name-suffix", "acme"), ALL, "sentiment-pipeline:nameSuffix"),
    ],
)
def test_one_option_changes_that_alone(words, files, key, clone):
    def values():
        return {stack: yaml.safe_load((clone / f"Pulumi.{stack}.yaml").read_text())["config"] for stack in ALL}

    before = values()
    run(*words, "--yes")
    changed = {
        (stack, name)
        for stack, now in values().items()
        for name in now.keys() | before[stack].keys()
        if now.get(name) != before[stack].get(name)
    }
    assert changed == {(stack, key) for stack in files}


def test_two_accounts_name_each_other_and_become_one_again(clone):
    run("--account", "222222222222", "--preprod-account", "111111111111", "--yes")
    accounts = {stack: (own.account_id, own.other_account_id) for stack, own in settings(clone).items()}
    for stack, pair in accounts.items():
        assert pair == (
            ("222222222222", "111111111111") if stack.startswith("prod") else ("111111111111", "222222222222")
        )
    run("--account", "333333333333", "--yes")
    assert settings(clone)["preprod"].account_id == "111111111111", "the other account is not the one that was named"
    assert settings(clone)["preprod"].other_account_id == "333333333333"
    run("--preprod-account", "333333333333", "--yes")
    assert {(own.account_id, own.other_account_id) for own in settings(clone).values()} == {("333333333333", "")}


def test_every_other_line_stays_byte_for_byte(clone):
    file = clone / "Pulumi.prod-foundation.yaml"
    file.write_text(
        AS_A_BOOTSTRAP_LEAVES_IT + "config:  # ours\n    aws:region:   us-east-1  # near\n"
        "    aws:allowedAccountIds:\n    - '123456789012'  # the account\n    # below it\n\n"
        "    sentiment-pipeline:accountId: 123456789012\n    sentiment-pipeline:scope: foundation\n"
        "    sentiment-pipeline:environment: prod\n    sentiment-pipeline:ownsShared: true\n"
        "    sentiment-pipeline:reviewers:\n    sentiment-pipeline:watchTags:\n    - ümläut  # last\nbackend: {}\n"
    )
    run(*ADOPTER, "--yes")
    assert file.read_text() == (
        AS_A_BOOTSTRAP_LEAVES_IT + "config:  # ours\n"
        '    aws:region: "eu-central-1"  # near\n'
        '    aws:allowedAccountIds: ["481516234299"]\n    # below it\n\n'
        '    sentiment-pipeline:accountId: "481516234299"\n    sentiment-pipeline:scope: foundation\n'
        "    sentiment-pipeline:environment: prod\n    sentiment-pipeline:ownsShared: true\n"
        '    sentiment-pipeline:reviewers: ["ada", "no"]\n    sentiment-pipeline:watchTags:\n    - ümläut  # last\n'
        '    sentiment-pipeline:githubRepository: "Acme/news.pipeline"\n'
        '    sentiment-pipeline:onCallEmails: ["ops@acme.test"]\n    sentiment-pipeline:githubOwnerId: "12"\n'
        '    sentiment-pipeline:githubRepositoryId: "34"\nbackend: {}\n'
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--account", "123"), "accountId"),
        (("--account", "481516234299", "--region", "nowhere"), "aws:region"),
        (("--repository", "https://github.com/a/b"), "githubRepository"),
        (("--owner-id", "12"), "githubRepositoryId"),
        (("--reviewer", ""), "reviewers"),
        (("--reviewer", "not a login"), "reviewers"),
        (("--mail", "nobody"), "onCallEmails"),
    ],
)
def test_what_the_program_would_refuse_is_refused_before_anything_is_written(words, says, clone):
    before = texts(clone)
    document = json.loads(run(*words, "--yes", "--json", expected=2).stdout)
    assert says in document["why"]
    assert "release init" in document["next_step"]
    assert texts(clone) == before


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Pulumi.prod.yaml", None, "missing"),
        ("Pulumi.prod.yaml", "config: [\n", "Pulumi.prod.yaml"),
        ("Pulumi.prod.yaml", "config: {a: 1}\n", "Pulumi.prod.yaml"),
        ("Pulumi.prod.yaml", b"\xff\xfe", "Pulumi.prod.yaml"),
        (CODEOWNERS, None, "missing"),
        (CODEOWNERS, "/docs/ @a\n", "no line for `*`"),
    ],
)
def test_a_file_that_cannot_be_changed_is_named(name, text, says, clone):
    if text is None:
        (clone / name).unlink()
    else:
        (clone / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    ran = run("--region", "eu-west-1", "--yes", expected=2)
    assert says in ran.stderr
    assert "Traceback" not in ran.output


def test_a_plan_shows_the_difference_and_writes_nothing(clone):
    before = texts(clone)
    ran = run(*ADOPTER, "--plan")
    assert '+  sentiment-pipeline:accountId: "481516234299"' in ran.stdout
    assert "+*              @ada @no" in ran.stdout
    assert "would change: " in ran.stdout
    assert texts(clone) == before


def test_where_nobody_can_be_asked_nothing_is_written(clone):
    before = texts(clone)
    assert "--yes" in run(expected=2).stderr
    assert "--yes" in run(*ADOPTER, expected=2).stderr
    assert texts(clone) == before


@pytest.fixture
def terminal(monkeypatch):
    """Somebody who types these answers; Return where there are no more."""
    monkeypatch.setattr(settling.sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())

    def types(**said):
        asked = []

        def prompt(question, default, **_):
            asked.append((question, default))
            name = next(name for name, known in settling._SETTINGS.items() if known.question == question)
            given = said.get(name, [])
            return given.pop(0) if given else default

        monkeypatch.setattr(typer, "prompt", prompt)
        return asked

    return types


def asked_init(folder, **more):
    return settling.init(folder, {}, Console(), only_plan=False, agreed=False, show=False, **more)


def test_whoever_names_nothing_is_asked_for_everything_and_return_keeps_it(clone, terminal, monkeypatch):
    monkeypatch.setattr(settling.Operator, "agrees", staticmethod(lambda _: True))
    asked = terminal(account=["481516234299"], reviewers=["ada, grace"], mails=["-"])
    assert asked_init(clone).written
    shown = dict(asked)
    assert shown[settling._SETTINGS["repository"].question] == "traylorre/sentiment-pipeline"
    assert shown[settling._SETTINGS["preprod_account"].question] == "481516234299"
    own = load("prod-foundation", clone, {})
    assert (own.account_id, own.other_account_id, own.region) == ("481516234299", "", "us-east-1")
    assert own.reviewers == ("ada", "grace")
    terminal()
    assert asked_init(clone).files == []


def test_a_refused_answer_is_asked_for_again_with_the_others_kept(clone, terminal, monkeypatch):
    monkeypatch.setattr(settling.Operator, "agrees", staticmethod(lambda _: True))
    asked = terminal(account=["12", "481516234299"], mails=["ops@acme.test"])
    asked_init(clone)
    own = load("prod", clone, {})
    assert (own.account_id, own.on_call_emails) == ("481516234299", ("ops@acme.test",))
    assert asked[len(settling._SETTINGS)][1] == "12"


def test_a_no_changes_nothing(clone, terminal, monkeypatch):
    monkeypatch.setattr(settling.Operator, "agrees", staticmethod(lambda _: False))
    terminal(region=["eu-west-1"])
    before = texts(clone)
    with pytest.raises(settling.ReleaseError, match="nothing was changed"):
        asked_init(clone)
    assert texts(clone) == before


@pytest.mark.slow
@pytest.mark.parametrize("typed", [b"\x03", b"\x04"], ids=["ctrl-c", "ctrl-d"])
def test_an_interrupt_on_a_real_terminal_leaves_everything_as_it_was(clone, typed):
    before = texts(clone)
    child, terminal = pty.fork()
    if child == 0:  # the other process: it becomes the command
        os.execv(BIN / "release", ["release", "init"])
    said = b""
    while b"AWS account of production" not in said:  # it asks
        said += os.read(terminal, 4096)
    with contextlib.suppress(OSError):  # the terminal of a process that has ended
        while True:
            if select.select([terminal], [], [], 0.2)[0]:
                said += os.read(terminal, 4096)
            else:  # a key that came between the question and the reading of it was not seen: a person types it again
                os.write(terminal, typed)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    # A second key while the interpreter ends is taken by the system; a shell shows both as 130.
    assert os.waitstatus_to_exitcode(status) in {130, -signal.SIGINT}
    assert b"interrupted" in said
    assert b"Traceback" not in said
    assert texts(clone) == before


def test_a_write_that_fails_leaves_all_files_as_they_were(clone, monkeypatch):
    before = texts(clone)
    changes = plan(clone, {"region": "eu-west-1"})
    assert len(changes) == len(ALL)
    written = []
    real = Path.write_bytes

    def write_bytes(self, data):
        written.append(self)
        if len(written) == len(ALL):
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    assert "No space left" in run("--region", "eu-west-1", "--yes", expected=1).stderr
    assert texts(clone) == before
    assert not list(clone.glob(".Pulumi*"))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)


@given(value=WORDS | st.lists(WORDS, max_size=3).map(tuple), where=st.sampled_from(["scalar", "list", "none", "new"]))
def test_a_value_is_read_as_it_was_said_and_its_neighbours_as_before(value, where):
    text = "config:\n  a: 1\n  scalar: x  # x\n  list:\n    - y\n  # z\n  none:\n  b: [c]\nkey: d\n"
    before, after = yaml.safe_load(text), yaml.safe_load(settling._with(text, "file", where, value))
    assert after["config"].pop(where) == (list(value) if isinstance(value, tuple) else value)
    before["config"].pop(where, None)
    assert after == before


def test_owners_that_are_repaired_are_those_of_everything(clone):
    own = load("prod-foundation", clone, {})
    with pytest.raises(UsageError, match=r"no line for `\*`"):
        codeowners("/a @traylorre\n", own)
    assert (
        codeowners("* @old\r\n/a @old\r\n/b @else # x\r\n", own) == "* @traylorre\r\n/a @traylorre\r\n/b @else # x\r\n"
    )
