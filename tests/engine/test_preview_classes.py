"""What the real engine previews, how it is classified, and that an update really leaves what is to go away later.

The previews that tests/unit/release/test_changes.py works with are recorded here: `RECORD_PREVIEWS=1 pytest` this file.
"""

import io
import os

import pytest
from rich.console import Console as RichConsole

from components.naming import names
from components.service.functions import KEYS
from release.console import Console
from release.errors import Refused
from release.pulumi.changes import Impact, read, refuse
from release.pulumi.stack import ReleaseInput, Stack
from tests.engine.conftest import STACK, program_copy
from tests.previews import FOLDER, recorded, trimmed

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

NO_ALARM_OF_ANALYSIS = (
    "components/service/service.py",
    "watching.extend(self._alarms(spec, live[spec.key]))",
    'watching.extend(self._alarms(spec, live[spec.key]) if spec.key != "analysis" else ())',
)
CASES = {
    "memory": [
        ("Pulumi.preprod.yaml", "config:\n", "config:\n  sentiment-pipeline:functionMemoryMb: 512\n"),
    ],
    "new-queue-and-alarm": [
        (
            "components/service/messaging.py",
            "        self.register_outputs(",
            '        aws.sqs.Queue("extra", name="preprod-sentiment-extra", opts=pulumi.ResourceOptions(parent=self))\n'
            '        aws.cloudwatch.MetricAlarm("extra", name="preprod-sentiment-extra", evaluation_periods=1,\n'
            '            comparison_operator="GreaterThanThreshold", metric_name="Errors", namespace="AWS/Lambda",\n'
            '            period=60, statistic="Sum", threshold=9, opts=pulumi.ResourceOptions(parent=self))\n'
            "        self.register_outputs(",
        )
    ],
    "narrowed-role-policy": [("components/service/functions.py", "            execution.announce_items(arns),\n", "")],
    "replaced-topic": [("components/naming.py", "new-items", "newer-items")],
    "removed-alarm": [NO_ALARM_OF_ANALYSIS],
}


class Programs:
    """The stack, driven by the releaser with copies of the program that tests have changed."""

    def __init__(self, service, folder):
        self.service = service
        self.folder = folder
        self.stable = service.record()["stable"]

    def stack(self, *edits) -> Stack:
        copy = program_copy(self.folder / f"program-{len(list(self.folder.iterdir()))}")
        for name, old, new in edits:
            text = (copy / name).read_text()
            assert old in text, f"{name} no longer holds {old}"
            (copy / name).write_text(text.replace(old, new))
        return Stack(STACK, copy, Console(RichConsole(file=io.StringIO())))

    def handed(self, release, traffic, *, without=(), confirmed=False) -> ReleaseInput:
        made = dict(self.service.release(release))
        made["functions"] = {key: package for key, package in made["functions"].items() if key not in without}
        return ReleaseInput(made, self.stable, traffic, confirmed)


@pytest.fixture
def programs(service, tmp_path, monkeypatch):
    for name, value in service.cloud.variables.items():
        monkeypatch.setenv(name, value)
    return Programs(service, tmp_path)


@pytest.fixture
def documents(monkeypatch):
    """The documents that the engine gave, newest last."""
    seen = []
    monkeypatch.setattr("release.pulumi.stack.read", lambda document: seen.append(document) or read(document))
    return seen


def by_class(plan):
    return {
        impact: {f"{step.op} {step.name}" for step in plan.steps if step.impact is impact}
        for impact in {step.impact for step in plan.steps}
    }


def told(plan):
    """What a plan says of its steps; not the states, of which a recorded preview holds a part."""
    return {
        (step.op, step.type, step.urn, step.properties, step.impact, step.protected, step.retained)
        for step in plan.steps
    }


def as_recorded(name, document):
    """Record what the engine said, or compare it with what it said when that was recorded."""
    if os.environ.get("RECORD_PREVIEWS"):
        (FOLDER / f"{name}.json").write_text(trimmed(document))
    now, then = read(trimmed(document)), read(recorded(name))
    assert told(now) == told(then)
    assert (now.conflicts, now.live, now.records) == (then.conflicts, then.live, then.records)
    assert read(document).targets() == read(document).targets()
    assert told(read(document)) == told(now)


