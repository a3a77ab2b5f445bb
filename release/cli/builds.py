"""Commands that make a build and let preprod validate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.cli import environment
from release.cli.command import command
from release.cli.options import ShaOption, StackOption
from release.errors import Reported


@command
def build(
    sha: Annotated[str, typer.Option("--sha", help="the commit to build")],
    out: Annotated[Path, typer.Option("--out", help="folder for manifest and packages")],
) -> Reported:
    """Build the packages of a commit: once, the same bytes anywhere."""
    import os

    from release.build import builder
    from release.console import Console
    from release.ledger.lifecycle import State
    from release.pulumi import stack_config
    from release.reports import ReleaseReport

    repo, console = environment.clone(), Console()
    attestations = stack_config.attestations(repo, os.environ)
    manifest = builder.build(repo, sha, out, console.line)
    if attestations:
        from release.rollout.attest import attest_build

        attest_build(manifest, out, console)
    return ReleaseReport(state=State.BUILT, sha=manifest.sha, manifest=manifest.digest, folder=str(out))


@command
def deploy(
    build_folder: Annotated[Path, typer.Option("--build", help="folder that `release build` made", file_okay=False)],
    stack: StackOption = "preprod",
    sha: ShaOption = None,
) -> Reported:
    """Publish a build and make preprod serve it."""
    from release.rollout import preprod

    return preprod.deploy(environment.context(stack), build_folder, sha)


@command
def validate(
    *,
    digest: Annotated[str, typer.Option("--digest", help="the release: SHA-256 of its manifest")],
    stack: StackOption = "preprod",
    tests: Annotated[Path, typer.Option("--tests", help="folder of the integration tests")] = Path("tests/integration"),
    junit: Annotated[
        Path | None, typer.Option("--junit", help="report of the tests: written with --no-record, else read")
    ] = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="whether to write the validation record")] = True,
) -> Reported:
    """Run the tests against preprod and record that they passed.

    In CI the halves run as two identities: the first with `--junit FILE --no-record`, the second with `--junit FILE`.
    """
    from release.reports import ReleaseReport
    from release.rollout import preprod
    from release.validation.junit import JunitReport
    from release.validation.runner import required

    context = environment.context(stack)
    read = record and junit is not None
    tested = JunitReport.read(junit) if read else preprod.test(context, digest, tests, junit)
    if not record:
        return ReleaseReport(stack=stack, manifest=digest, tests=tested.tests, seconds=tested.duration_s)
    return preprod.validate(context, digest, tested, required(tests))
