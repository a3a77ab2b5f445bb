"""Every rule holds for the real workflows, and each can be broken."""

import os
import re
import shlex
import subprocess
from importlib.metadata import version

import pytest
import yaml

from components.github_rules import CHECKS, PREVIEWS
from components.service.functions import KEYS
from release.preview import pull_request
from release.preview.approval import LABEL
from release.pulumi.stack_config import load as load_settings
from tests.unit.workflows import rules
from tests.unit.workflows.graph import ROOT, WORKFLOWS, load


def _real():
    return {
        path.name: rules.Workflow(path.name, path.read_text(), load(path)) for path in sorted(WORKFLOWS.glob("*.yml"))
    }


REAL = _real()
DEPENDABOT_ENTRY = """
  - package-ecosystem: uv
    directory: /lambdas/{key}
    schedule:
      interval: weekly
    cooldown:
      default-days: 7
    commit-message:
      prefix: "lambdas:"
    groups:
      {key}:
        update-types: [minor, patch]
"""
ACTION = ROOT / ".github" / "actions" / "prepare" / "action.yml"


def _changed(tmp_path, file, old, new):
    assert old in REAL[file].text, f"{file} no longer holds {old!r}: this case tests nothing"
    path = tmp_path / file
    path.write_text(REAL[file].text.replace(old, new, 1))
    return {**REAL, file: rules.Workflow(file, path.read_text(), load(path))}


def test_the_workflows_are_there():
    assert set(REAL) == {PULL, PREVIEW, COMMENT, START, PREPROD, PROD, WATCH}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds(rule):
    assert list(rule(REAL)) == []


START, PREPROD, PROD, WATCH = "build-and-promote.yml", "preprod.yml", "deploy-prod.yml", "watch.yml"
PULL, PREVIEW, COMMENT = "pull-request.yml", "stack-preview.yml", rules.COMMENT
ROLE = "role-to-assume: ${{ vars.AWS_ROLE_ARN }}"

TOKEN_RULE = rules.no_secret_is_used_and_the_token_goes_to_who_asks_github
REASON_RULE = rules.a_reason_is_given_only_where_a_person_approves
STRANGERS = rules.strangers_reach_a_token_with_numbers_only
ONE_COMMAND = rules.a_job_is_one_release_command_or_several_that_only_read

