"""What must hold for every workflow, each rule as a function that returns its findings.

As functions, so that the tests can show for each rule a workflow that breaks it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.github_secrets import BUCKET, REGION, ROLE_ARN
from components.identities import IDENTITIES
from release.reporting.workflow_summary import OUTPUTS
from tests.unit.workflows.expressions import ExpressionError, condition, expressions_in, tokens
from tests.unit.workflows.graph import RESULTS, ancestors

VARIABLES = frozenset({ROLE_ARN, REGION, BUCKET})
"""What the foundation tells every environment, and nothing else does."""
ENVIRONMENTS = frozenset(one.github_environment for one in IDENTITIES)
REVIEWED_ENVIRONMENT = "production"

START = "build-and-promote.yml"
# `exec`: a job that is cancelled signals only the shell of its step; in its place the releaser hears it.
RELEASE = "exec .venv/bin/python -m release "
COMMENT = "preview-comment.yml"
CHECKS = ".ci/run"
"""The one command besides those of the releaser; only where code of strangers runs, and nothing can be lost."""
PREVIEWS = "previews"
PREVIEW = f'{RELEASE}preview --all --base "$BASE" --head "$HEAD" --pull "$NUMBER" --out previews'

_PIN = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
_TRIGGERS = {
    START: {"push"},
    "pull-request.yml": {"pull_request"},
    "stack-preview.yml": {"pull_request"},
    COMMENT: {"workflow_run", "pull_request_target"},
    "preprod.yml": {"workflow_call"},
    "deploy-prod.yml": {"workflow_call", "workflow_dispatch"},
    "watch.yml": {"schedule", "workflow_dispatch"},
}
# What a job may do besides reading the code, by the command that it runs; and so who is given the job's token.
_RIGHTS = {
    "build": {"id-token": "write", "attestations": "write"},
    "deploy": {"actions": "read"},
    "route": {"pull-requests": "read"},
    "promote": {"actions": "write", "deployments": "write", "issues": "write"},
    "rollback": {"actions": "read", "deployments": "write", "issues": "write"},
    "reap": {"actions": "read", "deployments": "write", "issues": "write"},
    "publish": {"contents": "write"},
    "comment": {"actions": "read", "pull-requests": "write", "statuses": "write"},
    "notify": {"actions": "read", "issues": "write"},
    "watch": {"actions": "read", "issues": "write"},
}
# Commands that change nothing, so that a job may run several of them.
_READ_ONLY = frozenset({"check", "plan", "route", "status"})
_TOGETHER = ({"keep", "promote"}, {"notify", "status"})
"""Commands that stand in one job although one of them does something: the other makes ready, or only reads."""
_TOKEN = "${{ github.token }}"
_NUMBERS = frozenset({"${{ github.event.workflow_run.id }}", "${{ github.event.pull_request.number }}"})
_SPOOFABLE = ("github.actor", "github.triggering_actor", "head_commit", "github.event.sender")


@dataclass(frozen=True, slots=True)
class Workflow:
    """One file: its name, its text and what the text says."""

    name: str
    text: str
    parsed: Mapping[str, Any]

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        return self.parsed["jobs"]

    @property
    def own_jobs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Jobs with steps, not those that call another workflow."""
        return ((name, job) for name, job in self.jobs.items() if "uses" not in job)

    @property
    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((name, step) for name, job in self.own_jobs for step in job["steps"])


Files = Mapping[str, Workflow]
Rule = Callable[[Files], Iterator[str]]


def environment_of(job: Mapping[str, Any]) -> str | None:
    """Name of the environment that a job runs in."""
    environment = job.get("environment")
    return environment.get("name") if isinstance(environment, Mapping) else environment


def called(job: Mapping[str, Any]) -> str | None:
    """File name of the workflow that a job calls."""
    return Path(job["uses"]).name if "uses" in job else None


