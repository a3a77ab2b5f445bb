"""Which gate a release goes through: automatic is what is proven of every commit, and nothing else is."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from components.naming import names
from release.cli import environment, main
from release.clients.github import GitHub, Pull, PullFile, SignedCommit
from release.clients.package_index import PackageIndexError
from release.errors import Refused, ReleaseError, UsageError
from release.gates.approval import Evidence, PullRequest, Route, decide, refuse_unproven, route
from release.git.history import HistoryStep, PathChange
from release.ledger.lifecycle import State
from release.rollout.promote import promote
from release.rules import RefusalRule
from tests.examples import examples
from tests.fixtures import dependabot as bot
from tests.unit.release import release_world

LOCK = bot.Clone.LOCK
REPOSITORY = bot.REPOSITORY
HUMAN = bot.HUMAN

# The decision, without git and without GitHub


class History:
    """A clean history of updates, merged or squashed, in `decide`'s terms."""

    def __init__(self, updates):
        self.packages = {"boto3": "1.44.0", "six": "1.17.0", "urllib3": "2.5.0"}
        self.first = bot.lock(self.packages)
        self.commits = []
        main = bot.git_id("confirmed")
        for number, (package, how, extra) in enumerate(updates, start=1):
            main = self._update(number, package, how, extra, main)
        self.together = [change(self.first, bot.lock(self.packages))]

    def _update(self, number, package, how, extra, main):
        base, steps = main, []
        before_all = bot.lock(self.packages)
        for at in range(1 + extra):
            before = bot.lock(self.packages)
            major, minor, _ = self.packages[package].split(".")
            self.packages[package] = f"{major}.{int(minor) + 1}.0"
            sha = bot.git_id("bot", number, at)
            steps.append((HistoryStep(sha=sha, parents=(base,)), change(before, bot.lock(self.packages))))
            base = sha
        whole = change(before_all, bot.lock(self.packages))
        merge = bot.git_id("merge", number)
        request = PullRequest(
            pull=Pull.model_validate(bot.pull(number, base, merge, commits=len(steps))),
            commits=tuple(SignedCommit.model_validate(bot.commit(step.sha)) for step, _ in steps),
            files=(PullFile(filename=LOCK, sha=whole.blob),),
        )
        if how == "merge":
            for (step, changed), commit in zip(steps, request.commits, strict=True):
                self.commits.append(Evidence(step=step, changes=(changed,), commit=commit, pulls=(request,)))
        parents = (main, base) if how == "merge" else (main,)
        author = HUMAN if how == "merge" else bot.BOT
        self.commits.append(
            Evidence(
                step=HistoryStep(sha=merge, parents=parents),
                changes=(whole,),
                commit=SignedCommit.model_validate(bot.commit(merge, author)),
                pulls=(request,),
            )
        )
        return merge

    def decide(self):
        return decide(REPOSITORY, self.commits, self.together)


def change(old, new, path=LOCK, *, edited=True):
    return PathChange(path=path, blob=bot.git_id(new), edited=edited, old=old.encode(), new=new.encode())


updates = st.lists(
    st.tuples(st.sampled_from(["boto3", "six", "urllib3"]), st.sampled_from(["merge", "squash"]), st.integers(0, 2)),
    min_size=1,
    max_size=4,
)


@given(updates)
@settings(max_examples=examples(40))
def test_updates_of_dependabot_and_nothing_else_are_automatic(wanted):
    found = History(wanted).decide()
    assert found.automatic, found
    assert {one.automatic for one in found.commits} == {True}


def of_commit(**update):
    return lambda one: replace(one, commit=one.commit.model_copy(update=update))


def of_pull(**update):
    return lambda one: replace(
        one, pulls=tuple(replace(own, pull=own.pull.model_copy(update=update)) for own in one.pulls)
    )


def of_side(name, **update):
    return lambda one: of_pull(**{name: getattr(one.pulls[0].pull, name).model_copy(update=update)})(one)


def of_repository(name, **update):
    return lambda one: of_side(name, repo=getattr(one.pulls[0].pull, name).repo.model_copy(update=update))(one)


def of_one_commit_of_the_pull(**update):
    def spoil(one):
        own = one.pulls[0]
        first = own.commits[0].model_copy(update=update)
        return replace(one, pulls=(replace(own, commits=(first, *own.commits[1:])),))

    return spoil