BREAKS = [
    (rules.no_job_has_a_right_that_it_does_not_need, START, "permissions: {}", "permissions: read-all"),
    (rules.no_job_has_a_right_that_it_does_not_need, START, "contents: read", "contents: write"),
    (rules.no_job_has_a_right_that_it_does_not_need, PROD, "contents: read", "packages: write\n      contents: read"),
    (rules.no_job_has_a_right_that_it_does_not_need, PROD, "pull-requests: read", "pull-requests: write"),
    (rules.no_job_has_a_right_that_it_does_not_need, PROD, "      issues: write # a failure", "      # a failure"),
    (rules.no_job_has_a_right_that_it_does_not_need, WATCH, "actions: read", "actions: write"),
    (rules.no_job_has_a_right_that_it_does_not_need, START, "      issues: write # a failure", "      # a failure"),
    (rules.no_job_has_a_right_that_it_does_not_need, START, "actions: write", "actions: read"),
    (
        rules.every_right_that_is_more_than_reading_code_says_why,
        WATCH,
        "deployments: write # the deployment says how it ended",
        "deployments: write",
    ),
    (
        rules.a_cloud_identity_comes_from_an_environment,
        START,
        "contents: write # the copies",
        "id-token: write\n      contents: write # the copies",
    ),
    (rules.a_cloud_identity_comes_from_an_environment, PROD, ROLE, "role-to-assume: arn:aws:iam::123456789012:role/x"),
    (rules.a_cloud_identity_comes_from_an_environment, PREPROD, "    environment:\n      name: preprod\n", ""),
    (TOKEN_RULE, PROD, "${{ vars.AWS_ROLE_ARN }}", "${{ secrets.AWS_ROLE_ARN }}"),
    (TOKEN_RULE, START, "    with:\n      digest:", "    secrets: inherit\n    with:\n      digest:"),
    (TOKEN_RULE, WATCH, "        env:\n          GITHUB_TOKEN: ${{ github.token }}\n", ""),
    (TOKEN_RULE, PROD, "          DIGEST: ${{ inputs.digest }}\n", "          GITHUB_TOKEN: ${{ github.token }}\n"),
    (TOKEN_RULE, PROD, "          DIGEST: ${{ inputs.digest }}\n", "          OTHER: ${{ github.token }}\n"),
    (TOKEN_RULE, WATCH, "          aws-region: ${{ vars.AWS_REGION }}", "          token: ${{ github['token'] }}"),
    (rules.nobody_is_trusted_by_an_actor, PROD, "${{ always() }}", "${{ github.actor == 'dependabot[bot]' }}"),
    (rules.every_job_ends_in_time, PREPROD, "    timeout-minutes: 30\n", ""),
    (rules.every_job_ends_in_time, PROD, "timeout-minutes: 50", "timeout-minutes: 60"),
    (rules.every_action_is_pinned, PROD, "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7.0.1"),
    (
        rules.every_action_is_pinned,
        PROD,
        "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "@3d3c42e5aac5ba805825da76410c181273ba90b1",
    ),
    (rules.event_data_reach_a_command_only_through_its_environment, START, '"$SHA"', '"${{ github.sha }}"'),
    (ONE_COMMAND, START, "--out packages", "--out packages | tee build.log"),
    (ONE_COMMAND, START, "release status --stack preprod", "release deploy --stack preprod"),
    (rules.code_of_strangers_can_do_nothing, PULL, "contents: read", "contents: write"),
    (
        rules.code_of_strangers_can_do_nothing,
        PULL,
        "    name: Checks\n",
        "    name: Checks\n    environment: preprod\n",
    ),
    (rules.code_of_strangers_can_do_nothing, PULL, "run: .ci/run", "run: echo fine"),
    (rules.code_of_strangers_can_do_nothing, PREVIEW, "--out previews", "--out previews && echo fine"),
    (rules.artifacts_are_kept_and_found, PREVIEW, "retention-days: 30", "retention-days: 90"),
    (rules.no_job_has_a_right_that_it_does_not_need, COMMENT, "actions: read", "contents: write\n      actions: read"),
    (rules.every_right_that_is_more_than_reading_code_says_why, COMMENT, " # it says whether", "\n      # it says"),
    (STRANGERS, COMMENT, "          persist-credentials", "          ref: main\n          persist-credentials"),
    (STRANGERS, COMMENT, "github.event.workflow_run.id", "github.event.workflow_run.head_branch"),
    (STRANGERS, COMMENT, "uses: ./.github/actions/prepare", "uses: actions/download-artifact@x"),
    (rules.only_known_events_start_a_run, COMMENT, "  pull_request_target:", "  issue_comment:"),
    (rules.only_known_events_start_a_run, PULL, "  pull_request:", "  pull_request_target:"),
    (
        ONE_COMMAND,
        PROD,
        "release promote --stack prod",
        "release promote --stack prod || true",
    ),
    (
        ONE_COMMAND,
        PREPROD,
        "run: exec .venv/bin/python -m release deploy",
        "run: make deploy # ",
    ),
    (rules.no_failure_is_hidden, PROD, "defaults:\n  run:\n    shell: bash\n", ""),
    (
        rules.no_failure_is_hidden,
        PREPROD,
        "    timeout-minutes: 30",
        "    continue-on-error: true\n    timeout-minutes: 30",
    ),
    (rules.no_failure_is_hidden, PROD, "      - id: check\n", "      - id: check\n        continue-on-error: true\n"),
    (rules.no_failure_is_hidden, PROD, "      - id: promote\n", "      - id: promote\n        if: false\n"),
    (rules.no_failure_is_hidden, PREPROD, "if: ${{ always() }}", "if: ${{ success() || failure() }}"),
    (rules.what_failed_tests_have_left_can_be_read, PREPROD, "        if: ${{ always() }}\n", ""),
    (
        rules.what_failed_tests_have_left_can_be_read,
        PREPROD,
        "path: results\n          if-no",
        "path: result\n          if-no",
    ),
    (rules.a_checkout_leaves_no_token_behind, PREPROD, "          persist-credentials: false\n", ""),
    (rules.nothing_is_cached, START, "actions/upload-artifact@", "actions/cache@"),
    (rules.only_known_events_start_a_run, PROD, "  workflow_dispatch:", "  workflow_run:"),
    (rules.only_known_events_start_a_run, WATCH, "  workflow_dispatch:", "  pull_request_target:"),
    (rules.only_known_events_start_a_run, START, "branches: [main]", "branches: ['**']"),
    (rules.every_environment_is_one_that_the_program_makes, PROD, "name: production\n", "name: prodution\n"),
    (rules.no_group_is_held_while_somebody_decides, PROD, "permissions: {}", "concurrency: prod\npermissions: {}"),
    (
        rules.no_group_is_held_while_somebody_decides,
        START,
        "    needs: [build, preprod]\n",
        "    needs: [build, preprod]\n    concurrency: {group: prod, cancel-in-progress: false}\n",
    ),
    (rules.no_group_is_held_while_somebody_decides, START, "cancel-in-progress: false", "cancel-in-progress: true"),
    (rules.what_waits_in_a_group_is_cancelled_only_where_that_is_meant, START, "queue: max", "queue: all"),
    (rules.what_waits_in_a_group_is_cancelled_only_where_that_is_meant, START, "queue: max", "queue: single"),
    (
        rules.what_waits_in_a_group_is_cancelled_only_where_that_is_meant,
        START,
        "cancel-in-progress: false",
        "cancel-in-progress: true",
    ),
    (rules.preprod_is_changed_by_one_run_at_a_time, START, "group: preprod", "group: ${{ github.run_id }}"),
    (rules.artifacts_are_kept_and_found, START, "retention-days: 90", "retention-days: 7"),
    (
        rules.artifacts_are_kept_and_found,
        PREPROD,
        "name: packages-${{ github.sha }}",
        "name: package-${{ github.sha }}",
    ),
    (rules.only_the_first_job_builds, PREPROD, "release deploy --stack preprod", "release build --stack preprod"),
    (rules.only_the_first_job_builds, START, "    needs: [build, preprod]\n", "    needs: []\n"),
    (rules.called_workflows_get_what_they_declare, START, "      digest: ${{ needs.build.outputs.digest }}\n", ""),
    (
        rules.called_workflows_get_what_they_declare,
        START,
        "      digest: ${{ needs.build.outputs.digest }}\n",
        "      digest: ${{ needs.build.outputs.digest }}\n      force: yes\n",
    ),
    (
        rules.called_workflows_get_what_they_declare,
        START,
        "uses: ./.github/workflows/deploy-prod.yml",
        "uses: ./.github/workflows/deploy.yml",
    ),
    (
        rules.called_workflows_get_what_they_declare,
        START,
        "      digest: ${{ needs.build.outputs.digest }}\n",
        "      digest: ${{ needs.build.outputs.digest }}\n      despite_alarms: because\n",
    ),
    (
        rules.a_person_may_give_reasons_and_nothing_else_besides,
        PROD,
        "        required: true",
        "        required: false",
    ),
    (rules.a_person_may_give_reasons_and_nothing_else_besides, PROD, '        default: ""', "        default: because"),
    (
        rules.a_person_may_give_reasons_and_nothing_else_besides,
        PROD,
        "        required: false",
        "        required: true",
    ),
    (REASON_RULE, PROD, "--path reviewed", "--path automatic"),
    (REASON_RULE, PROD, "--path automatic", "--path reviewed"),
    (REASON_RULE, PROD, "--path automatic", '--path automatic --despite-alarms="$DESPITE_ALARMS"'),
    (REASON_RULE, PROD, ' --despite-alarms="$DESPITE_ALARMS"', ""),
    (REASON_RULE, PROD, '--despite-alarms="$DESPITE_ALARMS"', '--despite-alarms="$DESPITE_FREEZE"'),
    (REASON_RULE, PROD, '--despite-alarms="$DESPITE_ALARMS"', "--despite-alarms $DESPITE_ALARMS"),
    (REASON_RULE, PROD, "DESPITE_ALARMS: ${{ inputs.despite_alarms }}", "DESPITE_ALARMS: ${{ inputs.despite_freeze }}"),
    (REASON_RULE, PROD, "          DIGEST: ${{ inputs.digest }}\n", "          DIGEST: ${{ inputs.despite_alarms }}\n"),
    (
        rules.expressions_refer_to_what_exists,
        PROD,
        "needs.deploy-production.outputs.state",
        "needs.deploy-production.outputs.sate",
    ),
    (rules.expressions_refer_to_what_exists, PROD, "needs: check-preprod-validation", "needs: []"),
    (rules.expressions_refer_to_what_exists, PROD, "steps.promote.outputs.state", "steps.deploy.outputs.state"),
    (rules.expressions_refer_to_what_exists, PROD, "steps.check.outputs.digest", "steps.check.outputs.manifest"),
    (rules.expressions_refer_to_what_exists, PROD, "vars.DEPLOYMENT_BUCKET", "vars.BUCKET"),
    (rules.expressions_refer_to_what_exists, START, "SHA: ${{ github.sha }}", "SHA: ${{ vars.AWS_REGION }}"),
    (rules.expressions_refer_to_what_exists, PREPROD, "${{ inputs.digest }}", "${{ inputs.commit }}"),
    (rules.results_are_compared_with_words_that_exist, PROD, "!= 'skipped'", "== 'failed'"),
]