def release_commands(workflow: Workflow) -> Iterator[tuple[str, list[str]]]:
    """(job, arguments of `release`) for every step that starts it."""
    for job, step in workflow.steps:
        if str(step.get("run", "")).startswith(RELEASE):
            yield job, shlex.split(step["run"].removeprefix(RELEASE))


def no_job_has_a_right_that_it_does_not_need(files: Files) -> Iterator[str]:
    for one in files.values():
        if one.parsed.get("permissions") != {}:
            yield f"{one.name}: top-level permissions are {one.parsed.get('permissions')!r}, not {{}}"
        for name, job in one.jobs.items():
            wanted = _rights_of_all(files[called(job) or ""]) if called(job) in files else _rights(one, name)
            if job.get("permissions") != wanted:
                yield f"{one.name}: {name} has {job.get('permissions')}, and its commands need {wanted}"


def _rights(workflow: Workflow, job: str) -> dict[str, str]:
    wanted = {"contents": "read"}
    if environment_of(workflow.jobs[job]) is not None:
        wanted["id-token"] = "write"
    for args in (args for name, args in release_commands(workflow) if name == job):
        wanted |= _RIGHTS["deploy"] if args[:3] == ["reap", "--stack", "preprod"] else _RIGHTS.get(args[0], {})
        if "automatic" in args:
            wanted |= _RIGHTS["route"]  # `promote` chooses the gate again
    return wanted


def _rights_of_all(workflow: Workflow) -> dict[str, str]:
    """What a caller has to grant: the jobs below it never get more than it has itself."""
    wanted: dict[str, str] = {}
    for name, _ in workflow.own_jobs:
        for right, level in _rights(workflow, name).items():
            wanted[right] = max(level, wanted.get(right, ""))  # "read" < "write"
    return wanted


def every_right_that_is_more_than_reading_code_says_why(files: Files) -> Iterator[str]:
    for one in files.values():
        for line in one.text.splitlines():
            if re.match(
                r"\s+(id-token|attestations|actions|deployments|issues|pull-requests|statuses): (read|write)\s*$", line
            ):
                yield f"{one.name}: {line.strip()} has no comment"