def merged(one):
    """The merge of the pull request that a commit belongs to, as the bot's own."""
    return SignedCommit.model_validate(bot.commit(one.pulls[0].pull.merge_commit_sha))


YOUNGER = 2**31
"""An account id above the bot's and GitHub's: ids are compared, not ordered."""


def account(number):
    return SignedCommit.model_validate(bot.commit("0" * 40, number)).author


def holding(edit):
    """The bot's signed commit, its pull request included, holds something that the bot may not bring."""

    def spoil(one):
        new = edit(one.changes[0].new.decode())
        spoiled = replace(one.changes[0], new=new.encode(), blob=bot.git_id(new))
        files = tuple(
            file.model_copy(update={"sha": spoiled.blob}) if file.filename == LOCK else file
            for file in one.pulls[0].files
        )
        return replace(one, changes=(spoiled,), pulls=(replace(one.pulls[0], files=files),))

    return spoil


def also(**of):
    """Another file is changed, in the pull request too."""

    def spoil(one):
        more = replace(change("a", "b"), **of)
        own = one.pulls[0]
        files = (*own.files, PullFile(filename=more.path, sha=more.blob))
        pull = own.pull.model_copy(update={"changed_files": len(files)})
        return replace(one, changes=(*one.changes, more), pulls=(replace(own, pull=pull, files=files),))

    return spoil


def only_squashed(spoil):
    """For a merge the author is who pressed the button, so this spoils only what the bot has to have written."""
    return lambda one: spoil(one) if len(one.step.parents) == 1 else of_commit(committer=account(HUMAN))(one)


SPOILED = {
    "a human's commit": only_squashed(of_commit(author=account(HUMAN))),
    "a commit of nobody known": only_squashed(of_commit(author=None)),
    "signed by a human who calls himself the bot": of_commit(committer=account(HUMAN)),
    "signed by an account that is younger than GitHub's": of_commit(committer=account(YOUNGER)),
    "signed by nobody known": of_commit(committer=None),
    "unverified": of_commit(verified=False),
    "an answer about another commit": of_commit(sha="f" * 40),
    "an answer about another commit of its pull request": lambda one: replace(
        one, commit=next(own for own in (*one.pulls[0].commits, merged(one)) if own.sha != one.step.sha)
    ),
    "an API error": lambda one: Evidence(step=one.step, problem="HTTP 500"),
    "an API error with all else known": lambda one: replace(one, problem="HTTP 500"),
    "a commit that nobody asked about": lambda one: replace(one, commit=None),
    "no pull request": lambda one: replace(one, pulls=()),
    "two pull requests": lambda one: replace(one, pulls=one.pulls * 2),
    "a human's pull request": of_pull(user=account(HUMAN)),
    "a pull request of an account that is younger than the bot's": of_pull(user=account(YOUNGER)),
    "a pull request of nobody known": of_pull(user=None),
    "not merged": of_pull(merged=False),
    "another base": of_side("base", ref="release"),
    "another repository": of_repository("base", full_name="somebody/else"),
    "a fork": of_repository("head", id=5, full_name="somebody/sentiment-pipeline"),
    "a fork of the same name": of_repository("head", id=5),
    "a fork that is gone": of_side("head", repo=None),
    "a base that is gone": of_side("base", repo=None),
    "another head": of_side("head", sha="e" * 40),
    "more commits than are listed": of_pull(commits=251),
    "as many commits as a list can hold": of_pull(commits=250),
    "more files than are listed": of_pull(changed_files=301),
    "no commits at all": lambda one: replace(
        one, pulls=(replace(one.pulls[0], commits=(), pull=one.pulls[0].pull.model_copy(update={"commits": 0})),)
    ),
    "a human's commit in the pull request": of_one_commit_of_the_pull(author=account(HUMAN)),
    "a commit in it that a human has signed": of_one_commit_of_the_pull(committer=account(HUMAN)),
    "an unverified commit in the pull request": of_one_commit_of_the_pull(verified=False),
    "a foreign file": also(path="release/gates/approval.py"),
    "a foreign file beside the lock": also(path="lambdas/dashboard/handler.py"),
    "the releaser's own lock": also(path="uv.lock"),
    "a workflow": also(path=".github/workflows/deploy-prod.yml"),
    "a lock that was added, removed or became a link": also(path="lambdas/other/uv.lock", edited=False),
    "nothing that changes": lambda one: replace(one, changes=()),
    "a major step": holding(lambda _: bot.lock({"boto3": "2.0.0", "six": "2.0.0", "urllib3": "3.0.0"})),
    "a step back": holding(lambda _: bot.lock({"boto3": "1.0.0", "six": "1.0.0", "urllib3": "2.0.0"})),
    "a new package": holding(
        lambda text: bot.lock({"boto3": "1.99.0", "six": "1.99.0", "urllib3": "2.99", "evil": "1"})
    ),
    "a package that is gone": holding(lambda text: bot.lock({"boto3": "1.99.0", "six": "1.99.0"})),
    "another host": holding(lambda text: text.replace(bot.HOST, "https://evil.test")),
    "other bytes for a known version": holding(
        lambda text: re.sub(r'tar\.gz", hash = "sha256:\w+', f'tar.gz", hash = "sha256:{"0" * 64}', text)
    ),
    "no TOML": holding(lambda text: text + "]"),
    "no signed merge of its own": lambda one: replace(one, step=replace(one.step, parents=("a" * 40, "b" * 40))),
    "three parents": lambda one: replace(one, step=replace(one.step, parents=(*one.step.parents, "b" * 40, "c" * 40))),
}
MERGED_ONLY = {
    "a file more than its pull request": lambda one: replace(
        one, changes=(*one.changes, replace(one.changes[0], path="lambdas/analysis/uv.lock"))
    ),
    "other files than its pull request": lambda one: replace(one, changes=(replace(one.changes[0], blob="0" * 40),)),
}
MERGED_ONLY["made by another pull request"] = of_pull(merge_commit_sha="d" * 40)
MERGED_ONLY["made by none"] = of_pull(merge_commit_sha=None)
TOGETHER = {
    "a foreign file": lambda all_of: [*all_of, change("a", "b", "components/naming.py")],
    "a major step": lambda all_of: [
        replace(all_of[0], new=bot.lock({"boto3": "2.0.0", "six": "1.17.0", "urllib3": "2.5.0"}).encode())
    ],
    "nothing": lambda _: [],
}


