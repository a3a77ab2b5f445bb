"""No tracked file is ever opened for writing: the engine would put its encryption lines into the stack files."""

import pytest
import yaml

from tests.engine.conftest import STACK, program_copy

pytestmark = [pytest.mark.engine]

AS_A_REAL_BOOTSTRAP_LEAVES_IT = {
    "secretsprovider": "awskms://alias/preprod-sentiment-pulumi-state?region=us-east-1",
    "encryptedkey": "AQICAHh-made-up-by-a-test==",
}


def test_every_command_leaves_the_stack_files_byte_identical(service, tmp_path):
    folder = program_copy(tmp_path / "program")
    file = folder / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump(AS_A_REAL_BOOTSTRAP_LEAVES_IT) + file.read_text())
    before = {path.name: path.read_bytes() for path in folder.glob("Pulumi*")}
    for command in (
        ("preview",),
        ("up", "--yes", "--skip-preview"),
        ("refresh", "--yes"),
        ("stack", "output"),
        ("stack", "init"),
        ("config",),
    ):
        service.cloud.run("pulumi", *command, "--stack", STACK, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.glob("Pulumi*")} == before


def test_a_command_without_a_stack_says_which_there_are(service):
    said = service.cloud.run("pulumi", "preview", expected=2).stderr
    assert "preprod, preprod-foundation, prod, prod-foundation" in said
    assert "Traceback" not in said


def test_an_unknown_stack_is_refused_by_name(service):
    said = service.cloud.run("pulumi", "preview", "--stack", "staging", expected=2).stderr
    assert "'staging'" in said