def a_cloud_identity_comes_from_an_environment(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, job in one.own_jobs:
            logins = [step for step in job["steps"] if "configure-aws-credentials" in step.get("uses", "")]
            # The job that builds signs for it, and takes no role.
            signs = any(args[0] == "build" for other, args in release_commands(one) if other == name)
            may = "id-token" in job.get("permissions", {}) and not signs
            if not (may == bool(logins) == (environment_of(job) is not None)):
                yield f"{one.name}: {name} has id-token, environment and login not all together"
            for login in logins:
                wanted = {
                    "role-to-assume": "${{ vars.AWS_ROLE_ARN }}",
                    "role-session-name": "${{ github.run_id }}-${{ github.run_attempt }}",
                    "aws-region": "${{ vars.AWS_REGION }}",
                }
                if login.get("with") != wanted:
                    yield f"{one.name}: {name} logs in with {login.get('with')}"


def no_secret_is_used_and_the_token_goes_to_who_asks_github(files: Files) -> Iterator[str]:
    for one in files.values():
        if re.search(r"\bsecrets\b\s*[.:\[]", one.text):
            yield f"{one.name} uses a secret"
        given = 0
        for name, step in one.steps:
            run = str(step.get("run", ""))
            asks = run.startswith(RELEASE) and run.removeprefix(RELEASE).split()[0] in _RIGHTS
            has = (step.get("env") or {}).get("GITHUB_TOKEN") == _TOKEN
            given += has
            if asks != has:
                yield f"{one.name}: {name} {'asks GitHub without a token' if asks else 'gives a token away'}: {run!r}"
        if len(re.findall(r"github\s*\.\s*token|github\[|toJSON\(github\)", one.text)) != given:
            yield f"{one.name} puts the token elsewhere"


def nobody_is_trusted_by_an_actor(files: Files) -> Iterator[str]:
    for one in files.values():
        yield from (f"{one.name} reads {word}" for word in _SPOOFABLE if word in one.text)


def every_job_ends_in_time(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, job in one.own_jobs:
            limit = job.get("timeout-minutes")
            if not isinstance(limit, int) or not 0 < limit <= 60:
                yield f"{one.name}: {name} has the time limit {limit!r}"
            for step in job["steps"]:
                if isinstance(limit, int) and step.get("timeout-minutes", 0) >= limit:
                    yield f"{one.name}: a step of {name} may outlast its job"


def every_action_is_pinned(files: Files) -> Iterator[str]:
    for one in files.values():
        for line in one.text.splitlines():
            if re.match(r"\s*(- )?uses:", line) and "uses: ./" not in line and not _PIN.match(line):
                yield f"{one.name}: {line.strip()}"


def event_data_reach_a_command_only_through_its_environment(files: Files) -> Iterator[str]:
    for one in files.values():
        yield from (f"{one.name}: {job}: {step['run']}" for job, step in one.steps if "${{" in step.get("run", ""))


def code_of_strangers_can_do_nothing(files: Files) -> Iterator[str]:
    for one in files.values():
        if "pull_request" not in one.parsed["on"]:
            continue
        for name, job in one.jobs.items():
            runs = [step["run"] for step in job.get("steps", ()) if "run" in step]
            if runs not in ([CHECKS], [PREVIEW]):
                yield f"{one.name}: {name} runs {runs}"
            if job.get("permissions") != {"contents": "read"} or "environment" in job:
                yield f"{one.name}: {name} may do more than read the code"


def strangers_reach_a_token_with_numbers_only(files: Files) -> Iterator[str]:
    """Where an event of a pull request gives a token, nothing of the pull request is fetched but by checked code."""
    for one in files.values():
        if not {"workflow_run", "pull_request_target"} & set(one.parsed["on"]):
            continue
        for name, job in one.jobs.items():
            uses = [re.sub("@.*", "", step["uses"]) for step in job.get("steps", ()) if "uses" in step]
            if uses != ["actions/checkout", "./.github/actions/prepare"]:
                yield f"{one.name}: {name} uses {uses}"
            for step in job.get("steps", ()):
                if {"ref", "repository"} & set(step.get("with") or {}):
                    yield f"{one.name}: {name} checks out {step['with']}"
                given = set((step.get("env") or {}).values()) - {_TOKEN}
                if not given <= _NUMBERS:
                    yield f"{one.name}: {name} takes {sorted(given - _NUMBERS)}"


def a_job_is_one_release_command_or_several_that_only_read(files: Files) -> Iterator[str]:
    for one in files.values():
        if "pull_request" in one.parsed["on"]:
            continue
        for name, job in one.own_jobs:
            runs = [step["run"] for step in job["steps"] if "run" in step]
            commands = {run.removeprefix(RELEASE).split()[0] for run in runs}
            if not runs or (len(runs) > 1 and not commands <= _READ_ONLY and commands not in _TOGETHER):
                yield f"{one.name}: {name} runs {len(runs)} commands"
            for run in runs:
                if not run.startswith(RELEASE) or re.search(r"[|;&<>`\n]|\$\(", run):
                    yield f"{one.name}: {name} runs {run!r}"


def no_failure_is_hidden(files: Files) -> Iterator[str]:
    for one in files.values():
        if one.parsed.get("defaults") != {"run": {"shell": "bash"}}:
            yield f"{one.name}: the shell is not the one that stops at failures"
        for name, job in one.jobs.items():
            if "continue-on-error" in job or "strategy" in job:
                yield f"{one.name}: {name} may go on after a failure"
        for name, step in one.steps:
            if "continue-on-error" in step or "shell" in step:
                yield f"{one.name}: a step of {name} may go on after a failure"
            if "if" in step and not _keeps_what_failed(step):
                yield f"{one.name}: a step of {name} is conditional"


def _keeps_what_failed(step: Mapping[str, Any]) -> bool:
    """A step that runs in any case, and only uploads."""
    return "actions/upload-artifact@" in step.get("uses", "") and step["if"] == "${{ always() }}"


def what_failed_tests_have_left_can_be_read(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, args in release_commands(one):
            if args[0] != "validate" or "--no-record" not in args:
                continue
            folder = str(Path(args[args.index("--junit") + 1]).parent)
            uploads = [
                step for job, step in one.steps if job == name and (step.get("with") or {}).get("path") == folder
            ]
            if not any(_keeps_what_failed(step) for step in uploads if "if" in step):
                yield f"{one.name}: the report of {name} is lost when a test fails"


def a_checkout_leaves_no_token_behind(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, step in one.steps:
            if (
                "actions/checkout@" in step.get("uses", "")
                and (step.get("with") or {}).get("persist-credentials") is not False
            ):
                yield f"{one.name}: the checkout of {name} keeps its token"


def nothing_is_cached(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, step in one.steps:
            if "cache" in step.get("uses", "") or any("cache" in key for key in (step.get("with") or {})):
                yield f"{one.name}: {name} uses a cache"


def only_known_events_start_a_run(files: Files) -> Iterator[str]:
    for one in files.values():
        on = one.parsed["on"]
        if set(on) != _TRIGGERS.get(one.name):
            yield f"{one.name} is started by {sorted(on)}"
        if "push" in on and on["push"] != {"branches": ["main"]}:
            yield f"{one.name} is started by pushes to {on['push']}"


def every_environment_is_one_that_the_program_makes(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, job in one.own_jobs:
            environment = environment_of(job)
            if environment is not None and environment not in ENVIRONMENTS:
                yield f"{one.name}: {name} would create the environment {environment!r}, without protection"


def no_group_is_held_while_somebody_decides(files: Files) -> Iterator[str]:
    waiting = {one.name for one in files.values() if _asks(one)}
    for one in files.values():
        if "concurrency" in one.parsed:
            yield f"{one.name}: a group around the whole workflow"
        for name, job in one.jobs.items():
            group = job.get("concurrency")
            if group is None:
                continue
            if environment_of(job) == REVIEWED_ENVIRONMENT or called(job) in waiting:
                yield f"{one.name}: {name} holds a group while it waits for an approval"
            changes_something = "id-token" in job["permissions"]
            if not isinstance(group, dict) or (changes_something and group.get("cancel-in-progress") is not False):
                yield f"{one.name}: {name} may be cancelled in the middle of its work"


def what_waits_in_a_group_is_cancelled_only_where_that_is_meant(files: Files) -> Iterator[str]:
    """The value of `queue` as GitHub documents it; a job that changes something keeps every run that waits for it."""
    for one in files.values():
        for name, job in one.jobs.items():
            group = job.get("concurrency")
            if not isinstance(group, Mapping):
                continue
            queue = group.get("queue", "single")
            if queue not in {"single", "max"} or (queue == "max" and group.get("cancel-in-progress") is not False):
                yield f"{one.name}: {name} has queue {queue!r}, which GitHub refuses"
            if called(job) and queue != "max":
                yield f"{one.name}: a third run cancels the second one that waits for {name}"


def _asks(workflow: Workflow) -> bool:
    return any(environment_of(job) == REVIEWED_ENVIRONMENT for job in workflow.jobs.values())


def preprod_is_changed_by_one_run_at_a_time(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, job in one.jobs.items():
            if called(job) == "preprod.yml" and job.get("concurrency", {}).get("group") != "preprod":
                yield f"{one.name}: {name} may meet another run in preprod"


def artifacts_are_kept_and_found(files: Files) -> Iterator[str]:
    uploaded: set[str] = set()
    for one in files.values():
        for name, step in one.steps:
            if "actions/upload-artifact@" not in step.get("uses", ""):
                continue
            uploaded.add(step["with"]["name"])
            # Where the copy of a state could not be made, the job that publishes it fails, and no release is stopped.
            missing = "warn" if step["with"]["name"].startswith("state-copy-") else "error"
            days = 30 if step["with"]["name"] == PREVIEWS else 90  # a preview is of no use once its branch is merged
            if step["with"].get("retention-days") != days or step["with"].get("if-no-files-found") != missing:
                yield f"{one.name}: what {name} uploads is not kept for {days} days, or may be nothing"
    for one in files.values():
        for name, step in one.steps:
            if "actions/download-artifact@" in step.get("uses", "") and step["with"]["name"] not in uploaded:
                yield f"{one.name}: {name} downloads {step['with']['name']}, which nobody uploads"


def only_the_first_job_builds(files: Files) -> Iterator[str]:
    builders = [(one.name, job) for one in files.values() for job, args in release_commands(one) if args[0] == "build"]
    if len(builders) != 1:
        yield f"packages are built by {builders}"
        return
    file, first = builders[0]
    if file != START:
        yield f"packages are built by {file}"
        return
    jobs = files[file].jobs
    if ancestors(jobs, first):
        yield f"{first} is not the first job"
    yield from (
        f"{name} does not wait for {first}" for name in jobs if name != first and first not in ancestors(jobs, name)
    )


def called_workflows_get_what_they_declare(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, job in one.jobs.items():
            if "uses" not in job:
                continue
            target = files.get(called(job) or "")
            if target is None or job["uses"] != f"./.github/workflows/{target.name}":
                yield f"{one.name}: {name} calls {job['uses']}"
                continue
            declared = target.parsed["on"]["workflow_call"].get("inputs", {})
            required = {key for key, value in declared.items() if value.get("required")}
            given = set(job.get("with") or {})
            if not required <= given <= set(declared) or "secrets" in job:
                yield f"{one.name}: {name} passes {sorted(given)}, {target.name} takes {sorted(declared)}"
            if any(value.get("type") != "string" for value in declared.values()):
                yield f"{target.name} has an input without a plain type"


def a_person_may_give_reasons_and_nothing_else_besides(files: Files) -> Iterator[str]:
    for one in files.values():
        on = one.parsed["on"]
        if not {"workflow_call", "workflow_dispatch"} <= set(on):
            continue
        both, dispatched = on["workflow_call"]["inputs"], on["workflow_dispatch"]["inputs"]
        if any(dispatched.get(name) != declared for name, declared in both.items()):
            yield f"{one.name}: called and dispatched runs take different inputs"
        for name in _reasons(one):
            declared = {key: dispatched[name].get(key) for key in ("required", "default", "type")}
            if declared != {"required": False, "default": "", "type": "string"}:
                yield f"{one.name}: {name} is not a text that may be left out"


def a_reason_is_given_only_where_a_person_approves(files: Files) -> Iterator[str]:
    for one in files.values():
        for name, step in one.steps:
            run = str(step.get("run", "")).removeprefix(RELEASE)
            used = {reason for reason in _reasons(one) if f"inputs.{reason}" in str(step)}
            if not run.startswith("promote "):
                if used:
                    yield f"{one.name}: {name} is given {sorted(used)}"
                continue
            asks = environment_of(one.jobs[name]) == REVIEWED_ENVIRONMENT
            wanted = {f'--{reason.replace("_", "-")}="${reason.upper()}"' for reason in _reasons(one) if asks}
            path = f"--path {'reviewed' if asks else 'automatic'}"
            given = {word for word in run.split() if re.match(r"--(accept|despite)-", word)}
            values = {reason.upper(): f"${{{{ inputs.{reason} }}}}" for reason in _reasons(one) if asks}
            if given != wanted or path not in run or not values.items() <= step["env"].items() or (used and not asks):
                yield f"{one.name}: {name} promotes by {run!r} with {step.get('env')}"


def _reasons(workflow: Workflow) -> list[str]:
    """Inputs that only a person who dispatches a run can give."""
    on = workflow.parsed["on"]
    dispatched = (on.get("workflow_dispatch") or {}).get("inputs", {})
    return sorted(set(dispatched) - set((on.get("workflow_call") or {}).get("inputs", {})))


def expressions_refer_to_what_exists(files: Files) -> Iterator[str]:
    for one in files.values():
        events = [event for event in one.parsed["on"].values() if isinstance(event, dict)]
        inputs = set().union(*(event.get("inputs", {}) for event in events))
        for name, job in one.jobs.items():
            ids = {step["id"] for step in job.get("steps", ()) if "id" in step}
            for expression in [*expressions_in(job), condition(str(job.get("if", "true")))]:
                for problem in _dangling(expression, one, name, inputs, ids):
                    yield f"{one.name}: {name}: {problem} in {expression!r}"


def _dangling(expression: str, workflow: Workflow, job: str, inputs: set[str], ids: set[str]) -> Iterator[str]:
    try:
        words = "".join(text if kind != "string" else " " for kind, text in tokens(expression))
    except ExpressionError as error:
        yield str(error)
        return
    for path in re.findall(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+", words):
        match path.split("."):
            case ["needs", other, *rest]:
                if other not in ancestors(workflow.jobs, job) or other not in _needs_of(workflow, job):
                    yield f"no need {other!r}"
                elif rest[0] == "outputs" and rest[1] not in workflow.jobs[other].get("outputs", {}):
                    yield f"{other!r} puts out no {rest[1]!r}"
            case ["steps", step, *_] if step not in ids:
                yield f"no step {step!r}"
            case ["steps", _, "outputs", one] if one not in OUTPUTS:
                yield f"no command puts out {one!r}"
            case ["vars", one] if one not in VARIABLES or environment_of(workflow.jobs[job]) is None:
                yield f"no environment of the job has the variable {one!r}"
            case ["inputs", one] if one not in inputs:
                yield f"no input {one!r}"


def _needs_of(workflow: Workflow, job: str) -> list[str]:
    wanted = workflow.jobs[job].get("needs", [])
    return [wanted] if isinstance(wanted, str) else wanted


def results_are_compared_with_words_that_exist(files: Files) -> Iterator[str]:
    for one in files.values():
        for _, word in re.findall(r"\.result\s*(==|!=)\s*'([^']*)'", one.text):
            if word not in RESULTS:
                yield f"{one.name}: no job ever ends as {word!r}"


RULES: tuple[Rule, ...] = (
    no_job_has_a_right_that_it_does_not_need,
    every_right_that_is_more_than_reading_code_says_why,
    a_cloud_identity_comes_from_an_environment,
    no_secret_is_used_and_the_token_goes_to_who_asks_github,
    nobody_is_trusted_by_an_actor,
    every_job_ends_in_time,
    every_action_is_pinned,
    event_data_reach_a_command_only_through_its_environment,
    code_of_strangers_can_do_nothing,
    strangers_reach_a_token_with_numbers_only,
    a_job_is_one_release_command_or_several_that_only_read,
    no_failure_is_hidden,
    what_failed_tests_have_left_can_be_read,
    a_checkout_leaves_no_token_behind,
    nothing_is_cached,
    only_known_events_start_a_run,
    every_environment_is_one_that_the_program_makes,
    no_group_is_held_while_somebody_decides,
    what_waits_in_a_group_is_cancelled_only_where_that_is_meant,
    preprod_is_changed_by_one_run_at_a_time,
    artifacts_are_kept_and_found,
    only_the_first_job_builds,
    called_workflows_get_what_they_declare,
    a_person_may_give_reasons_and_nothing_else_besides,
    a_reason_is_given_only_where_a_person_approves,
    expressions_refer_to_what_exists,
    results_are_compared_with_words_that_exist,
)
