"""What stands around act: environments with approvals, machines, artifacts, jobs after a called workflow that failed.

On small workflows, with the local GitHub alone.
"""

import json
import subprocess

import httpx
import pytest

from localcloud.engine import build
from localcloud.environment import REPOSITORY
from tests.cloud import Cloud
from tests.executed.execution import IDENTITY, STAND_INS, Hosted, without_unknown_keys
from tests.localcloud.parts import running_part
from tests.unit.workflows.graph import WORKFLOWS

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

COMMIT = "0" * 40
USES = {name: f"{name}@{COMMIT}" for name in STAND_INS}
CHECKOUT = f"- uses: {USES['actions/checkout']}\n        with: {{persist-credentials: false}}"
JOB = "runs-on: ubuntu-24.04"
HEAD = "on: {push: {}, workflow_call: {}}\ndefaults: {run: {shell: bash}}\njobs:\n"
LOOK = """
      - id: look
        run: |
          echo "host=$(hostname)" >>"$GITHUB_OUTPUT"
          echo "boot=$(cat /proc/sys/kernel/random/boot_id)" >>"$GITHUB_OUTPUT"
          echo "place=$PWD $HOME $(ls -A "$HOME" | wc -l)" >>"$GITHUB_OUTPUT"
          echo "token=${GITHUB_TOKEN:-none}" >>"$GITHUB_OUTPUT"
          echo "terminal=$(test -t 0 || test -t 1 || test -t 2 || echo none)" >>"$GITHUB_OUTPUT"
          touch "$HOME/left" left
"""


@pytest.fixture(scope="module")
def github(tmp_path_factory):
    """A local GitHub with a reviewed environment and one that nobody reviews, each with variables of its own."""
    with running_part("github", tmp_path_factory.mktemp("github") / "github.log") as url:
        api = f"{url}/api/v3/repos/{REPOSITORY}"
        with httpx.Client(headers={"Authorization": "Bearer of-the-test"}) as client:
            reviewer = client.get(f"{url}/api/v3/users/traylorre").json()["id"]
            only_main = {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}}
            for name, reviewers in (("watched", [{"type": "User", "id": reviewer}]), ("open", [])):
                path = f"{api}/environments/{name}"
                client.put(path, json=only_main | {"reviewers": reviewers}).raise_for_status()
                client.post(f"{path}/deployment-branch-policies", json={"name": "main"}).raise_for_status()
                told = {"name": "WHERE", "value": f"the one that is {name}"}
                client.post(f"{path}/variables", json=told).raise_for_status()
        yield url


@pytest.fixture
def hosted(github, tmp_path):
    """A repository on it that holds no workflow yet."""
    variables = {
        "GITHUB_BASE_URL": f"{github}/",
        "GITHUB_API_URL": f"{github}/api/v3",
        "GITHUB_TOKEN": "made-up",
    }
    return Hosted(Cloud(tmp_path, variables), tmp_path)


def execute(hosted, answers=None, branch="main", **workflows):
    """Execute the workflow `start` of a commit with these workflows."""
    source = hosted.home / "source"
    folder = source / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name, jobs in workflows.items():
        (folder / f"{name}.yml").write_text(f"name: {name}\n{HEAD}{jobs}")
    subprocess.run(["git", "init", "--quiet", source], check=True)
    subprocess.run(["git", "add", "--all"], cwd=source, check=True)
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "-m", "start"], cwd=source, check=True)
    sha = hosted.push(source, branch)
    return hosted.ended(hosted.start("start.yml", "push", {}, sha, answers or {}, branch=branch))


def test_each_job_has_the_variables_of_its_environment_and_a_machine_of_its_own_at_the_same_place(hosted):
    tell = '      - id: tell\n        run: echo "where=${{ vars.WHERE }}" >>"$GITHUB_OUTPUT"\n'
    run = execute(
        hosted,
        {"watched": "approved"},
        start=f"""
  none:
    {JOB}
    steps:
      {CHECKOUT}{LOOK}{tell}
  open:
    {JOB}
    environment:
      name: open
      deployment: false
    steps:
      {CHECKOUT}{LOOK}{tell}
  watched:
    {JOB}
    environment: watched
    steps:
      {CHECKOUT}{LOOK}{tell}
""",
    )
    assert set(run.results.values()) == {"success"}, run.story
    told = {job: run.outputs(f"start/{job}") for job in ("none", "open", "watched")}
    assert {job: one["where"] for job, one in told.items()} == {
        "none": "",
        "open": "the one that is open",
        "watched": "the one that is watched",
    }
    for different in ("host", "boot"):
        assert len({one[different] for one in told.values()}) == len(told)
    for same in ("place", "token", "terminal"):
        assert len({one[same] for one in told.values()}) == 1
    assert told["none"]["place"].endswith(" 0"), "the home is not empty"
    assert (told["none"]["token"], told["none"]["terminal"]) == ("none", "none")
    deployed = hosted.github("GET", f"{hosted.api}/deployments").json()
    assert [one["environment"] for one in deployed] == ["watched"]
    assert [note["reviewers"] for note in run.notes("approvals.jsonl")] == [["traylorre"]]


