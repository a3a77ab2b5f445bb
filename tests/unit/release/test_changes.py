"""Whom a step of an update hits, what is refused for it, and what is left for later."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.service.functions import KEYS
from components.service.record import RECORD_TYPE as RECORD_OF_THE_PROGRAM
from release.errors import Refused
from release.pulumi.changes import (
    ATTACHED,
    RECORD_TYPE,
    STANDALONE,
    VERSIONED,
    Impact,
    UpdatePlan,
    detached,
    read,
    refuse,
)
from tests.previews import recorded

FUNCTION = "aws:lambda/function:Function"
ALIAS = "aws:lambda/alias:Alias"
TOPIC = "aws:sns/topic:Topic"
TABLE = "aws:dynamodb/table:Table"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
QUEUE = "aws:sqs/queue:Queue"
PROVIDER = "pulumi:providers:aws"
COMPONENT = "sentiment:service:Function"
HARMLESS = {Impact.CANDIDATE_ONLY, Impact.ADDITIVE}
OPS = {"same", "create", "update", "read", "refresh", "import"}


def urn(type_, name="x"):
    return f"urn:pulumi:prod::p::{type_}::{name}"


def step(op, type_, name="x", /, *, changed=(), on=None, custom=True, old=None, **inputs):
    """A step as the engine writes it; `on` are the URNs that each property depends on."""
    state = {"urn": urn(type_, name), "type": type_, "custom": custom, "inputs": inputs}
    new = state | {"propertyDependencies": on or {}}
    return {
        "op": op,
        "urn": urn(type_, name),
        "detailedDiff": {path: {"kind": "update"} for path in changed},
        **({"oldState": state | (old or {})} if op != "create" else {}),
        **({"newState": new} if not op.startswith("delete") else {}),
    }


def plan(*steps) -> UpdatePlan:
    return read(json.dumps({"steps": list(steps)}))


def only(*steps) -> Impact:
    return plan(*steps).steps[-1].impact


def classes(found):
    return {change: {f"{step.op} {step.name}" for step in found.of(change)} for change in Impact if found.of(change)}


def rule(found, path, *, first=False):
    with pytest.raises(Refused) as refused:
        refuse(found, path, first=first)
    assert refused.value.next_step
    return refused.value.rule


CANDIDATES = {f"update {name}-candidate" for name in KEYS}
CODE = {f"update {name}" for name in KEYS}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("memory", {Impact.CANDIDATE_ONLY: CODE | CANDIDATES}),
        ("new-queue-and-alarm", {Impact.ADDITIVE: {"create extra"}}),
        ("narrowed-role-policy", {Impact.SHARED: {"update ingestion"}}),
        (
            "replaced-topic",
            {
                Impact.CANDIDATE_ONLY: {"update ingestion", "update ingestion-candidate"},
                Impact.SHARED: {"update dead-letters", "update ingestion"},
                Impact.DESTRUCTIVE: {"replace new-items", "replace analysis-topic"},
            },
        ),
        (
            "removed-alarm",
            {
                Impact.CANDIDATE_ONLY: CODE | CANDIDATES | {"delete analysis"},
                Impact.DESTRUCTIVE: {"delete analysis-errors"},
            },
        ),
    ],
)
def test_what_the_engine_previewed_is_classified_by_whom_it_hits(name, expected):
    assert classes(read(recorded(name))) == expected


@given(
    op=st.text().filter(lambda op: op not in OPS), type_=st.sampled_from([FUNCTION, TOPIC, ALIAS, COMPONENT, "new:t:T"])
)
def test_an_unknown_operation_on_what_is_in_the_cloud_is_destructive(op, type_):
    assert plan({**step("update", type_, "x", name="candidate"), "op": op}).steps[0].impact is Impact.DESTRUCTIVE


@given(op=st.text(), type_=st.text().filter(lambda type_: not type_.startswith(("pulumi:", *STANDALONE, *ATTACHED))))
def test_an_unknown_type_is_never_less_than_shared(op, type_):
    dependencies = {"function": [urn(ROLE)]}
    found = plan(step("create", ROLE), {**step("update", type_, on=dependencies, publish=True), "op": op})
    assert not HARMLESS & {found.impact for found in found.steps if found.type == type_}


@given(op=st.text(), states=st.sampled_from([{}, {"newState": None}, {"oldState": {}, "newState": {}}]))
def test_a_step_that_says_nothing_of_its_resource_is_never_harmless(op, states):
    assert not HARMLESS & {found.impact for found in plan({"op": op, "urn": "u", **states}).steps}


@pytest.mark.parametrize("document", ["", "null", "[]", "{}", '{"steps": []}', "error: no stack"])
def test_a_preview_without_steps_is_no_plan(document):
    with pytest.raises(ValueError, match=r"steps|JSON|Expecting"):
        read(document)


@given(st.sets(st.sampled_from(sorted(VERSIONED)), min_size=1))
def test_a_function_that_publishes_what_a_version_freezes_hits_the_candidate_only(properties):
    assert only(step("update", FUNCTION, changed=properties, publish=True)) is Impact.CANDIDATE_ONLY
    assert only(step("update", FUNCTION, changed=properties, publish=False)) is Impact.SHARED


@pytest.mark.parametrize(
    "path", ["reservedConcurrentExecutions", "tags", 'tagsAll["a"]', "codeSigningConfigArn", "new"]
)
def test_what_belongs_to_the_function_as_a_whole_is_shared(path):
    assert only(step("update", FUNCTION, changed=["memorySize", path], publish=True)) is Impact.SHARED


def test_a_function_whose_changes_are_not_named_is_shared():
    assert only(step("update", FUNCTION, publish=True)) is Impact.SHARED


def test_a_change_below_a_property_counts_as_that_property():
    found = plan(step("update", FUNCTION, changed=['environment.variables["A"]', "layers[0]"], publish=True))
    assert found.steps[0].properties == ("environment", "layers")
    assert found.steps[0].impact is Impact.CANDIDATE_ONLY


@pytest.mark.parametrize("op", ["create", "update"])
def test_of_the_aliases_only_candidate_is_nobodys(op):
    assert only(step(op, ALIAS, changed=["functionVersion"], name="candidate")) is Impact.CANDIDATE_ONLY
    assert only(step(op, ALIAS, changed=["functionVersion"], name="live")) is Impact.SHARED


@pytest.mark.parametrize("type_", sorted(STANDALONE))
def test_what_stands_alone_is_additive_when_new_and_shared_when_changed(type_):
    assert only(step("create", type_)) is Impact.ADDITIVE
    assert only(step("update", type_, changed=["tags"])) is Impact.SHARED
    assert only(step("import", type_)) is Impact.SHARED


@pytest.mark.parametrize("type_", sorted(ATTACHED))
def test_what_hangs_on_something_is_additive_only_if_all_of_that_is_new_too(type_):
    names = ATTACHED[type_]
    fresh, old = step("create", ROLE, "fresh"), step("same", ROLE, "old")
    on_new = {name: [fresh["urn"]] for name in names}
    assert only(fresh, old, step("create", type_, on=on_new)) is Impact.ADDITIVE
    for name in names:
        for dependencies in ([old["urn"]], [fresh["urn"], old["urn"]], [], None):
            hangs = step("create", type_, on=on_new | {name: dependencies})
            assert only(fresh, old, hangs) is Impact.SHARED, dependencies


def test_components_and_providers_stand_in_the_state_only():
    for op in ("create", "update", "delete"):
        assert only(step(op, COMPONENT, custom=False)) is Impact.CANDIDATE_ONLY
    for op in ("create", "delete"):
        assert only(step(op, PROVIDER)) is Impact.CANDIDATE_ONLY
    assert only(step("update", PROVIDER, changed=["region"])) is Impact.SHARED
    assert only(step("replace", PROVIDER)) is Impact.DESTRUCTIVE


def test_the_record_is_known_by_the_name_that_the_program_gives_it():
    assert RECORD_TYPE == RECORD_OF_THE_PROGRAM


# What is left for later


def test_nothing_is_targeted_when_nothing_goes_away():
    assert read(recorded("memory")).targets() == ()


def test_what_goes_away_its_component_and_what_is_unchanged_are_no_targets():
    found = read(recorded("removed-alarm"))
    changed = {target.rsplit("::", 1)[-1] for target in found.targets()}
    assert changed == {*(word.split()[1] for word in CODE | CANDIDATES), "record"}
    assert not found.deleted & set(found.targets())
    assert not any("pulumi:pulumi:Stack" in target for target in found.targets())


def test_targets_are_never_empty_when_something_goes_away():
    # An empty list would be a full update, which would delete it.
    found = plan(step("delete", QUEUE), step("same", RECORD_TYPE, "record", custom=False))
    assert found.targets() == (urn(RECORD_TYPE, "record"),)


def test_traffic_moves_exactly_the_aliases_that_exist_and_stay():
    names = {target.rsplit("::", 1)[-1] for target in read(recorded("removed-function")).live_aliases()}
    assert names == {"dashboard-live", "ingestion-live"}
    assert len(read(recorded("memory")).live_aliases()) == 3


def test_a_function_without_live_is_not_reached_by_targets():
    functions = [step("same", FUNCTION, "a", name="prod-a"), step("create", FUNCTION, "b", name="prod-b")]
    lives = [step("same", ALIAS, "a-live", name="live", functionName="prod-a")]
    assert plan(functions[0], *lives).live_aliases() == (urn(ALIAS, "a-live"),)
    assert plan(*functions, *lives).live_aliases() == ()
    lives.append(step("create", ALIAS, "b-live", name="live", functionName="prod-b"))
    assert plan(*functions, *lives).live_aliases() == ()


CHECKPOINT: dict[str, Any] = {
    "version": 3,
    "deployment": {
        "resources": [
            {"urn": "stack"},
            {"urn": "live", "dependencies": ["function"]},
            {
                "urn": "alarm",
                "dependencies": ["live", "url"],
                "propertyDependencies": {"a": ["live"], "b": ["url"], "c": []},
            },
            {"urn": "url", "parent": "stack", "dependencies": ["live"], "deletedWith": "live", "id": "u"},
        ]
    },
}


def test_what_goes_away_is_cut_off_what_stays_and_keeps_its_own_order():
    after = json.loads(detached(json.dumps(CHECKPOINT).encode(), {"alarm", "url"}) or b"")
    expected = json.loads(json.dumps(CHECKPOINT))
    expected["deployment"]["resources"][2:] = [
        {"urn": "alarm", "dependencies": ["url"], "propertyDependencies": {"a": [], "b": ["url"], "c": []}},
        {"urn": "url", "parent": "stack", "dependencies": [], "id": "u"},
    ]
    assert after == expected


def test_what_is_cut_already_is_left_alone():
    once = detached(json.dumps(CHECKPOINT).encode(), {"alarm", "url"})
    assert once is not None
    assert detached(once, {"alarm", "url"}) is None
    assert detached(json.dumps(CHECKPOINT).encode(), {"stack"}) is None


# What is refused


def test_people_are_told_what_hits_all_traffic_and_what_waits():
    assert refuse(read(recorded("narrowed-role-policy")), "reviewed", first=False) == (
        "hits all traffic at once: update aws:iam/rolePolicy:RolePolicy ingestion (policy)",
    )
    assert refuse(read(recorded("removed-alarm")), "reviewed", first=False) == (
        "waits until the release is confirmed: delete aws:cloudwatch/metricAlarm:MetricAlarm analysis-errors",
    )


def test_the_automatic_path_takes_only_what_no_one_but_the_candidate_feels():
    for name in ("memory", "new-queue-and-alarm"):
        assert refuse(read(recorded(name)), "automatic", first=False) == ()
    assert rule(read(recorded("narrowed-role-policy")), "automatic") == "shared-change-needs-review"
    assert rule(read(recorded("removed-alarm")), "automatic") == "destructive-change-needs-review"


@given(st.lists(st.sampled_from([step("update", TOPIC), step("delete", QUEUE), step("create", "new:t:T")]), min_size=1))
def test_no_shared_or_destructive_step_ever_passes_the_automatic_path(steps):
    assert rule(plan(*steps), "automatic").endswith("-needs-review")


@pytest.mark.parametrize("name", ["narrowed-role-policy", "removed-alarm", "replaced-topic"])
def test_before_the_first_confirmed_release_there_is_nobody_to_protect(name):
    assert all("waits" not in line for line in refuse(read(recorded(name)), "automatic", first=True))


@pytest.mark.parametrize("path", ["automatic", "reviewed"])
@pytest.mark.parametrize("op", ["delete", "replace", "delete-replaced", "something-new"])
def test_data_are_never_given_up_by_a_release(path, op):
    assert rule(plan(step(op, TABLE)), path) == "loses-data"
    assert refuse(plan(step(op, QUEUE)), "reviewed", first=False)


def test_what_is_protected_is_refused_even_before_the_first_confirmed_release():
    assert rule(read(recorded("removed-protected-alarm")), "reviewed", first=True) == "loses-data"


def test_data_that_stay_in_aws_may_leave_the_stack():
    assert refuse(plan(step("delete", TABLE, old={"retainOnDelete": True})), "reviewed", first=False)
    assert rule(plan(step("replace", TABLE, old={"retainOnDelete": True})), "reviewed") == "loses-data"


# What cannot wait


def test_a_function_that_is_told_of_the_new_topic_cannot_go_before_it():
    found = read(recorded("replaced-topic"))
    assert rule(found, "reviewed") == "contract-first"
    assert any("Function ingestion is told the name of aws:sns/topic:Topic new-items" in why for why in found.conflicts)


def test_what_uses_a_replaced_thing_cannot_go_before_it():
    user = step("update", ROLE_POLICY, on={"role": [urn(ROLE)]})
    assert rule(plan(step("replace", ROLE), user), "reviewed") == "contract-first"
    assert refuse(plan(step("replace", ROLE), {**user, "op": "same"}), "reviewed", first=False)


@pytest.mark.parametrize("type_", [FUNCTION, ALIAS, "aws:cloudwatch/metricAlarm:MetricAlarm"])
def test_what_is_judged_or_judges_cannot_be_replaced_later(type_):
    assert rule(plan(step("replace", type_)), "reviewed") == "contract-first"


def test_a_function_cannot_be_told_of_what_is_deleted_later():
    gone = step("delete", QUEUE, name="prod-jobs")

    def told(value):
        return plan(gone, step("same", FUNCTION, publish=True, environment={"variables": {"JOBS": value}}))

    for value in (
        "prod-jobs",
        "arn:aws:sqs:eu-west-1:123456789012:prod-jobs",
        "https://sqs.test/123456789012/prod-jobs",
    ):
        assert rule(told(value), "reviewed") == "contract-first"
    for value in ("prod-jobs-2", "my-prod-jobs", "[secret]", {"secret": "prod-jobs"}):
        assert refuse(told(value), "reviewed", first=False)


def test_a_new_name_in_the_program_for_the_same_thing_in_aws_needs_an_alias():
    moved = [step("create", QUEUE, "new", name="prod-jobs"), step("delete", QUEUE, "old", name="prod-jobs")]
    assert rule(plan(*moved), "reviewed") == "contract-first"
    moved[0]["newState"]["inputs"]["name"] = "prod-jobs-2"
    assert refuse(plan(*moved), "reviewed", first=False)


def test_a_provider_that_changes_leaves_nothing_for_later():
    assert (
        rule(plan(step("update", PROVIDER, changed=["region"]), step("delete", QUEUE)), "reviewed") == "contract-first"
    )
