"""The AWS provider stand-in refuses what the real provider refuses: proved over every property of every type."""

import json
import re

import pytest

from localcloud.aws_provider.check import check_inputs
from localcloud.aws_provider.diff import changes, must_delete_first
from localcloud.aws_provider.facts import _document, later
from localcloud.aws_provider.registry import RESOURCE_TYPES, UnknownTypeError, resource_type_of
from localcloud.aws_provider.settings import check_settings, read_settings
from localcloud.aws_provider.values import UNKNOWN, Asset, Secret

TYPES = list(RESOURCE_TYPES.values())
FUNCTION = RESOURCE_TYPES["aws:lambda/function:Function"]
ROLE = RESOURCE_TYPES["aws:iam/role:Role"]
ALIAS = RESOURCE_TYPES["aws:lambda/alias:Alias"]
TABLE = RESOURCE_TYPES["aws:dynamodb/table:Table"]

of_type = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.type_name)


def reasons(kind, inputs) -> dict[str, str]:
    return dict(check_inputs(kind, inputs))


def sample(declared, name="x"):
    """A value of the declared type, complete in its required properties."""
    outer, _, inner = declared.type.partition("<")
    inner = inner.removesuffix(">")
    if outer == "object" or inner == "object":
        made = {key: sample(item, key) for key, item in declared.properties.items() if item.required}
        return [made] if outer == "array" else made
    scalar = {"string": name, "number": 7, "bool": True}
    if outer in scalar:
        return scalar[outer]
    return [scalar[inner]] if outer == "array" else {"k": scalar[inner]}


def complete(kind):
    return {name: sample(item, name) for name, item in kind.properties.items() if item.required}


def function(**more):
    base = {"name": "f", "role": "r", "handler": "h", "runtime": "python3.11", "s3Bucket": "b", "s3Key": "k"}
    return {**base, **more}


@of_type
def test_an_unknown_property_is_refused_with_its_name_and_type(kind):
    found = reasons(kind, {**complete(kind), "colour": "red"})
    assert "colour" in found
    assert kind.type_name in found["colour"]


@of_type
def test_a_property_that_only_aws_answers_cannot_be_set(kind):
    for name, declared in kind.properties.items():
        if not declared.settable:
            assert "answered by AWS" in reasons(kind, {**complete(kind), name: sample(declared)})[name]


@of_type
def test_every_missing_required_property_is_named(kind):
    whole = complete(kind)
    for name in whole:
        without = {key: value for key, value in whole.items() if key != name}
        assert "needs" in reasons(kind, without)[name]


@of_type
def test_a_value_of_another_type_is_refused_at_every_level(kind):
    def wrong(declared):
        return 5 if declared.type != "number" else "five"

    def walk(properties, wrap, shown):
        for name, declared in properties.items():
            if not declared.settable or (not shown and name not in kind.inputs):
                continue
            path = f"{shown}{name}"
            if re.sub(r"\[\d\]", "", path) in kind.refuses:
                continue
            found = reasons(kind, {**complete(kind), **wrap({name: wrong(declared)})})
            assert "must be" in found.get(path, ""), path
            if declared.holds_objects:
                array = declared.type.startswith("array")

                def deeper(inner, *, name=name, array=array):
                    return wrap({name: [inner] if array else inner})

                walk(declared.properties, deeper, f"{path}[0]." if array else f"{path}.")

    walk(kind.properties, lambda inner: inner, "")


@of_type
def test_what_the_stand_in_does_not_put_into_effect_is_refused_and_never_ignored(kind):
    for name, declared in kind.properties.items():
        if declared.settable and name not in (*kind.inputs, "tagsAll"):
            assert "does not put" in reasons(kind, {**complete(kind), name: sample(declared)})[name]
    for name in later(kind.type_name):
        assert "does not put" in reasons(kind, {**complete(kind), name: "x"})[name]


@of_type
def test_unknown_values_pass_the_check(kind):
    inputs = dict.fromkeys(complete(kind), UNKNOWN)
    assert not {name for name, reason in reasons(kind, inputs).items() if name in inputs}


@of_type
def test_a_change_of_a_property_replaces_exactly_where_the_facts_say_so(kind):
    raw = _document()[kind.type_name]["properties"]
    for name in kind.inputs:
        declared = kind.properties[name]
        if declared.type not in ("string", "number", "bool") or name in (*kind.json_documents, *kind.policies):
            continue
        old, new = {"string": ("a", "b"), "number": (1, 2), "bool": (False, True)}[declared.type]
        found = changes(kind, {name: old}, {name: new}, region="us-east-1")
        mine = [change for change in found if change.path == name]
        assert len(mine) == 1, name
        in_facts = raw[name].get("replaces") is True
        assert mine[0].replaces == (in_facts or kind.update is None), name


def test_an_unknown_type_says_where_to_add_it():
    with pytest.raises(UnknownTypeError, match=r"aws:glue/job:Job.*aws_provider/glue\.py"):
        resource_type_of("aws:glue/job:Job")


def test_code_from_the_disk_is_refused():
    assert "only from S3" in dict(check_inputs(RESOURCE_TYPES["aws:sns/topic:Topic"], {"name": Asset()}))["name"]
    assert "code" in reasons(FUNCTION, function(code=Asset()))


def test_lambda_limits_are_checked_before_anything_is_made():
    assert reasons(FUNCTION, function()) == {}
    assert "900" in reasons(FUNCTION, function(timeout=901))["timeout"]
    assert "128" in reasons(FUNCTION, function(memorySize=64))["memorySize"]


