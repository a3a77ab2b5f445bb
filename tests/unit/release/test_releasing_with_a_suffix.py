"""The releaser takes the end of the names of buckets from the stack files, which all have to say the same."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console as RichConsole
from typer.testing import CliRunner

from components.naming import names
from release.cli.main import app
from release.console import Console
from release.context import Context
from release.errors import UsageError
from release.pulumi import stack_config
from release.pulumi.stack import Stack
from release.pulumi.stack_config import STACKS
from release.settings import ReleaseSettings
from tests import stacks

SUFFIX = "acme-7"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with the project file and the stack files, which a test may write."""
    stacks.copy_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELEASE_STACK_CONFIG", raising=False)
    return tmp_path


def _say(clone, stack, suffix):
    with (clone / f"Pulumi.{stack}.yaml").open("a") as file:
        file.write(f"\n  sentiment-pipeline:nameSuffix: {json.dumps(suffix)}\n")


def test_everything_that_a_command_reaches_has_the_suffix(clone):
    for stack in STACKS:
        _say(clone, stack, SUFFIX)
    console = Console(RichConsole(file=io.StringIO()))
    context = Context(
        stack="prod",
        repo=clone,
        console=console,
        settings=ReleaseSettings(),
        suffix=stack_config.name_suffix(clone, {}),
        aws=SimpleNamespace(s3=None),  # ty: ignore[invalid-argument-type] -- nothing is asked
    )
    assert context.names == names("prod", SUFFIX)
    assert context.objects.bucket == f"prod-sentiment-lambda-deployments-{SUFFIX}"
    assert context.promotions.objects.bucket == f"preprod-sentiment-lambda-deployments-{SUFFIX}"
    assert Stack("prod", clone, console, context.suffix).suffix == SUFFIX


@pytest.mark.parametrize("stack", STACKS)
def test_a_shell_finds_the_state_in_the_bucket_with_the_suffix(clone, stack):
    for one in STACKS:
        _say(clone, one, SUFFIX)
    told = CliRunner().invoke(app, ["env", "--stack", stack]).stdout
    assert f"s3://{names(stack.removesuffix('-foundation'), SUFFIX).state_bucket}/" in told


@pytest.mark.parametrize("odd", STACKS)
@pytest.mark.parametrize(
    "command",
    [
        ["env", "--stack", "prod"],
        ["status", "--stack", "preprod"],
        ["history", "--stack", "prod"],
        ["bootstrap", "--stack", "prod", "--plan"],
        ["doctor"],
    ],
    ids=lambda words: words[0],
)
def test_a_suffix_that_one_file_says_otherwise_is_refused_before_anything_is_asked(clone, odd, command):
    for stack in STACKS:
        _say(clone, stack, "other" if stack == odd else SUFFIX)
    ran = CliRunner().invoke(app, [*command, "--json"])
    said = json.loads(ran.stdout)
    assert ran.exit_code == 2, ran.output
    assert "nameSuffix differs" in said["what"]
    assert f"'other' in Pulumi.{odd}.yaml" in said["what"]
    assert "all four" in said["next_step"]


def test_a_suffix_that_no_bucket_can_have_is_refused(clone):
    for stack in STACKS:
        _say(clone, stack, "No_Bucket")
    with pytest.raises(UsageError, match="nameSuffix 'No_Bucket' cannot be used"):
        stack_config.name_suffix(clone, {})


def test_an_overlay_counts_for_all_files(clone):
    overlaid = {stack_config.OVERLAY: json.dumps({"sentiment-pipeline:nameSuffix": "local"})}
    _say(clone, "prod", SUFFIX)
    assert stack_config.name_suffix(clone, overlaid) == "local"