@given(wanted=updates, data=st.data(), what=st.sampled_from(sorted(SPOILED)))
@settings(max_examples=examples(150))
def test_one_spoiled_commit_anywhere_needs_a_person(wanted, data, what):
    history = History(wanted)
    at = data.draw(st.integers(0, len(history.commits) - 1))
    history.commits[at] = SPOILED[what](history.commits[at])
    found = history.decide()
    assert not found.automatic
    assert not found.commits[at].automatic
    assert found.commits[at].reason in found.reason
    assert [one.automatic for one in found.commits].count(False) == 1


@pytest.mark.parametrize("what", SPOILED)
@pytest.mark.parametrize(("how", "at"), [("squash", 0), ("merge", 0), ("merge", 1)])
def test_every_way_to_spoil_a_commit_spoils_a_squash_a_commit_of_the_bot_and_its_merge(what, how, at):
    history = History([("six", how, 0)])
    history.commits[at] = SPOILED[what](history.commits[at])
    assert not history.decide().automatic


@pytest.mark.parametrize("what", MERGED_ONLY)
@given(wanted=updates)
@settings(max_examples=examples(10))
def test_a_merge_holds_what_its_pull_request_holds_or_needs_a_person(what, wanted):
    history = History(wanted)
    history.commits[-1] = MERGED_ONLY[what](history.commits[-1])
    assert not history.decide().automatic


@pytest.mark.parametrize("what", TOGETHER)
@given(wanted=updates)
@settings(max_examples=examples(10))
def test_what_everything_changes_together_counts_whatever_is_said_of_its_parts(what, wanted):
    history = History(wanted)
    history.together = TOGETHER[what](history.together)
    found = history.decide()
    assert not found.automatic
    assert found.reason.startswith("taken together: ")


@given(wanted=updates, data=st.data())
@settings(max_examples=examples(60))
def test_no_mixture_of_spoiled_commits_is_automatic(wanted, data):
    history = History(wanted)
    clean = list(history.commits)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(clean) - 1))
        if history.commits[at] == clean[at]:
            history.commits[at] = SPOILED[data.draw(st.sampled_from(sorted(SPOILED)))](clean[at])
    if history.commits != clean:
        assert not history.decide().automatic


def test_no_commit_at_all_is_nothing_to_let_through():
    assert not decide(REPOSITORY, [], []).automatic