def test_a_table_must_declare_exactly_the_attributes_that_are_keys():
    inputs = {
        "name": "t",
        "hashKey": "id",
        "billingMode": "PAY_PER_REQUEST",
        "attributes": [{"name": "id", "type": "S"}, {"name": "title", "type": "S"}],
    }
    assert "title" in reasons(TABLE, inputs)["attributes"]


def test_secrets_are_checked_like_other_values():
    assert (
        "must be" in reasons(FUNCTION, function(environment=Secret({"variables": {"A": 1}})))["environment.variables.A"]
    )


@of_type
def test_a_resource_without_a_name_is_refused_where_the_real_provider_makes_one_up(kind):
    name = kind.identity[-1]
    without = {key: value for key, value in complete(kind).items() if key != name}
    assert "needs" in reasons(kind, without)[name]


def differ(kind, state, inputs, **more):
    found = changes(kind, state, inputs, **{"region": "us-east-1", **more})
    return {change.path: (change.kind, change.replaces) for change in found}


def test_policies_and_json_are_compared_as_documents():
    one = json.dumps({"Statement": [{"Action": ["s3:Get", "s3:Put"], "Effect": "Allow"}]})
    same = json.dumps({"Statement": {"Effect": "Allow", "Action": ["s3:Put", "s3:Get"]}}, indent=2)
    other = json.dumps({"Statement": {"Effect": "Deny", "Action": ["s3:Put", "s3:Get"]}})
    base = {"path": "/", "maxSessionDuration": 3600, "forceDetachPolicies": False}
    assert differ(ROLE, {**base, "assumeRolePolicy": one}, {"assumeRolePolicy": same}) == {}
    assert differ(ROLE, {**base, "assumeRolePolicy": one}, {"assumeRolePolicy": other}) == {
        "assumeRolePolicy": ("update", False)
    }


def test_leaving_out_a_property_means_its_default_or_what_aws_chose():
    state = {**function(), "memorySize": 256, "timeout": 3, "publish": False}
    state |= {"reservedConcurrentExecutions": -1, "skipDestroy": False, "sourceCodeHash": "abc"}
    state |= {"loggingConfig": {"logFormat": "Text"}}
    assert differ(FUNCTION, state, function()) == {"memorySize": ("update", False)}


def test_a_removed_block_is_a_deletion_and_a_new_one_an_addition():
    base = {"name": "live", "functionName": "f", "functionVersion": "1"}
    weights = {"routingConfig": {"additionalVersionWeights": {"2": 0.1}}}
    assert differ(ALIAS, {**base, **weights}, base) == {"routingConfig": ("delete", False)}
    assert differ(ALIAS, base, {**base, **weights}) == {"routingConfig": ("add", False)}


def test_the_order_of_a_set_is_no_change_but_its_members_are():
    rows = [{"name": "a", "type": "S"}, {"name": "b", "type": "S"}]
    state = {"name": "t", "billingMode": "PROVISIONED", "tableClass": "STANDARD", "attributes": rows}
    assert differ(TABLE, state, {"name": "t", "attributes": rows[::-1]}) == {}
    assert "attributes[1].name" in differ(
        TABLE, state, {"name": "t", "attributes": [rows[0], {"name": "c", "type": "S"}]}
    )


def test_an_unknown_value_is_a_change_and_replaces_where_a_change_would():
    base = {"name": "live", "functionName": "f", "functionVersion": "1"}
    assert differ(ALIAS, base, {**base, "functionVersion": UNKNOWN}) == {"functionVersion": ("update", False)}
    assert differ(ALIAS, base, {**base, "functionName": UNKNOWN}) == {"functionName": ("update", True)}


def test_another_region_replaces():
    assert differ(ALIAS, {"region": "us-east-1"}, {}, region="eu-west-1")["region"] == ("update", True)


def test_a_replacement_at_the_same_address_deletes_first():
    state = {"function": "f", "statementId": "s", "principal": "a"}
    permission = RESOURCE_TYPES["aws:lambda/permission:Permission"]
    assert must_delete_first(permission, state, {**state, "principal": "b"})
    assert not must_delete_first(permission, state, {**state, "statementId": "t"})


def test_a_new_version_is_foreseen_only_where_the_code_or_the_settings_change():
    fresh = FUNCTION.fresh_after
    assert "version" in fresh({"publish": True}, frozenset({"memorySize"}))
    assert {"version", "codeSha256", "qualifiedArn"} <= set(fresh({"publish": True}, frozenset({"s3Key"})))
    assert "version" not in fresh({"publish": False}, frozenset({"s3Key"}))
    assert fresh({"publish": True}, frozenset({"tags"})) == []


def test_settings_that_the_real_provider_does_not_have_are_named():
    assert "aws:colour" in dict(check_settings({"colour": "red"}))["colour"]
    assert check_settings({"region": "us-east-1", "allowedAccountIds": '["1"]', "version": "7.51.1"}) == []
    assert "type bool" in dict(check_settings({"s3UsePathStyle": '"maybe"'}))["s3UsePathStyle"]


def test_a_region_must_come_from_somewhere():
    with pytest.raises(ValueError, match="no AWS region"):
        read_settings({}, {})
    assert read_settings({}, {"AWS_REGION": "eu-west-1"}).region == "eu-west-1"
