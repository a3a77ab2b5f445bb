"""One setting says whether production takes attested releases alone; build, validation and promotion read the same."""

import json
import shutil

import pytest

from localcloud import environment
from release.errors import UsageError
from release.pulumi import stack_config
from release.settings import changed
from tests.stacks import STACK_FILES
from tests.unit.program.harness import configuration

NAME = "sentiment-pipeline:attestations"


@pytest.fixture
def clone(tmp_path):
    """The project's files of settings, as they are in the tests."""
    for file in STACK_FILES.glob("Pulumi*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def say(clone, value, stack="prod"):
    with (clone / f"Pulumi.{stack}.yaml").open("a") as file:
        file.write(f"\n  {NAME}: {json.dumps(value)}\n")


def test_nothing_is_attested_unless_production_says_so(clone):
    assert stack_config.attestations(clone, {}) is False
    say(clone, True, stack="preprod")
    assert stack_config.attestations(clone, {}) is False
    say(clone, True)
    assert stack_config.attestations(clone, {}) is True


@pytest.mark.parametrize("value", ["yes", "", 1, None, [], "True"])
def test_a_value_that_is_neither_yes_nor_no_is_refused(clone, value):
    say(clone, value)
    with pytest.raises(UsageError, match="attestations"):
        stack_config.attestations(clone, {})


def test_a_rehearsal_may_say_otherwise(clone):
    say(clone, True)
    assert stack_config.attestations(clone, {stack_config.OVERLAY: json.dumps({NAME: False})}) is False


def test_the_local_cloud_says_so_only_where_the_clone_wants_attestations(clone, monkeypatch):
    monkeypatch.setattr(environment.paths, "ROOT", clone)
    assert environment.unattested() == {}
    say(clone, True)
    assert environment.unattested() == {NAME: False}


@pytest.mark.parametrize("name", ["RELEASE_SIGSTORE", "RELEASE_INTEGRITY_URL", "RELEASE_OSV_URL"])
def test_who_is_asked_instead_of_the_public_ones_is_told_of_a_production_release(name):
    assert changed({name: "http://127.0.0.1:1"}) == {name: "http://127.0.0.1:1"}
    assert configuration("prod")[NAME] == "false"