# With a real clone, and a GitHub in memory


class MemoryGitHub:
    """Answers with what a clone's history holds. `fault` may spoil the n-th answer."""

    def __init__(self, clone):
        self.clone = clone
        self.fault = None
        self.asked = []

    def __call__(self, request):
        self.asked.append(request.url.path)
        if self.fault and len(self.asked) == self.fault[0]:
            spoiled = self.fault[1]
            if isinstance(spoiled, Exception):
                raise spoiled
            return spoiled
        document = self._document(request.url.path.removeprefix(f"/repos/{REPOSITORY}/").split("/"))
        if document is None:
            return httpx.Response(404, json={"message": "Not Found"})
        return httpx.Response(200, json=document)

    def _document(self, path):
        match path:
            case ["commits", sha]:
                return self.clone.commits.get(sha)
            case ["commits", sha, "pulls"]:
                return [self.clone.pulls[number][0] for number in self.clone.pulls_of[sha]]
            case ["pulls", number, *part]:
                return self.clone.pulls[int(number)][["", "commits", "files"].index("".join(part))]
        return None


class NoWait:
    def sleep(self, seconds):
        pass


class Quiet:
    def step(self, title):
        return self

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


class KnownPackages:
    """An index without provenance, and an OSV that knows what is in `flaws`."""

    def __init__(self):
        self.flaws = []
        self.fails = False

    def provenance(self, registry, project, version, file):
        if self.fails:
            raise PackageIndexError("the index could not be asked", why="HTTP 503")

    def findings(self, packages):
        return self.flaws


DIGEST = "d" * 64


class World:
    """All that `route` needs of a context, around a clone."""

    stack = "prod"
    names = names("prod")
    console = Quiet()

    def __init__(self, clone):
        self.clone, self.repo = clone, clone.folder
        self.wire = MemoryGitHub(clone)
        self.github = GitHub("token", REPOSITORY, "https://api.github.test", NoWait(), httpx.MockTransport(self.wire))
        self.confirmed, self.candidate = clone.base, clone.base
        self.package_index = KnownPackages()

    @property
    def promotions(self):
        return SimpleNamespace(manifest=lambda _: SimpleNamespace(sha=self.candidate), digest_of=lambda _: DIGEST)

    @property
    def ledger(self):
        served = SimpleNamespace(release=SimpleNamespace(sha=self.confirmed)) if self.confirmed else None
        return SimpleNamespace(view=lambda: SimpleNamespace(confirmed=served))

    def route(self):
        found = route(self, DIGEST)
        assert (found.environment, found.path) in {("production", "reviewed"), ("production-auto", "automatic")}
        return found


@pytest.fixture
def clone(tmp_path):
    return bot.Clone(tmp_path / "clone", {"boto3": "1.44.0", "six": "1.17.0"})


@pytest.fixture
def world(clone):
    return World(clone)


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_dependabots_updates_since_the_confirmed_release_go_through_production_auto(world, clone, how):
    clone.update(how=how, six="1.17.1")
    world.candidate = clone.update(how=how, boto3="1.45.0")
    found = world.route()
    assert found.environment == "production-auto", found
    assert found.path == "automatic"
    assert len(found.commits) == (2 if how == "squash" else 4)
    assert (found.sha, found.manifest, found.since) == (world.candidate, DIGEST, clone.base)
    assert "six 1.17.0 -> 1.17.1" in found.reason


def test_what_others_say_of_the_packages_stands_in_the_reason(world, clone):
    world.candidate = clone.update(six="1.17.1")
    reason = world.route().reason
    assert "six 1.17.0 -> 1.17.1: without provenance, as before" in reason
    assert "pip-audit has no finding in 2 packages" in reason


def test_an_update_with_a_finding_needs_a_person(world, clone):
    world.candidate = clone.update(six="1.17.1")
    world.package_index.flaws = ["PYSEC-2026-1 in six 1.17.1"]
    found = needs_a_person(world, "pip-audit has found PYSEC-2026-1 in six 1.17.1")
    assert [one.automatic for one in found.commits] == [True]


def test_an_update_needs_a_person_while_the_index_does_not_answer(world, clone):
    world.candidate = clone.update(six="1.17.1")
    world.package_index.fails = True
    needs_a_person(world, "the index could not be asked (HTTP 503)")


def needs_a_person(world, why):
    found = world.route()
    assert found.environment == "production"
    assert why in found.reason
    return found


