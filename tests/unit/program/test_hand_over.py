"""What `live` serves: the truth table of hand-over and record."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.service.functions import KEYS
from components.service.release import Live, Record, ReleaseError, decide, parse_hand_over, parse_record
from tests.unit.program.harness import CODE_SHA256, DIGEST, STABLE, hand_over, release

BUCKET = "prod-sentiment-lambda-deployments"


def _record(stable=STABLE, **changes):
    return parse_record({"release": release("prod", **changes), "stable": stable})


def _decide(hand_over_text="", record=None, functions=KEYS, functions_in_state=3, with_url=("dashboard",)):
    return decide(
        parse_hand_over(hand_over_text),
        record,
        functions=functions,
        with_url=with_url,
        functions_in_state=functions_in_state,
        bucket=BUCKET,
    )


def _live(plan):
    return {key: function.live for key, function in plan.functions.items()}


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_handed_over_is_no_hand_over(text):
    assert parse_hand_over(text) is None


@pytest.mark.parametrize(
    ("traffic", "stable", "expected"),
    [
        (0, STABLE, Live.STABLE),
        (0, {}, Live.ABSENT),
        (100, STABLE, Live.NEW),
        (100, {}, Live.NEW),
    ],
)
def test_traffic_says_where_live_points(traffic, stable, expected):
    plan = _decide(hand_over("prod", traffic, stable=stable))
    assert _live(plan) == dict.fromkeys(KEYS, expected)
    assert plan.stable == stable
    assert not plan.confirmed


def test_a_function_without_a_stable_version_stays_without_live_in_the_dark():
    plan = _decide(hand_over("prod", 0, stable={"dashboard": "5"}))
    assert _live(plan) == {"ingestion": Live.ABSENT, "analysis": Live.ABSENT, "dashboard": Live.STABLE}


def test_ten_percent_are_shared_by_functions_with_a_url_only():
    plan = _decide(hand_over("prod", 10, stable=STABLE))
    assert _live(plan) == {"ingestion": Live.STABLE, "analysis": Live.STABLE, "dashboard": Live.WEIGHTED}
    assert plan.stable == STABLE
    assert not plan.confirmed


def test_a_function_that_no_url_calls_needs_no_stable_version_at_ten_percent():
    plan = _decide(hand_over("prod", 10, stable={"dashboard": "5"}))
    assert _live(plan) == {"ingestion": Live.ABSENT, "analysis": Live.ABSENT, "dashboard": Live.WEIGHTED}


def test_ten_percent_needs_something_to_share_with():
    with pytest.raises(ReleaseError, match="dashboard has none: go from 0 to 100"):
        _decide(hand_over("prod", 10, stable={"ingestion": "3", "analysis": "4"}))
    with pytest.raises(ReleaseError, match="this program has none: go from 0 to 100"):
        _decide(hand_over("prod", 10), with_url=())


def test_without_a_hand_over_live_goes_to_the_recorded_stable_versions():
    plan = _decide("", _record())
    assert _live(plan) == dict.fromkeys(KEYS, Live.STABLE)
    assert plan.stable == STABLE
    assert plan.release == _record().release
    assert not plan.confirmed


def test_without_a_release_and_without_functions_there_is_no_plan():
    assert _decide("", None, functions_in_state=0) is None


def test_functions_without_a_record_are_never_dropped():
    with pytest.raises(ReleaseError, match=r"3 functions but no record .*release rollback --to"):
        _decide("", None, functions_in_state=3)


def test_a_hand_over_repairs_a_stack_without_a_record():
    assert _live(_decide(hand_over("prod", 100), None)) == dict.fromkeys(KEYS, Live.NEW)


def test_a_function_that_the_program_does_not_know_any_more_is_not_dropped_by_a_plain_up():
    with pytest.raises(ReleaseError, match="runs dashboard, which this program no longer knows"):
        _decide("", _record(), functions=("ingestion", "analysis"))


def test_a_function_that_is_new_in_the_table_waits_for_its_first_release():
    plan = _decide("", _record(), functions=(*KEYS, "archive"))
    assert set(plan.functions) == set(KEYS)


@pytest.mark.parametrize("functions", [("ingestion", "analysis"), (*KEYS, "archive")])
def test_a_release_of_another_program_is_refused(functions):
    with pytest.raises(ReleaseError, match="does not fit this program"):
        _decide(hand_over("prod"), functions=functions)


@pytest.mark.parametrize("text_or_record", ["hand-over", "record"])
def test_code_comes_only_from_the_stacks_own_bucket(text_or_record):
    text = hand_over("preprod") if text_or_record == "hand-over" else ""
    record = None if text else parse_record({"release": release("preprod"), "stable": STABLE})
    with pytest.raises(ReleaseError, match="takes code only from its own"):
        _decide(text, record)


def _changed(path, value):
    data = json.loads(hand_over("prod", 100, confirmed=True))
    target = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["traffic"], 50, "traffic is 50, allowed is 0, 10 or 100"),
        (["traffic"], True, "traffic is True"),
        (["traffic"], "100", "traffic is '100'"),
        (["traffic"], 10, "confirmed is true at traffic 10"),
        (["confirmed"], 1, "confirmed is 1, allowed is true or false"),
        (["stable"], ["3"], "allowed is an object of versions"),
        (["stable", "dashboard"], "$LATEST", "number of a published version"),
        (["stable", "dashboard"], 5, "stable.dashboard is 5"),
        (["stable", "dashboard"], "0", "stable.dashboard is '0'"),
        (["release", "sha"], "main", "release.sha is 'main', allowed is 40 hexadecimal digits"),
        (["release", "manifest"], DIGEST.upper(), "64 hexadecimal digits"),
        (["release", "functions"], {}, "holds no functions"),
        (["release", "functions", "dashboard", "version_id"], "null", "no versioning"),
        (["release", "functions", "dashboard", "version_id"], "", "dashboard.version_id"),
        (["release", "functions", "dashboard", "code_sha256"], "abc", "base64 of a sha256"),
        (
            ["release", "functions", "dashboard", "code_sha256"],
            CODE_SHA256[:-4] + "AAA=" + "AAAA",
            "base64 of a sha256",
        ),
        (["release", "functions", "dashboard", "handler"], "handler", "module.function"),
        (["release", "functions", "dashboard", "extra"], 1, "allowed are exactly"),
        (["release", "extra"], 1, "allowed are exactly"),
        (["extra"], 1, "allowed are exactly"),
    ],
)
def test_a_malformed_hand_over_is_refused_by_name(path, value, message):
    with pytest.raises(ReleaseError, match=re.escape(message)):
        parse_hand_over(_changed(path, value))


@pytest.mark.parametrize("text", ["nonsense", "[]", "null", '"x"', "{}"])
def test_what_is_no_hand_over_at_all_is_refused(text):
    with pytest.raises(ReleaseError, match="hand-over"):
        parse_hand_over(text)


@pytest.mark.parametrize("outputs", [{}, {"release": None, "stable": {}}])
def test_a_stack_that_never_had_a_release_has_no_record(outputs):
    assert parse_record(outputs) is None


def test_a_damaged_record_says_how_to_go_on():
    with pytest.raises(ReleaseError, match=r"the record in the state is damaged: hand a release over"):
        parse_record({"release": {"sha": "x"}, "stable": {}})


def test_what_is_recorded_can_be_read_back():
    record = _record()
    assert parse_record({"release": record.release.as_output(), "stable": dict(record.stable)}) == record


VERSIONS = st.integers(1, 10**6).map(str)
STABLES = st.dictionaries(st.sampled_from(KEYS), VERSIONS)


@given(stable=STABLES, traffic=st.sampled_from([0, 10, 100]), confirmed=st.booleans())
def test_traffic_reaches_a_candidate_only_when_the_hand_over_says_so(stable, traffic, confirmed):
    try:
        plan = _decide(hand_over("prod", traffic, stable=stable, confirmed=confirmed))
    except ReleaseError:
        assert (confirmed and traffic != 100) or (traffic == 10 and "dashboard" not in stable)
        return
    takes_traffic = {key for key, live in _live(plan).items() if live in (Live.WEIGHTED, Live.NEW)}
    assert takes_traffic == {0: set(), 10: {"dashboard"}, 100: set(KEYS)}[traffic]
    assert all(plan.functions[key].stable == stable.get(key) for key in KEYS)


@given(stable=STABLES, in_state=st.integers(0, 9))
def test_a_plain_up_never_gives_a_candidate_traffic(stable, in_state):
    record = Record(release=_record().release, stable=stable)
    plan = _decide("", record, functions_in_state=in_state)
    for key, live in _live(plan).items():
        assert live is (Live.STABLE if key in stable else Live.ABSENT)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=8), x),
        max_leaves=6,
    )
)
def test_no_json_at_all_gets_past_the_parser_unless_it_is_complete(data):
    with pytest.raises(ReleaseError):
        parse_hand_over(json.dumps(data))
