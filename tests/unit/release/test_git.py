"""What a repository, its owner's settings and the caller's variables can hold, and what a commit then is to us."""

import os
import re
import subprocess
from datetime import UTC, datetime

import pytest

from release.git.commit import find_commit
from release.git.history import changes_between, contains
from release.git.plumbing import CommitError

pytestmark = pytest.mark.slow

WHO = {f"GIT_{who}_{what}": "a@acme.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | WHO
CLEAN["GIT_CONFIG_GLOBAL"] = os.devnull


class Repository:
    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words, stdin=b"", **variables):
        done = subprocess.run(
            ["git", *words], cwd=self.path, env=CLEAN | variables, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def commit(self, name=b"folder/file", date="1790000000 +0000"):
        file = os.path.join(os.fsencode(self.path), name)  # noqa: PTH118 -- bytes
        os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120
        with open(file, "wb") as opened:  # noqa: PTH123
            opened.write(b"content")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "m", GIT_COMMITTER_DATE=date)
        return self.git("rev-parse", "HEAD")

    def commit_object(self, committer):
        """A commit as no git command writes one."""
        tree = self.git("rev-parse", "HEAD^{tree}")
        text = f"tree {tree}\nauthor A <a@acme.test> 0 +0000\ncommitter {committer}\n\nm\n"
        return self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text.encode())


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


def read(repository, sha):
    found = find_commit(repository.path, sha)
    return found.committed_at, [(file.path, file.content) for file in found.files("folder")]


EXPECTED = datetime.fromtimestamp(1790000000, UTC), [("folder/file", b"content")]


@pytest.mark.parametrize(
    "setting", ["log.showSignature=true", "log.mailmap=false", "core.quotePath=true", "diff.noprefix=true"]
)
def test_a_persons_settings_change_no_answer(repository, setting, tmp_path, monkeypatch):
    sha = repository.commit()
    name, value = setting.split("=")
    settings = tmp_path / "settings"
    subprocess.run(["git", "config", "--file", settings, name, value], check=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert read(repository, sha) == EXPECTED


def test_a_signed_commit_is_read_by_who_shows_signatures(repository, monkeypatch, tmp_path):
    repository.commit()
    tree = repository.git("rev-parse", "HEAD^{tree}")
    signed = (
        f"tree {tree}\nauthor A <a@acme.test> 1790000000 +0000\ncommitter A <a@acme.test> 1790000000 +0000\n"
        "gpgsig -----BEGIN SSH SIGNATURE-----\n committer A <a> 1 +0000\n -----END SSH SIGNATURE-----\n\nm\n"
    )
    sha = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=signed.encode())
    settings = tmp_path / "settings"
    settings.write_text("[log]\n\tshowSignature = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert read(repository, sha) == EXPECTED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nowhere"),
        ("GIT_WORK_TREE", "/nowhere"),
        ("GIT_COMMON_DIR", "/nowhere"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere"),
        ("GIT_NAMESPACE", "other"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_ICASE_PATHSPECS", "1"),
        ("GIT_CONFIG_PARAMETERS", "'core.bare=x'"),
        ("GIT_CONFIG_COUNT", "many"),
        ("GIT_TRACE", "1"),
    ],
)
def test_a_variable_of_the_caller_changes_no_answer(repository, name, value, monkeypatch):
    sha = repository.commit()
    monkeypatch.setenv(name, value)
    assert read(repository, sha) == EXPECTED


def test_a_file_monitor_of_the_repositorys_own_settings_is_not_run(repository, tmp_path):
    sha, mark = repository.commit(), tmp_path / "ran"
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {mark}\n")
    monitor.chmod(0o755)
    repository.git("config", "core.fsmonitor", str(monitor))
    assert find_commit(repository.path, sha).uncommitted("folder") == 0
    assert not mark.exists()


def test_a_file_whose_name_is_not_utf_8_is_refused_by_name(repository):
    sha = repository.commit(b"folder/caf\xe9.txt")
    with pytest.raises(CommitError, match=r"not UTF-8: b'folder/caf\\xe9.txt'") as refused:
        read(repository, sha)
    assert refused.value.next_step


def test_a_change_of_such_a_file_is_a_change_like_any_other(repository):
    before, after = repository.commit(), repository.commit(b"folder/caf\xe9.txt")
    (change,) = changes_between(repository.path, before, after, re.compile(".*"))
    assert (change.path, change.edited) == (r"folder/caf\xe9.txt", False)


def test_a_name_in_any_other_letters_is_read(repository):
    sha = repository.commit("folder/\u00fc \u65e5\n\t\U0001f600".encode())
    assert [path for path, _ in read(repository, sha)[1]] == ["folder/\u00fc \u65e5\n\t\U0001f600"]


@pytest.mark.parametrize("seconds", [-62135596801, -1, 0, 253402300800, 2**62, 10**30, 4102444800])
def test_a_time_that_no_clock_shows_is_refused_with_the_time(repository, seconds):
    repository.commit()
    sha = repository.commit_object(f"A <a@acme.test> {seconds} +0000")
    with pytest.raises(CommitError, match=f"{abs(seconds)} seconds (after|before) 1970"):
        read(repository, sha)


@pytest.mark.parametrize("committer", ["A <a@acme.test>", "A <a@acme.test> soon +0000", "A <a@acme.test> 1790000000"])
def test_a_commit_without_a_time_is_refused(repository, committer):
    repository.commit()
    with pytest.raises(CommitError, match="at a time that is no number"):
        read(repository, repository.commit_object(committer))


def test_a_zone_that_nobody_lives_in_changes_no_time(repository):
    repository.commit()
    sha = repository.commit_object("A > B <a@acme.test> 1790000000 -9999")
    assert read(repository, sha) == EXPECTED


def test_main_as_it_was_fetched_holds_what_was_merged_and_a_clone_that_has_none_does_not_know(repository):
    merged, main = repository.commit(), "refs/remotes/origin/main"
    repository.git("update-ref", main, merged)
    ahead = repository.commit(b"folder/other")
    assert [contains(repository.path, main, sha) for sha in (merged, ahead, "0" * 40)] == [True, False, None]
    repository.git("update-ref", "-d", main)
    assert contains(repository.path, main, merged) is None
