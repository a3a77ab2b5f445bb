"""The plan document: differences of what people wrote, no secret at any depth, nothing that only looks different."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from release.preview.compare import ALWAYS_SECRET, plan_of
from release.preview.markdown import full
from release.preview.plan import UNKNOWN, Against, Cost, Head, PlanDocument, StatementChange
from release.preview.remarks import remarks
from release.preview.statements import statement_changes, statement_lines
from release.pulumi.changes import Impact
from tests.examples import examples
from tests.previews import recorded
from tests.unit.release.plan_world import (
    ALARM,
    ALIAS,
    FUNCTION,
    MADE,
    ROLE_POLICY,
    TABLE,
    alarm,
    allow,
    component,
    plan,
    policy,
    same,
    step,
)
from tests.unit.release.plan_world import UNKNOWN as ENGINE_UNKNOWN

PLAINTEXT = "hunter2-hunter2"
TWIN = "twin"


def changed(old, new, typ="aws:sns/topic:Topic", op="update", **rest):
    """The one resource of a plan that has these inputs before and after."""
    return plan([step(op, typ, "it", old=old, new=new, **rest)]).changes[0]


def properties(old, new, **rest):
    return [(one.path, one.old, one.new) for one in changed(old, new, **rest).properties]


def of_recorded(name):
    return plan(json.loads(recorded(name))["steps"], stack="preprod")


# -- secrets

names = st.sampled_from(sorted(ALWAYS_SECRET))
secret_values = st.sampled_from(
    [
        PLAINTEXT,
        {"inner": PLAINTEXT},
        [PLAINTEXT],
        [{"a": PLAINTEXT}],
        json.dumps({"user": "a", "inner": PLAINTEXT}),
        json.dumps([PLAINTEXT]),
    ]
)


@st.composite
def planted(draw):
    """Inputs of a resource with a secret somewhere below a name that is always secret."""
    value = {draw(names): draw(secret_values)}
    for wrap in draw(st.lists(st.sampled_from(["dict", "list", "twins", "json", "text in list"]), max_size=4)):
        match wrap:
            case "dict":
                value = {"settings": value}
            case "list":
                value = {"entries": [value]}
            case "twins":
                value = {"entries": [value, {"other": 1}]}
            case "json":
                value = {"body": json.dumps(value)}
            case "text in list":
                value = {"entries": [json.dumps(value), "other"]}
    return value


@settings(max_examples=examples(150))
@given(
    planted(),
    st.one_of(st.just({}), st.just(TWIN), planted()),
    st.sampled_from(["update", "create", "delete", "replace"]),
)
def test_a_secret_is_shown_at_no_depth(inputs, others, op):
    # A twin differs in the secret alone, wherever that stands.
    shape = inputs if others is TWIN else others
    other = json.loads(json.dumps(shape).replace(PLAINTEXT, f"other-{PLAINTEXT}"))
    for old, new in ((inputs, other), (other, inputs)):
        document = plan([step(op, "aws:sns/topic:Topic", "it", old=old, new=new)])
        assert PLAINTEXT not in document.model_dump_json()
        assert PLAINTEXT not in full(document)


@pytest.mark.parametrize("name", sorted(ALWAYS_SECRET))
def test_that_a_secret_changes_is_shown(name):
    assert properties({name: "one"}, {name: "two"}) == [(name, '"[secret]"', '"[secret]"')]


def test_what_the_engine_masks_stays_masked():
    assert properties({"value": "[secret]"}, {"value": "open"}) == [("value", '"[secret]"', '"open"')]


# -- differences


def test_a_value_that_only_the_update_knows_says_so():
    assert properties({"arn": "a"}, {"arn": ENGINE_UNKNOWN}) == [("arn", '"a"', UNKNOWN)]
    assert properties({"a": {"b": 1}}, {"a": {"b": ENGINE_UNKNOWN}}) == [("a.b", "1", UNKNOWN)]


def test_a_known_text_is_never_taken_for_an_unknown_one():
    assert properties({"a": 1}, {"a": UNKNOWN}) == [("a", "1", json.dumps(UNKNOWN))]


def test_lists_lose_and_gain_members():
    assert properties({"a": [1, 2]}, {"a": [2, 3]}) == [("a[]", "1", None), ("a[]", None, "3")]


def test_one_changed_object_of_a_list_is_compared_inside():
    old, new = ({"a": [{"k": 1}, {"k": 2, "x": x}]} for x in ("old", "new"))
    assert properties(old, new) == [("a[1].x", '"old"', '"new"')]


def test_another_order_of_a_list_is_a_difference():
    assert properties({"a": [1, 2]}, {"a": [2, 1]}) == [("a", "[1, 2]", "[2, 1]")]


def test_json_texts_are_compared_inside():
    assert properties({"body": '{"a": 1, "b": 2}'}, {"body": '{"b": 3, "a": 1}'}) == [("body.b", "2", "3")]


def test_absent_is_not_null():
    assert properties({}, {"a": None}) == [("a", None, "null")]


def test_a_long_value_says_how_much_is_missing():
    [(_, _, shown)] = properties({}, {"a": "x" * 3_000})
    assert shown.endswith("… (and 1002 characters)")


def test_people_have_names():
    document = plan([step("update", TABLE, "it", old={"users": [1]}, new={"users": [1, 2]})], people={"2": "octocat"})
    assert document.changes[0].properties[0].new == "octocat (2)"


def test_a_replacement_names_what_forces_it_and_marks_its_properties():
    one = changed({"name": "a", "size": 1}, {"name": "b", "size": 2}, TABLE, "replace", forces=("name",))
    assert one.forced_by == ("name",)
    assert [(prop.path, prop.replaces) for prop in one.properties] == [("name", True), ("size", False)]
    assert one.loses_data


@pytest.mark.parametrize(
    ("typ", "op", "state", "loses"),
    [
        (TABLE, "delete", {}, True),
        (TABLE, "delete", {"retainOnDelete": True}, False),
        (TABLE, "replace", {"retainOnDelete": True}, True),
        ("aws:sqs/queue:Queue", "delete", {}, False),
        (FUNCTION, "delete", {}, False),
    ],
)
def test_only_what_cannot_be_made_again_is_lost_data(typ, op, state, loses):
    new = {"name": "a"} if op == "replace" else None
    assert plan([step(op, typ, "it", old={"name": "b"}, new=new, **state)]).changes[0].loses_data is loses


def test_what_only_follows_is_told_from_what_changes():
    parent = component("Function", "a")
    assert changed({"functionVersion": "1"}, {"functionVersion": ENGINE_UNKNOWN}, ALIAS, parent=parent).follows
    assert not changed({"memorySize": 1}, {"memorySize": 2}, FUNCTION).follows
    assert not changed({"memorySize": 1}, {"memorySize": ENGINE_UNKNOWN, "timeout": 2}, FUNCTION).follows
    assert not changed(None, {"name": ENGINE_UNKNOWN}, ALIAS, op="create").follows


def test_components_and_providers_that_come_are_no_resources():
    document = plan(
        [
            step("create", "sentiment:service:Function", "a", new={}, custom=False),
            step("create", "pulumi:providers:aws", "default", new={"version": "7"}),
            step("create", TABLE, "items", new={"name": "a"}, parent=component("Items", "items")),
        ]
    )
    assert [(one.name, one.component) for one in document.changes] == [("items", "Items items")]


def test_the_most_severe_comes_first_and_what_loses_data_before_the_rest():
    names_of = [(one.change, one.loses_data) for one in MADE["many"]().changes]
    assert [change for change, _ in names_of] == sorted(
        (change for change, _ in names_of),
        key=[Impact.DESTRUCTIVE, Impact.SHARED, Impact.ADDITIVE, Impact.CANDIDATE_ONLY].index,
    )
    document = plan([step("delete", FUNCTION, "a", old={}), step("delete", TABLE, "z", old={})])
    assert [one.name for one in document.changes] == ["z", "a"]


def test_a_recorded_preview_tells_memory_and_what_follows():
    document = of_recorded("memory")
    functions = [one for one in document.changes if one.type == FUNCTION]
    assert {prop.path for one in functions for prop in one.properties} == {"memorySize"}
    assert all(one.follows for one in document.changes if one.type == ALIAS)
    assert document.counts == {Impact.CANDIDATE_ONLY: 6}


def test_a_recorded_replacement_names_its_reasons():
    found = {one.name: one.forced_by for one in of_recorded("replaced-topic").changes if one.op == "replace"}
    assert found["new-items"] in {("name",), ("arn",)}
    assert found["analysis-topic"] in {("sourceArn",), ("topic",)}
    assert all(found.values())


def test_a_preview_without_steps_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        plan_of({"steps": []}, stack="prod", head=Head(sha="a" * 40), against=Against(kind="empty"))


# -- policies

statements = st.lists(
    st.builds(
        allow,
        st.lists(st.sampled_from(["s3:GetObject", "s3:PutObject", "sns:Publish"]), min_size=1, unique=True),
        st.lists(st.sampled_from(["arn:a", "arn:b"]), min_size=1, unique=True),
    ),
    min_size=1,
    max_size=4,
)


@given(statements, st.randoms(use_true_random=False))
def test_another_order_and_spelling_of_a_policy_is_no_difference(listed, random):
    other = json.loads(json.dumps(listed))
    random.shuffle(other)
    for one in other:
        for key in ("Action", "Resource"):
            random.shuffle(one[key])
            one[key] = one[key][0] if len(one[key]) == 1 else one[key]
    old, new = {"policy": policy(*listed)}, {"policy": policy(*other)}
    assert plan([step("update", ROLE_POLICY, "it", old=old, new=new) | {"detailedDiff": {}}]).nothing


@pytest.mark.parametrize(
    ("statement", "flags"),
    [
        (allow("iam:PassRole", "arn:a"), ("PassRole",)),
        (allow(["s3:GetObject", "IAM:passrole"], "arn:a"), ("PassRole",)),
        (allow("s3:*", "arn:a"), ("wildcard action",)),
        (allow("s3:Get*", "arn:a/*"), ("wildcard action",)),
        (allow("s3:GetObject", ["arn:a", "*"]), ("wildcard resource",)),
        (allow("*", "*"), ("wildcard action", "wildcard resource", "PassRole")),
        (allow("iam:*", "arn:a"), ("wildcard action", "PassRole")),
        (allow("iam:Pass*", "arn:a"), ("wildcard action", "PassRole")),
        ({"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "arn:a"}, ("wildcard action", "PassRole")),
        ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "arn:a"}, ("wildcard action",)),
        ({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:a"}, ("wildcard resource",)),
        (allow("sns:Publish", "arn:a", Principal="*"), ("anybody",)),
        (allow("sns:Publish", "arn:a", Principal={"AWS": ["*"]}), ("anybody",)),
        (allow("sns:Publish", "arn:a", Principal={"Service": "lambda.amazonaws.com"}), ()),
        (allow("s3:GetObject", "arn:a"), ()),
        ({"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"}, ()),
    ],
)
def test_broad_statements_are_flagged(statement, flags):
    [one] = statement_changes("policy", None, {"Statement": [statement]})
    assert one.added
    assert one.flags == flags


def test_a_policy_given_as_an_object_is_compared_like_one_given_as_text():
    statement = allow("s3:GetObject", "arn:a")
    one = changed({}, {"policy": {"Statement": [statement]}}, ROLE_POLICY)
    assert [found.added for found in one.statements] == [True]
    assert plan(
        [
            step(
                "update",
                ROLE_POLICY,
                "it",
                old={"policy": policy(statement)},
                new={"policy": json.loads(policy(statement))},
            )
            | {"detailedDiff": {}}
        ]
    ).nothing


# -- alarms and costs


def test_an_alarm_tells_its_condition_before_and_after():
    [one] = MADE["alarm-threshold"]().alarms
    assert ">= 1 in 2 of 3 periods of 60 s" in one.before
    assert ">= 5 in 3 of 3 periods of 60 s" in one.after


@pytest.mark.parametrize("silent", [{"alarmActions": []}, {"actionsEnabled": False}])
def test_an_alarm_that_tells_nobody_says_so(silent):
    [one] = plan([step("update", ALARM, "a", old=alarm(1), new=alarm(1, **silent))]).alarms
    assert one.after.endswith("tells nobody")
    assert not one.before.endswith("tells nobody")


def test_another_description_is_no_other_alarm():
    document = plan([step("update", ALARM, "a", old=alarm(1), new=alarm(1, alarmDescription="b"))])
    assert document.alarms == ()
    assert len(document.changes) == 1


def of_a_share(threshold):
    """An alarm on an expression over two metrics."""
    plain = {
        name: value for name, value in alarm(threshold).items() if name not in {"metricName", "statistic", "period"}
    }
    counted = [
        {"id": name, "metric": {"metricName": name, "period": 60, "stat": "Sum"}} for name in ("errors", "calls")
    ]
    return plain | {"metricQueries": [{"id": "watched", "expression": "100 * errors / calls"}, *counted]}


def test_an_alarm_on_an_expression_tells_it_and_costs_as_much_as_its_metrics():
    document = plan([step("update", ALARM, "a", old=alarm(1), new=of_a_share(2))])
    [one] = document.alarms
    assert one.before.startswith("Sum of Errors >= 1 in 2 of 3 periods of 60 s; ")
    assert one.after.startswith("100 * errors / calls >= 2 in 2 of 3 periods of 60 s; ")
    assert [(one.before, one.after) for one in document.costs] == [(1, 2)]
    assert document.monthly_usd == pytest.approx(0.10)


def test_an_alarm_more_and_less_has_its_price():
    more = plan([step("create", ALARM, "a", new=alarm(1)), *same(1)])
    less = plan([step("delete", ALARM, "a", old=alarm(1)), *same(1)])
    assert (more.monthly_usd, less.monthly_usd) == (0.10, -0.10)
    assert [(one.before, one.after) for one in less.costs] == [(1, 0)]


def test_a_replaced_key_costs_nothing_more():
    key = step("replace", "aws:kms/key:Key", "k", old={"a": 1}, new={"a": 2}, forces=("a",))
    assert plan([key]).costs == ()


# -- the document


@pytest.mark.parametrize(
    "other",
    [
        {"head": Head(sha="b" * 40, changed_files=2)},
        {"against": Against(kind="base", sha="c" * 40, behind=3)},
        {"pull": 7},
    ],
)
def test_the_digest_is_of_what_happens_and_not_of_who_says_so(other):
    document = MADE["widened-statement"]()
    assert PlanDocument.model_validate({**document.model_dump(), **other}).digest == document.digest


@pytest.mark.parametrize("name", [name for name in MADE if name != "nothing"])
def test_another_change_has_another_digest(name):
    document = MADE[name]()
    fewer = document.model_copy(update={"changes": document.changes[1:]})
    assert PlanDocument.model_validate(fewer.model_dump()).digest != document.digest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stack", "other"),
        ("unchanged", -1),
        ("pull", 10**50),
        ("more", 1),
        ("head", {"sha": "short"}),
        ("costs", [{"what": "a", "before": 0, "after": 1, "usd": float("inf")}]),
    ],
)
def test_a_document_of_another_shape_is_refused(field, value):
    document = MADE["nothing"]().model_dump()
    with pytest.raises(ValidationError):
        PlanDocument.model_validate(document | {field: value})


def test_a_cost_is_a_number():
    with pytest.raises(ValidationError):
        Cost(what="a", before=0, after=float("nan"), usd=1)


# -- what a person reads of statements


def lines_of(old, new):
    return statement_lines(statement_changes("policy", {"Statement": old}, {"Statement": new}))


def test_of_a_statement_that_keeps_its_name_only_the_parts_are_shown_that_come_and_go():
    old = {"Sid": "Topics", "Effect": "Allow", "Action": ["sns:Publish", "sns:Get"], "Resource": "a"}
    new = {**old, "Action": ["sns:Publish", "sns:*"], "Condition": {"Bool": {"x": "true"}}}
    assert lines_of([old], [new]) == [
        ("-", "policy, statement Topics [wildcard action]", "Action sns:Get"),
        ("+", "policy, statement Topics [wildcard action]", "Action sns:*"),
        ("+", "policy, statement Topics [wildcard action]", 'Condition {"Bool": {"x": "true"}}'),
    ]


def test_a_statement_that_is_new_or_gone_is_a_sentence():
    one = {"Sid": "A", "Effect": "Allow", "Action": ["s:b", "s:a"], "Resource": ["r"], "Principal": {"AWS": "x"}}
    other = {"Effect": "Deny", "NotAction": "s:a", "Resource": "*"}
    assert lines_of([other], [one]) == [
        ("-", "policy", '{"Effect": "Deny", "NotAction": "s:a", "Resource": "*"}'),
        ("+", "policy", 'Allow s:a, s:b on r to {"AWS": "x"} (A)'),
    ]


def test_two_statements_of_one_name_are_both_shown():
    twice = [{"Sid": "A", "Effect": "Allow", "Action": f"s:{number}", "Resource": "r"} for number in range(2)]
    shown = lines_of(twice, [{"Sid": "A", "Effect": "Allow", "Action": "s:9", "Resource": "r"}])
    assert {text for sign, _, text in shown if sign == "-"} == {"Allow s:0 on r (A)", "Action s:1"}


def test_a_statement_that_is_nested_without_end_is_shown_as_it_came():
    text = "[" * 9_000
    (line,) = statement_lines([StatementChange(path="policy", added=True, statement=text)])
    assert line == ("+", "policy", text)


def test_a_broad_statement_that_is_narrowed_is_a_change_and_no_gain():
    broad = {"Sid": "Functions", "Effect": "Allow", "Action": ["lambda:*Alias", "lambda:Put"], "Resource": "a"}
    narrow = {**broad, "Action": ["lambda:*Alias"]}

    def said(old, new):
        inputs = ({"policy": json.dumps({"Statement": [one]})} for one in (old, new))
        document = plan([step("update", "aws:iam/rolePolicy:RolePolicy", "rights", *inputs)])
        return [remark.text for remark in remarks(document) if "Policies" in remark.text]

    assert said(broad, narrow) == ["Policies change 1 statement."]
    assert said(narrow, {**narrow, "Resource": "*"}) == ["Policies gain 1 broad statement."]