@pytest.mark.parametrize(("rule", "file", "old", "new"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_finds_what_breaks_it(rule, file, old, new, tmp_path):
    assert list(rule(_changed(tmp_path, file, old, new))) != []


def test_every_rule_is_broken_by_some_case():
    assert {case[0] for case in BREAKS} == set(rules.RULES)


def test_the_previews_are_told_by_the_names_that_the_releaser_and_the_ruleset_know():
    preview = REAL[PREVIEW].jobs["preview"]
    assert preview["name"] == pull_request.JOB
    assert REAL[PULL].jobs["checks"]["name"] in CHECKS
    assert set(CHECKS) == {REAL[PULL].jobs["checks"]["name"], PREVIEWS}
    assert preview["steps"][-1]["with"] == {
        "name": pull_request.ARTIFACT,
        "path": "previews",
        "if-no-files-found": "error",
        "overwrite": True,
        "retention-days": 30,
    }
    assert PREVIEW == pull_request.WORKFLOW
    comment = REAL[COMMENT]
    assert comment.parsed["on"]["workflow_run"] == {
        "workflows": [REAL[PREVIEW].parsed["name"]],
        "types": ["completed"],
    }
    assert comment.parsed["on"]["pull_request_target"]["types"] == ["labeled", "unlabeled"]
    assert f"github.event.label.name == '{LABEL}'" in comment.jobs["after-label"]["if"]
    assert "workflow_run.event == 'pull_request'" in comment.jobs["after-run"]["if"]


def test_the_linter_of_workflows_is_silenced_about_one_key_in_one_file_alone():
    document = yaml.safe_load((ROOT / ".github" / "actionlint.yaml").read_text())
    message = 'unexpected key "queue" for "concurrency" section. expected one of "cancel-in-progress", "group"'
    (file, entry) = document["paths"].popitem()
    (ignored,) = entry["ignore"]
    assert document == {"paths": {}}
    assert file == f".github/workflows/{START}"
    assert re.search(ignored, message)
    assert not re.search(ignored, message.replace('"queue"', '"quue"'))
    assert not re.search(ignored, message.replace('"concurrency"', '"jobs"'))


def test_only_one_job_needs_a_person():
    asking = [
        (file, name)
        for file, one in REAL.items()
        for name, job in one.own_jobs
        if rules.environment_of(job) == "production"
    ]
    assert asking == [("deploy-prod.yml", "deploy-production")]


def test_no_two_jobs_that_change_something_share_an_environment():
    environments = [str(rules.environment_of(job)) for one in REAL.values() for _, job in one.own_jobs]
    changing = sorted(one for one in environments if one != "None" and not one.endswith("-watch"))
    # The watchdog has the rights of the rollback, and of preprod's deploy, for their work; the lease keeps them apart.
    shared = ["production-rollback", "production-rollback"]
    once = ["preprod-test", "preprod-validate", "production", "production-auto"]
    assert changing == ["preprod", "preprod", *once, *shared]


def test_no_job_checks_out_anything_but_the_commit_of_its_run():
    refs = [(file, name) for file, one in REAL.items() for name, step in one.steps if "ref" in (step.get("with") or {})]
    assert refs == []


def test_where_history_decides_the_checkout_has_it():
    for name in ("check-preprod-validation", "deploy-production", "deploy-production-auto", "rollback"):
        job = REAL["deploy-prod.yml"].jobs[name]
        checkout = next(step for step in job["steps"] if "actions/checkout@" in step.get("uses", ""))
        assert checkout["with"]["fetch-depth"] == 0, name


def test_the_gate_is_chosen_for_the_release_that_was_checked_and_no_other():
    job = REAL["deploy-prod.yml"].jobs["check-preprod-validation"]
    check, route, plan = (step for step in job["steps"] if "run" in step)
    assert (check["id"], route["id"], plan["id"]) == ("check", "route", "plan")
    assert route["env"]["DIGEST"] == plan["env"]["DIGEST"] == "${{ steps.check.outputs.digest }}"
    assert job["outputs"] == {
        "digest": "${{ steps.check.outputs.digest }}",
        "environment": "${{ steps.route.outputs.environment }}",
        "approval": "${{ steps.plan.outputs.approval }}",
    }
    for name in ("deploy-production", "deploy-production-auto"):
        promote = next(step for step in REAL["deploy-prod.yml"].jobs[name]["steps"] if step.get("id") == "promote")
        assert promote["env"]["DIGEST"] == "${{ needs.check-preprod-validation.outputs.digest }}"


def test_a_person_approves_the_plan_that_production_is_held_to():
    jobs = REAL["deploy-prod.yml"].jobs
    steps = {name: {step.get("id", step.get("uses")): step for step in job["steps"]} for name, job in jobs.items()}
    words = shlex.split(steps["check-preprod-validation"]["plan"]["run"])
    promote = steps["deploy-production"]["promote"]
    assert promote["env"]["APPROVAL"] == "${{ needs.check-preprod-validation.outputs.approval }}"
    options = shlex.split(promote["run"])
    assert "--approval=$APPROVAL" in options
    file = words[words.index("--out") + 1]
    assert options[options.index("--plan") + 1] == file
    uploaded = next(step for step in jobs["check-preprod-validation"]["steps"] if "upload-artifact" in str(step))
    downloaded = next(step for step in jobs["deploy-production"]["steps"] if "download-artifact" in str(step))
    assert uploaded["with"]["name"] == downloaded["with"]["name"]
    assert {uploaded["with"]["path"], downloaded["with"]["path"]} == {file.partition("/")[0]}


def test_a_run_that_is_started_again_may_replace_what_it_has_uploaded():
    # Artifacts belong to a run, and all attempts are the same one: without it the upload fails.
    uploads = [step for one in REAL.values() for _, step in one.steps if "actions/upload-artifact" in str(step)]
    assert uploads
    assert [step["with"]["name"] for step in uploads if step["with"].get("overwrite") is not True] == []


def test_what_is_promoted_is_what_this_run_has_built():
    jobs = REAL["build-and-promote.yml"].jobs
    digest = "${{ needs.build.outputs.digest }}"
    assert jobs["preprod"]["with"] == {"digest": digest}
    assert jobs["production"]["with"] == {"digest": digest}


def test_the_set_up_is_pinned_uncached_and_locked():
    text = ACTION.read_text()
    steps = load(ACTION)["runs"]["steps"]
    one = rules.Workflow("action.yml", text, {"jobs": {"prepare": {"steps": steps}}})
    assert list(rules.every_action_is_pinned({"action.yml": one})) == []
    uv, sync, pulumi, plugins = steps
    assert "--require-hashes --only-binary :all: -r tools/uv/requirements.txt" in uv["run"]
    # --no-build: a package that is built runs whatever the newest version of its build tool is.
    assert {"--locked", "--no-config", "--no-build", "--no-install-project", "--no-default-groups"} <= set(
        sync["run"].split()
    )
    engine = re.search(r"pulumi/pkg/v3 v(\S+)", (ROOT / "tools" / "engine" / "go.mod").read_text())
    assert engine is not None
    assert pulumi["with"] == {"pulumi-version": engine.group(1)}
    assert plugins["if"] == pulumi["if"]


@pytest.mark.slow
def test_the_set_up_installs_the_one_plugin_of_a_service_stack_in_the_locked_version(tmp_path):
    script = load(ACTION)["runs"]["steps"][-1]["run"]
    (tmp_path / "pulumi").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pulumi").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    ran = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"plugin install resource aws {version('pulumi-aws')}\n"


def test_what_uses_the_engine_installs_it():
    needs_engine = {"deploy", "keep", "plan", "promote", "preview", "watch"}
    for file, one in REAL.items():
        for name, args in rules.release_commands(one):
            prepare = next(s for s in one.jobs[name]["steps"] if s.get("uses", "").startswith("./.github/actions/"))
            if args[0] in {"reap", "rollback"} and "preprod" not in args:
                assert prepare["uses"] == "./.github/actions/prepare-way-back", (file, name)
                continue
            used = any(words[0] in needs_engine for job, words in rules.release_commands(one) if job == name)
            assert prepare.get("with", {}).get("engine", False) is used, (file, name)


def test_test_dependencies_stay_out_of_the_jobs_that_decide():
    for file, one in REAL.items():
        for name, step in one.steps:
            if step.get("uses") == "./.github/actions/prepare" and (step.get("with") or {}).get("group"):
                assert (file, name) == ("preprod.yml", "integration-tests")


def test_dependabot_watches_every_lock_file_and_waits():
    document = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    watched = {
        (update["package-ecosystem"], directory)
        for update in document["updates"]
        for directory in update.get("directories", [update.get("directory")])
    }
    assert ("uv", "/") in watched
    assert watched >= {("gomod", f"/{path.parent.relative_to(ROOT)}") for path in ROOT.glob("tools/*/go.mod")}
    assert watched >= {("github-actions", "/"), ("github-actions", "/.github/actions/prepare")}
    assert watched >= {("npm", f"/{path.parent.relative_to(ROOT)}") for path in ROOT.glob("tools/*/package-lock.json")}
    assert all(update["cooldown"]["default-days"] >= 7 for update in document["updates"])
    assert all(len(update["groups"]) == 1 for update in document["updates"])


def test_dependabot_has_an_entry_for_each_function_and_keeps_major_versions_apart_from_the_others():
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    found = [one for one in updates if "lambdas" in str(one.get("directory")) + str(one.get("directories"))]
    entries = {key: DEPENDABOT_ENTRY.format(key=key) for key in KEYS}
    expected = {key: yaml.safe_load(entry)[0] for key, entry in entries.items()}
    missing = [entries[key] for key, one in expected.items() if one not in found]
    assert not missing, "add to .github/dependabot.yml:\n" + "".join(missing)
    beside = [one for one in found if one not in expected.values()]
    assert not beside, f"take out of .github/dependabot.yml, components/service/functions.py has no such row: {beside}"


@pytest.mark.stack_files
def test_the_owners_of_what_decides_are_the_reviewers_of_production():
    settings = load_settings("prod-foundation", ROOT, {})
    wanted = [f"@{login}" for login in settings.reviewers]
    wanted += [f"@{settings.github_owner}/{team}" for team in settings.reviewer_teams]
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    owned = {path: owners for path, *owners in (line.split() for line in lines if line and not line.startswith("#"))}
    decides = ("*", "/.github/", "/components/", "/release/", "/Pulumi*.yaml", "/__main__.py")
    assert {path: owned[path] for path in decides} == dict.fromkeys(decides, wanted)