@pytest.mark.parametrize("case", [name for name in CASES if name != "removed-alarm"])
def test_the_engine_says_what_the_recorded_previews_say(programs, documents, case):
    programs.stack(*CASES[case]).plan(programs.handed("first", 0))
    as_recorded(case, documents[-1])


def alarms(cloud):
    found = cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=STACK)["MetricAlarms"]
    return {alarm["AlarmName"] for alarm in found}


def weights(cloud):
    lambdas = cloud.client("lambda")
    answers = {key: lambdas.get_alias(FunctionName=names(STACK).function(key).function, Name="live") for key in KEYS}
    return {key: (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") for key, answer in answers.items()}


def test_what_a_release_removes_is_left_until_a_full_update_after_it_is_confirmed(service, programs, documents):
    stack, dark = programs.stack(*CASES["removed-alarm"]), programs.handed("expanding", 0)
    doomed = names(STACK).function("analysis").alarm("errors")
    plan = stack.plan(dark)
    as_recorded("removed-alarm", documents[-1])
    before = service.record(), service.versions("live")

    stack.expand(dark, plan)
    assert doomed in alarms(service.cloud)
    assert service.record() == {"release": dark.release, "stable": programs.stable}
    assert service.versions("live") == before[1]
    candidates = service.versions("candidate")
    assert all(candidates[key] != version for key, version in before[1].items())

    stack.up(programs.handed("expanding", 10), targets=plan.live_aliases())
    assert weights(service.cloud)["dashboard"] == {candidates["dashboard"]: 0.1}
    complete = set(stack.outputs())
    assert {"dashboard_url", "alarms", "live", "candidate", "on_call_topic", "release", "stable"} <= complete

    confirmed = programs.handed("expanding", 100, confirmed=True)
    stack.up(confirmed, targets=plan.live_aliases())
    assert service.versions("live") == candidates
    assert service.record() == {"release": dark.release, "stable": candidates}
    assert doomed in alarms(service.cloud)

    stack.up(confirmed)
    assert doomed not in alarms(service.cloud)
    assert set(stack.outputs()) == complete
    assert stack.preview(confirmed) == ()

    service.up(service.hand_over(service.release("first"), traffic=100, confirmed=True))
    assert doomed in alarms(service.cloud)


def test_what_is_protected_is_refused_by_name_although_the_engine_ends_its_preview_with_an_error(
    service, programs, documents
):
    stack = programs.stack(*CASES["removed-alarm"])
    (doomed,) = (step.urn for step in read(recorded("removed-alarm")).steps if step.name == "analysis-errors")
    service.cloud.run("pulumi", "state", "protect", doomed, "--yes", "--stack", STACK)
    try:
        plan = stack.plan(programs.handed("first", 0))
    finally:
        service.cloud.run("pulumi", "state", "unprotect", doomed, "--yes", "--stack", STACK)
    as_recorded("removed-protected-alarm", documents[-1])
    with pytest.raises(Refused, match="analysis-errors") as refused:
        refuse(plan, "reviewed", first=True)
    assert refused.value.rule == "loses-data"


def test_a_pattern_of_live_aliases_would_delete_what_hangs_on_a_function_that_goes_away(programs, documents):
    text = (programs.stack().program / "components/service/functions.py").read_text()
    start, end = (text.index(f'    FunctionSpec(\n        key="{key}"') for key in ("analysis", "dashboard"))
    stack = programs.stack(("components/service/functions.py", text[start:end], ""))
    handed = programs.handed("without", 0, without=("analysis",))
    plan = stack.plan(handed)
    as_recorded("removed-function", documents[-1])
    assert not any("analysis" in urn for urn in (*plan.live_aliases(), *plan.targets()))
    # The same step by a pattern: this is why targets are exact.
    said = stack._run(  # a flag that the releaser never uses
        ["preview", "--json", "--target", "**aws:lambda/alias:Alias::*-live"], handed
    )
    assert "delete analysis-live" in by_class(read(said.document))[Impact.DESTRUCTIVE]
    assert "delete analysis-errors" in by_class(read(said.document))[Impact.DESTRUCTIVE]
