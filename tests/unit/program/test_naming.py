"""Physical names: one place, deterministic, inside the budgets of AWS."""

import subprocess
import sys
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import naming
from tests.unit.program.harness import ROOT, STACKS, project_file


def test_names_are_those_of_the_contract():
    preprod, function = naming.names("preprod"), naming.names("preprod").function("dashboard")
    assert preprod.items_table == "preprod-sentiment-items"
    assert preprod.bucket == "preprod-sentiment-lambda-deployments"
    assert preprod.newsapi_secret == "preprod/sentiment-analyzer/newsapi"
    assert function.function == "preprod-sentiment-dashboard"
    assert function.role == "preprod-sentiment-dashboard-exec"
    assert function.log_group == "/aws/lambda/preprod-sentiment-dashboard"
    assert function.errors_alarm == "preprod-sentiment-dashboard-errors"
    assert function.safety_schedule == "preprod-sentiment-dashboard.safety"
    assert preprod.safety_role == "preprod-sentiment-safety"
    assert function.alias_resource() == "preprod-sentiment-dashboard:live"
    assert project_file()["name"] == naming.PROJECT
    stacks = {naming.service_stack(one) for one in naming.ENVIRONMENTS}
    assert stacks | {naming.foundation_stack(one) for one in naming.ENVIRONMENTS} == set(STACKS)


def test_no_name_of_one_environment_begins_like_one_of_the_other():
    preprod, prod = (naming.names(environment).physical() for environment in ("preprod", "prod"))
    assert set(preprod) == set(prod)
    for field, name in preprod.items():
        assert name != prod[field]
        assert not name.startswith("prod-")
        assert name == prod[field].replace("prod", "preprod")


def test_each_environment_knows_the_other():
    assert naming.names("prod").other_environment == "preprod"
    assert naming.names("preprod").other_environment == "prod"


@pytest.mark.parametrize("environment", ["", "staging", "prod-foundation", "PROD"])
def test_an_unknown_environment_is_refused(environment):
    with pytest.raises(naming.PhysicalNameError, match="none of preprod, prod"):
        naming.names(environment)


@pytest.mark.parametrize("key", ["", "Dash", "a_b", "-a", "a-", "a b"])
def test_a_function_key_that_makes_no_name_is_refused(key):
    with pytest.raises(naming.PhysicalNameError, match="must match"):
        naming.names("prod").function(key)


def test_a_name_that_is_too_long_says_by_how_much():
    with pytest.raises(naming.PhysicalNameError, match=r"has 69 characters, AWS takes at most 64: .* by 5"):
        naming.names("prod").function("x" * 54)


@given(st.text(alphabet="abcxyz0123456789-", min_size=1, max_size=80))
def test_a_name_is_either_inside_every_budget_or_refused(key):
    try:
        function = naming.names("preprod").function(key)
    except naming.PhysicalNameError:
        return
    assert len(function.function) <= 64
    assert len(function.role) <= 64
    assert len(function.schedule) <= 64
    assert len(function.safety_schedule) <= 64


KEYS = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)


@given(KEYS, KEYS)
def test_a_safety_schedule_is_never_taken_for_the_regular_one_of_another_function(one, other):
    names = naming.names("prod")
    first, second = names.function(one), names.function(other)
    assert first.safety_schedule != second.schedule
    assert (first.safety_schedule == second.safety_schedule) is (one == other)
    assert fnmatchcase(first.safety_schedule, names.safety_schedules)
    assert not fnmatchcase(second.schedule, names.safety_schedules)


@pytest.mark.parametrize("name", ["Upper", "under_score", "ab", "x" * 64])
def test_a_bucket_name_that_s3_would_refuse_is_refused(name):
    if name == "ab":
        name = "a"
    with pytest.raises(naming.PhysicalNameError):
        naming.within_budget("bucket", name)


def test_the_releaser_can_import_names_without_pulumi():
    code = "import sys; import components.naming; sys.exit('pulumi' in sys.modules or 'yaml' in sys.modules)"
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=ROOT, timeout=30)
