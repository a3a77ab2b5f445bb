"""The language host that stands in beside the CLI that we build."""

import pytest

from tests.engine.conftest import STACK, program_copy

pytestmark = [pytest.mark.engine]


def test_a_program_that_dies_without_a_word_is_reported_with_what_it_printed(service, tmp_path):
    folder = program_copy(tmp_path / "program")
    (folder / "__main__.py").write_text("import os\nprint('last words', flush=True)\nos._exit(3)\n")
    said = service.cloud.run("pulumi", "preview", "--stack", STACK, folder=folder, expected=None)
    assert said.exit_code != 0
    assert "last words" in said.stdout + said.stderr
    assert "program exited with non-zero exit code: 3" in said.stdout + said.stderr


def test_an_error_of_the_program_is_told_as_a_sentence(service, tmp_path):
    folder = program_copy(tmp_path / "program")
    (folder / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('a sentence for people')\n")
    said = service.cloud.run("pulumi", "preview", "--stack", STACK, folder=folder, expected=None)
    assert said.exit_code != 0
    assert "a sentence for people" in said.stdout
    assert "Traceback" not in said.stdout + said.stderr
