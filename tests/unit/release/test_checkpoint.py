"""Surgery on a checkpoint: names come back, ids never change, nothing is dropped without being named."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import ReleaseError
from release.pulumi.checkpoint import differences, holds, parse, repair, resources_of, with_resources

ROOT = "urn:pulumi:prod::p::pulumi:pulumi:Stack::p-prod"
PROVIDER = "urn:pulumi:prod::p::pulumi:providers:aws::default"
FUNCTION, ROLE, TABLE = "aws:lambda/function:Function", "aws:iam/role:Role", "aws:dynamodb/table:Table"
LOGS, PERMISSION, ALIAS = (
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:lambda/permission:Permission",
    "aws:lambda/alias:Alias",
)


def urn(type_, name, parents="svc:Service"):
    return f"urn:pulumi:prod::p::{parents}${type_}::{name}"


def component(name, parent=ROOT, type_="svc:Service"):
    return {"urn": f"urn:pulumi:prod::p::{type_}::{name}", "custom": False, "type": type_, "parent": parent}


SERVICE = component("service")


def thing(type_, name, identity=None, *, parent=SERVICE["urn"], parents="svc:Service", **more):
    return {
        "urn": urn(type_, name, parents),
        "custom": True,
        "id": identity or f"prod-{name}",
        "type": type_,
        "inputs": {"name": identity or f"prod-{name}"},
        "outputs": {"arn": f"arn:{identity or name}"},
        "parent": parent,
        "provider": f"{PROVIDER}::uuid",
        **more,
    }


def checkpoint(*entries, pending=(), provider="uuid"):
    stack = {"urn": ROOT, "custom": False, "type": "pulumi:pulumi:Stack"}
    aws = {"urn": PROVIDER, "custom": True, "id": provider, "type": "pulumi:providers:aws", "parent": ROOT}
    deployment = {"manifest": {}, "resources": copy.deepcopy([stack, aws, SERVICE, *entries])}
    if pending:
        deployment["pending_operations"] = [{"resource": entry, "type": doing} for doing, entry in pending]
    return {"version": 3, "deployment": deployment}


def by_name(document):
    return {entry["urn"].rsplit("::", 1)[-1]: entry for entry in resources_of(document)}


def assert_sound(document):
    """What the engine demands of a checkpoint (resource/stack/snapshot/integrity.go)."""
    seen, live = set(), set()
    for entry in resources_of(document):
        refers = [entry.get("parent"), entry.get("deletedWith"), *(entry.get("dependencies") or ())]
        refers += [other for urns in (entry.get("propertyDependencies") or {}).values() for other in urns]
        assert {other for other in refers if other} <= seen, entry
        if entry.get("provider"):
            assert entry["provider"] in {f"{e['urn']}::{e.get('id')}" for e in resources_of(document)}
            assert entry["provider"].rsplit("::", 1)[0] in seen
        assert entry["urn"] not in live or entry.get("delete"), f"{entry['urn']} stands twice"
        if not entry.get("delete"):
            live.add(entry["urn"])
        seen.add(entry["urn"])
    assert "pending_operations" not in document["deployment"]


def test_what_is_as_confirmed_is_left_alone():
    today = checkpoint(thing(TABLE, "items"), thing(ROLE, "role"))
    mended = repair(today, today)
    assert not mended.changed
    assert mended.document == today


def test_a_renamed_function_gets_its_name_parent_and_references_back():
    before = component("ingestion", SERVICE["urn"], "svc:Service$svc:Function")
    after = component("intake", SERVICE["urn"], "svc:Service$svc:Function")
    parts = "svc:Service$svc:Function"
    confirmed = checkpoint(
        before,
        thing(ROLE, "ingestion", "prod-ingestion-exec", parent=before["urn"], parents=parts),
        thing(
            FUNCTION,
            "ingestion",
            parent=before["urn"],
            parents=parts,
            dependencies=[urn(ROLE, "ingestion", parts)],
            propertyDependencies={"role": [urn(ROLE, "ingestion", parts)]},
        ),
    )
    today = checkpoint(
        after,
        thing(ROLE, "intake", "prod-ingestion-exec", parent=after["urn"], parents=parts),
        thing(
            FUNCTION, "intake", "prod-ingestion", parent=after["urn"], parents=parts,
            dependencies=[urn(ROLE, "intake", parts)], propertyDependencies={"role": [urn(ROLE, "intake", parts)]},
        ),
    )  # fmt: skip
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    found = {entry["urn"]: entry for entry in resources_of(mended.document)}
    function = found[urn(FUNCTION, "ingestion", parts)]
    assert function["parent"] == before["urn"]
    assert function["dependencies"] == [urn(ROLE, "ingestion", parts)]
    assert function["propertyDependencies"] == {"role": [urn(ROLE, "ingestion", parts)]}
    assert len(mended.renamed) == 2
    assert not mended.kept


def test_a_moved_parent_is_moved_back():
    group = component("group", SERVICE["urn"], "svc:Service$svc:Group")
    confirmed = checkpoint(thing(TABLE, "items"))
    today = checkpoint(group, thing(TABLE, "items", parent=group["urn"], parents="svc:Service$svc:Group"))
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    items = by_name(mended.document)["items"]
    assert (items["urn"], items["parent"]) == (urn(TABLE, "items"), SERVICE["urn"])


def test_two_that_have_swapped_their_names_get_them_back():
    confirmed = checkpoint(thing(ROLE, "a", "one"), thing(ROLE, "b", "two", dependencies=[urn(ROLE, "a")]))
    today = checkpoint(thing(ROLE, "b", "one"), thing(ROLE, "a", "two", dependencies=[urn(ROLE, "b")]))
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    assert {entry["id"]: entry["urn"] for entry in resources_of(mended.document) if entry["type"] == ROLE} == {
        "one": urn(ROLE, "a"),
        "two": urn(ROLE, "b"),
    }


def test_what_was_added_and_holds_nothing_is_left_to_the_update():
    mended = repair(checkpoint(thing(ROLE, "new")), checkpoint())
    assert [added.id for added in mended.added] == ["prod-new"]
    assert "new" in by_name(mended.document)
    assert not mended.changed


@pytest.mark.parametrize(
    "added", [thing(TABLE, "new"), thing(LOGS, "new"), thing(ROLE, "new", protect=True), thing("aws:rds/x:X", "new")]
)
def test_what_was_added_and_holds_data_leaves_the_record_by_name(added):
    user = thing(FUNCTION, "user", dependencies=[added["urn"]], parent=added["urn"])
    mended = repair(checkpoint(added, user), checkpoint())
    assert_sound(mended.document)
    assert [kept.id for kept in mended.kept] == ["prod-new"]
    assert "new" not in by_name(mended.document)
    assert by_name(mended.document)["user"]["parent"] == SERVICE["urn"]


def test_settings_of_what_is_kept_are_kept_with_it():
    bucket = thing("aws:s3/bucket:Bucket", "new")
    block = thing("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "block", dependencies=[bucket["urn"]])
    role = thing(ROLE, "role", dependencies=[bucket["urn"]])
    mended = repair(checkpoint(bucket, block, role), checkpoint())
    assert {kept.id for kept in mended.kept} == {"prod-new", "prod-block"}
    assert by_name(mended.document)["role"]["dependencies"] == []


def test_a_table_that_was_replaced_keeps_both_sets_of_data():
    confirmed = checkpoint(thing(TABLE, "items", "prod-items"))
    today = checkpoint(thing(TABLE, "items", "prod-articles"), thing(TABLE, "items", "prod-items", delete=True))
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    items = by_name(mended.document)["items"]
    assert items["id"] == "prod-items"
    assert "delete" not in items
    assert [kept.id for kept in mended.kept] == ["prod-articles"]


def test_a_role_in_the_middle_of_its_replacement_is_the_confirmed_one_again():
    confirmed = checkpoint(thing(ROLE, "role", "prod-old"))
    today = checkpoint(thing(ROLE, "role", "prod-new"), thing(ROLE, "role", "prod-old", delete=True))
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    roles = [entry for entry in resources_of(mended.document) if entry["type"] == ROLE]
    assert {role["id"]: role.get("delete", False) for role in roles} == {"prod-old": False, "prod-new": True}


def test_a_role_that_was_replaced_for_good_is_left_to_the_program():
    mended = repair(checkpoint(thing(ROLE, "role", "prod-new")), checkpoint(thing(ROLE, "role", "prod-old")))
    assert not mended.changed
    assert not mended.added


def test_what_the_record_has_lost_is_put_back_for_the_refresh_to_look_at():
    confirmed = checkpoint(thing(TABLE, "items"), provider="old-uuid")
    for entry in resources_of(confirmed):
        if entry["type"] == TABLE:
            entry["provider"] = f"{PROVIDER}::old-uuid"
    mended = repair(checkpoint(), confirmed)
    assert_sound(mended.document)
    assert [back.id for back in mended.put_back] == ["prod-items"]
    assert by_name(mended.document)["items"]["provider"] == f"{PROVIDER}::uuid"


def test_ids_that_are_not_unique_are_told_apart_by_what_they_are_attached_to():
    def permission(name, function):
        return thing(PERMISSION, name, "url") | {"inputs": {"function": function, "qualifier": "live"}}

    confirmed = checkpoint(permission("a-url", "a"), permission("b-url", "b"))
    today = checkpoint(permission("x-url", "a"), permission("y-url", "b"))
    mended = repair(today, confirmed)
    found = {
        entry["inputs"]["function"]: entry["urn"] for entry in resources_of(mended.document) if entry.get("inputs")
    }
    assert found == {"a": urn(PERMISSION, "a-url"), "b": urn(PERMISSION, "b-url")}


def test_twins_that_nobody_can_tell_apart_are_named_and_not_guessed():
    confirmed = checkpoint(thing(ROLE, "a", "same"), thing(ROLE, "b", "same"))
    today = checkpoint(thing(ROLE, "x", "same"), thing(ROLE, "y", "same"))
    mended = repair(today, confirmed)
    assert len(mended.unsettled) == 2
    assert {"x", "y"} <= set(by_name(mended.document))


def test_a_creation_that_nobody_saw_the_end_of_is_supposed_by_its_id():
    function = thing(FUNCTION, "ingestion", outputs={"arn": "arn:fn"})
    half = thing(ALIAS, "live") | {"inputs": {"functionName": "prod-ingestion", "name": "live"}, "aliases": ["urn:old"]}
    del half["id"], half["outputs"]
    mended = repair(checkpoint(function, pending=[("creating", half)]), checkpoint(function))
    assert_sound(mended.document)
    assert by_name(mended.document)["live"]["id"] == "arn:fn:live"
    assert "aliases" not in by_name(mended.document)["live"], "the engine would rename what it was to replace"
    assert [settled.type for settled in mended.settled] == [ALIAS]
    assert not mended.unsettled


def test_a_replacement_that_died_after_its_creation_leaves_both_to_the_update():
    """As a killed engine left it: role and policy replaced, the new policy made and not recorded."""
    policy = "aws:iam/rolePolicy:RolePolicy"

    def role(identity, **more):
        return thing(ROLE, "fn", identity, **more)

    def rights(identity, **more):
        inputs = {"role": identity, "name": "execution"}
        entry = thing(policy, "fn", f"{identity}:execution", dependencies=[urn(ROLE, "fn")], **more)
        return {**entry, "inputs": inputs}

    confirmed = checkpoint(role("old"), rights("old"))
    today = checkpoint(
        role("new"), role("old", delete=True), rights("old", delete=True), pending=[("creating", rights("new"))]
    )
    mended = repair(today, confirmed)
    assert_sound(mended.document)
    left = [
        (entry["id"], entry.get("delete", False)) for entry in resources_of(mended.document) if "fn" in entry["urn"]
    ]
    assert set(left) == {("old", False), ("old:execution", False), ("new", True), ("new:execution", True)}
    assert left.index(("new", True)) < left.index(("new:execution", True)), "AWS deletes no role that has a policy"


def test_a_creation_whose_id_nobody_can_know_is_left_to_a_person_by_name():
    half = thing("aws:sns/topic:Topic", "topic", "prod-topic")
    del half["id"], half["outputs"]
    mended = repair(checkpoint(pending=[("creating", half)]), checkpoint())
    assert_sound(mended.document)
    assert "prod-topic" in mended.unsettled[0].why


def test_without_a_confirmed_release_only_what_died_is_settled():
    table, half = thing(TABLE, "items"), thing(ROLE, "role")
    del half["id"], half["outputs"]
    mended = repair(checkpoint(table, pending=[("creating", half), ("updating", table)]), None)
    assert_sound(mended.document)
    assert {"items", "role"} <= set(by_name(mended.document))
    assert len(mended.settled) == 2
    assert not mended.kept
    assert not mended.added


def test_entries_of_an_earlier_checkpoint_are_put_in_once_and_soundly():
    gone = component("gone", SERVICE["urn"], "svc:Service$svc:Storage")
    table = thing(TABLE, "drafts", parent=gone["urn"], dependencies=[urn(ROLE, "gone")], provider=f"{PROVIDER}9::old")
    today = checkpoint(thing(ROLE, "role"))
    document = with_resources(today, [table])
    assert_sound(document)
    assert by_name(document)["drafts"]["id"] == "prod-drafts"
    assert with_resources(document, [table, {**table, "urn": urn(TABLE, "other")}]) == document


def test_references_in_a_circle_stop_the_surgery():
    confirmed = checkpoint(
        component("c", SERVICE["urn"], "svc:C"), thing(ROLE, "a", parent="urn:pulumi:prod::p::svc:C::c")
    )
    around = component("c", SERVICE["urn"], "svc:C") | {"dependencies": [urn(ROLE, "a")]}
    today = checkpoint(thing(ROLE, "a"), around)
    with pytest.raises(ReleaseError, match="circle"):
        repair(today, confirmed)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"version": 3}', b'{"version": 9, "deployment": {}}', b"\xff"])
def test_what_is_no_checkpoint_is_an_error_for_people(body):
    with pytest.raises(ReleaseError):
        parse(body, "the state")


def test_unknown_types_are_taken_to_hold_data():
    assert holds("aws:rds/instance:Instance")
    assert holds(TABLE)
    assert not holds(ROLE)


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def test_the_proof_compares_names_and_inputs_and_never_shows_a_value():
    def with_inputs(**inputs):
        return checkpoint(thing(ROLE, "role") | {"inputs": inputs}, thing(TABLE, "items"))

    one = with_inputs(policy="narrow", key={**SECRET, "ciphertext": "one"})
    assert differences(one, with_inputs(policy="narrow", key={**SECRET, "ciphertext": "two"})) == []
    [problem] = differences(one, with_inputs(policy="wide-7261", key="open-9137"))
    assert "role (key, policy)" in problem
    assert not any(value in problem for value in ("wide-7261", "open-9137", "one"))
    assert differences(checkpoint(), checkpoint(thing(ROLE, "role"))) == [f"missing in the stack: {ROLE} role"]
    assert differences(checkpoint(thing(ROLE, "role")), checkpoint()) == [f"not of the confirmed release: {ROLE} role"]
    assert differences(checkpoint(thing(ROLE, "role", delete=True)), checkpoint())
    assert differences(checkpoint(pending=[("creating", thing(ROLE, "role"))]), checkpoint())


def test_the_proof_lets_candidate_have_another_version_and_nothing_else():
    def alias(name, version):
        return thing(ALIAS, f"f-{name}") | {"inputs": {"name": name, "functionVersion": version}}

    assert differences(checkpoint(alias("candidate", "9")), checkpoint(alias("candidate", "7"))) == []
    assert differences(checkpoint(alias("live", "9")), checkpoint(alias("live", "7")))


# -- whatever a failed release has done


TYPES = (FUNCTION, ROLE, TABLE, LOGS, "aws:rds/instance:Instance")
GROUPS = [component(name, SERVICE["urn"], "svc:Service$svc:Group") for name in ("g1", "g2", "g3")]


@st.composite
def states(draw):
    """A checkpoint that the engine could have written: unique URNs, references to what comes before."""
    entries, seen = [], set()
    groups = draw(st.lists(st.sampled_from(GROUPS), unique_by=lambda group: group["urn"]))
    for _ in range(draw(st.integers(0, 7))):
        type_, name = draw(st.sampled_from(TYPES)), draw(st.sampled_from("abcd"))
        parent = draw(st.sampled_from([SERVICE, *groups]))
        identity = draw(st.sampled_from(["one", "two", "three", "four"]))
        parents = "svc:Service" if parent is SERVICE else "svc:Service$svc:Group"
        leaving = draw(st.booleans()) and draw(st.booleans())
        key, same = (urn(type_, name, parents), leaving), (type_, identity)
        if key in seen or same in seen:
            continue
        seen |= {key, same}
        before = [entry["urn"] for entry in entries]
        entries.append(
            thing(
                type_, name, identity, parent=parent["urn"], parents=parents,
                dependencies=draw(st.lists(st.sampled_from(before), unique=True)) if before else [],
                **({"delete": True} if leaving else {}),
                **({"protect": True} if draw(st.booleans()) and draw(st.booleans()) else {}),
            )
        )  # fmt: skip
    # What is being replaced comes after all that is new.
    ordered = sorted(entries, key=lambda entry: bool(entry.get("delete")))
    for place, entry in enumerate(ordered):
        earlier = {other["urn"] for other in ordered[:place]}
        entry["dependencies"] = [urn_ for urn_ in entry["dependencies"] if urn_ in earlier and urn_ != entry["urn"]]
    pending = []
    if draw(st.booleans()):
        half = thing(draw(st.sampled_from(TYPES)), "half", draw(st.sampled_from(["one", "five"])))
        del half["id"], half["outputs"]
        pending.append((draw(st.sampled_from(["creating", "updating"])), half))
    return checkpoint(*groups, *ordered, pending=pending)


def identities(document):
    return {
        (entry["type"], entry["id"])
        for entry in resources_of(document)
        if entry.get("id") and not entry["type"].startswith("pulumi:")
    }


@given(today=states(), confirmed=states())
def test_surgery_never_drops_a_resource_silently_nor_makes_an_id_up(today, confirmed):
    untouched = json.dumps([today, confirmed])
    mended = repair(today, confirmed)
    assert json.dumps([today, confirmed]) == untouched, "its arguments were changed"
    assert_sound(mended.document)
    after, kept = identities(mended.document), {(resource.type, resource.id) for resource in mended.kept}
    assert identities(today) <= after | kept
    made = {(resource.type, resource.id) for resource in mended.settled}
    assert after <= identities(today) | identities(confirmed) | made
    for resource in mended.kept:
        assert holds(resource.type) or resource.why
    for entry in resources_of(confirmed):
        if entry.get("id") and not entry.get("delete") and holds(entry["type"]):
            [back] = [e for e in resources_of(mended.document) if e["urn"] == entry["urn"] and not e.get("delete")]
            if not any(resource.urn == entry["urn"] for resource in mended.unsettled):
                assert back["id"] == entry["id"], "data that were confirmed are not the program's any more"


@given(today=states(), confirmed=states())
def test_surgery_twice_is_surgery_once(today, confirmed):
    once = repair(today, confirmed)
    again = repair(once.document, confirmed)
    assert not again.changed, again
    assert again.document == once.document