def test_a_human_commit_that_rides_along_with_the_next_update_needs_a_person(world, clone):
    human = clone.human({"README.md": "two\n"})
    world.candidate = clone.update(six="1.17.1")
    found = needs_a_person(world, human[:12])
    assert [one.automatic for one in found.commits] == [False, True]


def test_a_human_commit_on_a_merged_side_branch_is_found(world, clone):
    clone.git("switch", "--quiet", "--create", "side")
    human = clone.human({"README.md": "two\n"})
    clone.git("switch", "--quiet", "main")
    clone.git("merge", "--quiet", "--no-ff", "side", "--message", "merge")
    clone.commits[clone.git("rev-parse", "HEAD")] = bot.commit(clone.git("rev-parse", "HEAD"), HUMAN)
    clone.pulls_of[clone.git("rev-parse", "HEAD")] = []
    world.candidate = clone.update(six="1.17.1")
    found = needs_a_person(world, "merged pull requests")
    assert human in [one.sha for one in found.commits if not one.automatic]


def test_something_slipped_into_a_merge_by_hand_needs_a_person(world, clone):
    slipped = bot.lock({"boto3": "1.44.0", "six": "1.17.9"})
    world.candidate = clone.update(how="merge", six="1.17.1", merged_files={LOCK: slipped})
    needs_a_person(world, "other files than pull request #1")


def test_a_bot_that_changes_anything_else_needs_a_person(world, clone):
    world.candidate = clone.update(six="1.17.1", files={"release/gates/approval.py": "pass\n"})
    needs_a_person(world, "it changes release/gates/approval.py")


def test_an_update_within_a_file_that_became_executable_needs_a_person(world, clone):
    clone.git("update-index", "--chmod=+x", LOCK)
    (clone.folder / LOCK).chmod(0o755)
    world.candidate = clone.update(six="1.17.1")
    needs_a_person(world, f"it changes {LOCK}")


def test_without_a_confirmed_release_or_without_a_token_a_person_approves(world, clone):
    world.candidate = clone.update(six="1.17.1")
    world.confirmed = None
    needs_a_person(world, "no release is confirmed")
    world.confirmed, world.github = clone.base, None
    needs_a_person(world, "GITHUB_TOKEN")


def test_the_confirmed_release_itself_has_no_commits_to_judge(world):
    needs_a_person(world, "no commit since")


def test_an_older_commit_than_the_confirmed_one_needs_a_person(world, clone):
    world.confirmed = clone.update(six="1.17.1")
    needs_a_person(world, "does not build on")


def test_a_commit_that_the_clone_does_not_hold_needs_a_person(world, clone):
    world.candidate = clone.update(six="1.17.1")
    world.confirmed = "0" * 40
    needs_a_person(world, "not in this repository")
    world.confirmed, world.candidate = clone.base, "0" * 40
    needs_a_person(world, "not in this repository")


def test_a_shallow_clone_proves_nothing(world, clone, tmp_path):
    world.candidate = clone.update(six="1.17.1")
    clone.git("clone", "--quiet", "--depth=2", f"file://{clone.folder}", str(tmp_path / "shallow"))
    world.repo = tmp_path / "shallow"
    needs_a_person(world, "shallow")


def test_a_replaced_object_does_not_change_what_is_judged(world, clone):
    clone.human({"README.md": "two\n"})
    world.candidate = clone.update(six="1.17.1")
    clone.git("replace", "--graft", world.candidate, clone.base)
    found = needs_a_person(world, "")
    assert len(found.commits) == 2


def test_more_commits_than_can_be_asked_about_need_a_person(world, clone, monkeypatch):
    monkeypatch.setattr("release.gates.approval._MOST_COMMITS", 1)
    clone.update(six="1.17.1")
    world.candidate = clone.update(six="1.17.2")
    needs_a_person(world, "more than 1 commits")
    assert world.wire.asked == []


def test_a_commit_that_github_does_not_know_needs_a_person(world, clone):
    world.candidate = clone.update(six="1.17.1")
    del clone.commits[world.candidate]
    needs_a_person(world, "HTTP 404")


FAULTS = [
    httpx.ReadTimeout("slow"),
    httpx.Response(401, json={"message": "Bad credentials"}),
    httpx.Response(403, json={"message": "Resource not accessible by integration"}),
    httpx.Response(404, json={"message": "Not Found"}),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json={}),
    httpx.Response(200, json=[{}]),
    httpx.Response(200, json=[]),
    httpx.Response(200, json=None),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: repr(fault)[:40])