@pytest.mark.parametrize(
    ("answers", "branch", "environment"),
    [
        ({"watched": "rejected"}, "main", "watched"),
        ({}, "main", "watched"),
        ({"watched": "approved"}, "other", "watched"),
        ({}, "other", "open"),
        ({}, "main", "made-by-a-typo"),
    ],
)
def test_a_job_that_is_not_let_into_its_environment_fails_without_one_step_and_others_see_that(
    hosted, answers, branch, environment
):
    jobs = f"""
  refused:
    {JOB}
    environment: {environment}
    outputs: {{done: "${{{{ steps.done.outputs.done }}}}"}}
    steps:
      {CHECKOUT}
      - id: done
        if: ${{{{ always() }}}}
        run: echo "done=yes" >>"$GITHUB_OUTPUT"
  after:
    needs: refused
    {JOB}
    steps:
      {CHECKOUT}
  always:
    needs: [refused, after]
    if: ${{{{ always() && needs.refused.result == 'failure' && !needs.refused.outputs.done }}}}
    {JOB}
    steps:
      {CHECKOUT}
"""
    if environment == "made-by-a-typo":
        with pytest.raises(httpx.HTTPStatusError):
            execute(hosted, answers, branch, start=jobs)
        return
    run = execute(hosted, answers, branch, start=jobs)
    assert run.results == {"start/refused": "failure", "start/after": "skipped", "start/always": "success"}, run.story
    assert run.outputs("start/refused") == {}


def test_jobs_go_on_after_a_called_workflow_that_failed_and_know_how_it_ended(hosted):
    run = execute(
        hosted,
        start=f"""
  calls:
    uses: ./.github/workflows/called.yml
  next:
    needs: calls
    {JOB}
    steps:
      {CHECKOUT}
  last:
    needs: [calls, next]
    if: ${{{{ always() && needs.calls.result == 'failure' && needs.next.result == 'skipped' }}}}
    {JOB}
    steps:
      {CHECKOUT}
""",
        called=f"""
  fails:
    {JOB}
    steps:
      {CHECKOUT}
      - run: exit 3
  tells:
    needs: fails
    if: ${{{{ always() }}}}
    {JOB}
    steps:
      {CHECKOUT}
""",
    )
    assert run.results == {
        "called/fails": "failure",
        "called/tells": "success",
        "start/calls": "failure",
        "start/next": "skipped",
        "start/last": "success",
    }
    assert "exit status 3" in run.said("called/fails")


def test_artifacts_go_from_job_to_job_once_and_one_that_is_not_there_is_a_failure(hosted):
    upload = f"- uses: {USES['actions/upload-artifact']}\n        with: {{name: things, path: "
    download = f"- uses: {USES['actions/download-artifact']}\n        with: {{name: "
    run = execute(
        hosted,
        start=f"""
  gives:
    {JOB}
    steps:
      {CHECKOUT}
      - run: mkdir -p things/.hidden && echo seen >things/file && echo unseen >things/.hidden/file
      {upload}things, if-no-files-found: error}}
  takes:
    needs: gives
    {JOB}
    steps:
      {CHECKOUT}
      {download}things, path: taken}}
      - id: look
        run: echo "found=$(cd taken && find . -type f) $(cat taken/file)" >>"$GITHUB_OUTPUT"
  twice:
    needs: takes
    {JOB}
    steps:
      {CHECKOUT}
      - run: echo other >things
      {upload}things, if-no-files-found: error}}
  misses:
    needs: takes
    {JOB}
    steps:
      {CHECKOUT}
      {download}others, path: taken}}
  empty:
    needs: takes
    {JOB}
    steps:
      {CHECKOUT}
      {upload}nothing, if-no-files-found: error}}
""",
    )
    failing = {"start/twice", "start/misses", "start/empty"}
    assert (run.ran("failure"), run.ran("success")) == (failing, {"start/gives", "start/takes"}), run.story
    assert run.outputs("start/takes")["found"] == "./file seen"


def test_an_action_that_none_stands_in_for_is_not_fetched(hosted):
    run = execute(
        hosted,
        start=f"\n  only:\n    {JOB}\n    steps:\n      {CHECKOUT}\n      - uses: somebody/else@{COMMIT}\n",
    )
    assert run.results == {"start/only": "failure"}
    assert "no action stands in for" in run.story


def test_a_killed_step_is_a_failure_of_its_job(hosted):
    run = execute(
        hosted, start=f"\n  dies:\n    {JOB}\n    steps:\n      {CHECKOUT}\n      - run: exec kill -KILL $$\n"
    )
    assert run.results == {"start/dies": "failure"}


@pytest.mark.parametrize("file", sorted(WORKFLOWS.glob("*.yml")), ids=lambda file: file.name)
def test_act_reads_every_workflow_whole(file, tmp_path):
    copy = tmp_path / ".github" / "workflows" / file.name
    copy.parent.mkdir(parents=True)
    order = dict.fromkeys(("payload", "jobs", "actor", "runs_on"), "") | {
        "folder": str(tmp_path),
        "workflow": file.name,
    }
    runner = build.built(build.WORKFLOW_RUNNER, print)

    def problem(text):
        copy.write_text(text)
        given = json.dumps(order | {"event": "an event of nothing"})
        return subprocess.run([runner], input=given, capture_output=True, text=True, check=False).stderr

    text = without_unknown_keys(file.read_text())
    assert problem(text) == f"{file.name} has no job for the event an event of nothing\n"
    assert "Unknown Property" in problem(text.replace("runs-on:", "runs_on:", 1).replace("uses: ./.g", "use: ./.g", 1))
