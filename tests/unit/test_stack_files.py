"""The stack files and CODEOWNERS belong to who deploys this: no test depends on what stands in them."""

import pytest

from release.pulumi.stack_config import STACKS
from tests.cloud import ROOT
from tests.stacks import STACK_FILES

OF_WHO_DEPLOYS = [*(f"Pulumi.{stack}.yaml" for stack in STACKS), ".github/CODEOWNERS"]


@pytest.mark.parametrize("name", OF_WHO_DEPLOYS)
def test_a_test_that_opens_one_of_them_fails(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(AssertionError, match="belongs to who deploys this"):
        open(name)  # noqa: PTH123, SIM115 -- a path from the folder of the process


@pytest.mark.stack_files
@pytest.mark.parametrize("name", OF_WHO_DEPLOYS)
def test_a_test_that_says_so_may_read_them(name):
    assert (ROOT / name).read_text(encoding="utf-8")


def test_the_stack_files_of_the_tests_stand_beside_the_declarations_of_the_project():
    assert {file.name for file in STACK_FILES.iterdir()} == {"Pulumi.yaml", *OF_WHO_DEPLOYS[:4]}
    assert (STACK_FILES / "Pulumi.yaml").samefile(ROOT / "Pulumi.yaml")