def test_whatever_github_answers_wrongly_at_any_call_needs_a_person(world, clone, fault, monkeypatch):
    monkeypatch.setattr("release.clients.rest.TRIES", 1)
    world.candidate = clone.update(how="merge", six="1.17.1")
    assert world.route().environment == "production-auto"
    calls = len(world.wire.asked)
    for at in range(1, calls + 1):
        world.wire.asked.clear()
        world.wire.fault = (at, fault)
        assert world.route().environment == "production", f"call {at} of {calls}"


def test_a_list_with_more_pages_than_were_read_needs_a_person(world, clone):
    world.candidate = clone.update(six="1.17.1")
    request = clone.pulls[1][0]
    request["commits"] = 2
    needs_a_person(world, "GitHub lists 1")
    request["commits"], request["changed_files"] = 1, 2
    needs_a_person(world, "GitHub lists 1")


@pytest.mark.parametrize(
    "error",
    [ReleaseError("no bucket", why="gone"), RuntimeError("a bug"), Refused(RefusalRule.NEVER_BUILT, "never built")],
)
def test_whatever_goes_wrong_before_that_needs_a_person_too(world, error, monkeypatch):
    def fail(self):
        raise error

    for part in ("promotions", "ledger"):
        with monkeypatch.context() as broken:
            broken.setattr(World, part, property(fail))
            needs_a_person(world, str(error))


def test_preprod_has_no_gate_and_one_release_has_to_be_named(world):
    for digest, sha in ((None, None), (DIGEST, "a" * 40)):
        with pytest.raises(UsageError):
            route(world, digest, sha)
    world.stack, world.names = "preprod", names("preprod")
    with pytest.raises(UsageError, match="no gate"):
        route(world, DIGEST)


# Once more, under the lease


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    made = release_world.World(tmp_path, monkeypatch)
    promote(made.context(), made.offer(1).digest)
    return made


def test_the_automatic_path_is_refused_when_it_is_not_proven_any_more(cloud):
    second = cloud.offer(2)
    with pytest.raises(Refused, match="without a person") as refused:
        promote(cloud.context(), second.digest, path="automatic")
    assert refused.value.rule == "needs-a-person"
    assert "GITHUB_TOKEN" in refused.value.why
    last = cloud.context().ledger.entries()[-1]
    assert (last.state, last.details["rule"]) == (State.REFUSED, "needs-a-person")
    assert cloud.context().lease.holder() is None
    assert promote(cloud.context(), second.digest).state is State.CONFIRMED


def test_the_automatic_path_is_taken_where_it_is_proven(cloud, monkeypatch):
    monkeypatch.setattr("release.gates.approval._found_out", lambda *_: Route(automatic=True, reason="the bot's"))
    assert promote(cloud.context(), cloud.offer(2).digest, path="automatic").state is State.CONFIRMED


def test_going_back_to_an_older_release_takes_the_commits_of_the_newer_one_to_a_person_again(world, clone):
    older = world.confirmed
    world.confirmed = human = clone.human({"README.md": "two\n"})
    world.candidate = clone.update(six="1.17.1")
    refuse_unproven(world, DIGEST)
    world.confirmed = older
    with pytest.raises(Refused) as refused:
        refuse_unproven(world, DIGEST)
    assert human[:12] in refused.value.why


def test_the_command_tells_people_machines_and_the_workflow(world, clone, monkeypatch, tmp_path):
    world.candidate = clone.update(six="1.17.1")
    monkeypatch.setattr(environment, "context", lambda *_, **__: world)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    told = CliRunner().invoke(main.app, ["route", "--stack", "prod", "--digest", DIGEST])
    assert told.exit_code == 0
    assert "goes through production-auto: only Dependabot's updates: six 1.17.0 -> 1.17.1" in told.output
    assert f"{world.candidate[:12]} automatic: the merge of Dependabot's pull request #1" in told.output
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert (outputs["environment"], outputs["path"]) == ("production-auto", "automatic")

    world.github = None
    told = CliRunner().invoke(main.app, ["route", "--sha", world.candidate, "--json"])
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert (document["environment"], document["path"]) == ("production", "reviewed")
    assert "GITHUB_TOKEN" in document["reason"]
