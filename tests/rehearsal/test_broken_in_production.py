"""M8: what production's canary would see of a broken function that no test has seen.

Each variant (tests/rehearsal/broken_service.py) is a candidate of preprod beside its sound version. Production's own
judge asks both in the dark, at 10 %, and live. The tests of preprod refuse all of them before (test_broken_service.py):
the canary is a second net under each of them. `make test` takes one, chosen by the commit; `make soak` takes all and
writes down what stops each.
"""

import base64
import hashlib
import io
import os
from collections import Counter

import pytest
from rich.console import Console as RichConsole

from components.naming import CANDIDATE, LIVE, names
from components.service.functions import KEYS
from components.service.release import CANARY_WEIGHT
from release.console import Console
from release.context import Context
from release.ledger.lifecycle import Deployment, ReleaseId
from release.rollout.canary import Canary, CanaryFailed
from release.settings import ReleaseSettings
from tests.cloud import ROOT
from tests.preprod import changed
from tests.rehearsal.broken_service import HANDLER, VARIANTS, chosen, measured

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

SAMPLE = 1
RESULT = ROOT / "docs" / "figures" / "broken-in-production.md"
PLACES = ("in the dark", "at 10 %", "live", "not at all")


@pytest.fixture(scope="module")
def rows():
    """What stops each variant; written down when all were taken."""
    taken = []
    yield taken
    if len(taken) == len(VARIANTS):
        counts = Counter(where for *_, where, _ in taken)
        lines = [
            "# Broken functions, and what of the canary stops them",
            "",
            *measured(),
            "",
            f"{len(taken)} variants ([what they are](../../tests/rehearsal/broken_service.py)), judged as production "
            "would beside the sound function, on the local cloud with AWS's habits. "
            "[The tests of preprod](broken-service.md) have refused each of them before.",
            "",
            "Stopped "
            + ", ".join(f"{where}: {counts[where]}" for where in PLACES)
            + ". Functions that are right while "
            "nobody uses them, and break in production, are promoted as a whole in `tests/rehearsal`: "
            "test_broken_releases.py sees them stopped at 10 % and live, test_bake.py in the bake.",
            "",
            "| function | broken in this | stopped | by |",
            "| --- | --- | --- | --- |",
            *(f"| {' | '.join(row)} |" for row in taken),
        ]
        RESULT.write_text("\n".join(lines) + "\n")


@pytest.fixture
def canary(preprod, production, monkeypatch):
    """Ask production's judge: it sees preprod's functions as candidates beside their sound versions, as it promotes."""
    for name, value in production.cloud.variables.items():
        monkeypatch.setenv(name, value)
    outputs = production.cloud.run("pulumi", "stack", "output", "--json", "--stack", "preprod").json()
    release = ReleaseId(digest=outputs["release"]["manifest"], sha=outputs["release"]["sha"])
    context = Context(
        stack="preprod",
        repo=ROOT,
        console=Console(RichConsole(file=io.StringIO())),
        settings=ReleaseSettings(workers=4, weighted_requests=60, answer_limit_s=30),
    )
    sound = {function: preprod.version(function) for function in KEYS}
    confirmed = Deployment(
        release=release,
        built_at="",
        at="",
        hand_over={},
        functions={function: context.traffic.deployed(function, version) for function, version in sound.items()},
        dashboard_url=outputs["dashboard_url"],
        on_call_topic=outputs["on_call_topic"],
        alarms=(),
    )

    def move(versions: dict[str, str], weights: dict[str, float]) -> None:
        for function, serving in versions.items():
            production.cloud.client("lambda").update_alias(
                FunctionName=names("preprod").function(function).function,
                Name=LIVE,
                FunctionVersion=serving,
                RoutingConfig={"AdditionalVersionWeights": weights if function == "dashboard" else {}},
            )

    def judged(function: str, package: bytes, stale: str = "") -> tuple[str, str]:
        """Where a release is stopped, and by which verdict; the alias `stale` of the function stays where it is."""
        packages = {one: preprod.package(one) for one in KEYS} | {function: package}
        digest = hashlib.sha256(package).hexdigest()
        code = {one: base64.b64encode(hashlib.sha256(zipped).digest()).decode() for one, zipped in packages.items()}
        steps = Canary(context, ReleaseId(digest=digest, sha=release.sha), code, [].append)
        errors = names("preprod").function(function).alarm("errors")
        with preprod.serving(packages, {"RELEASE_DIGEST": digest}):
            candidates = {one: preprod.version(one) for one in KEYS}
            move(sound, {})
            if stale == CANDIDATE:
                preprod.point(function, sound[function], CANDIDATE)
            where = "in the dark"
            try:
                steps.analyse_dark(confirmed)
                where = "at 10 %"
                move(sound, {candidates["dashboard"]: CANARY_WEIGHT})
                steps.watch_weighted(confirmed, outputs | {"alarms": [errors]})
                where = "live"
                move(candidates | ({function: sound[function]} if stale == LIVE else {}), {})
                steps.watch_live(outputs | {"alarms": [errors]})
            except CanaryFailed as failed:
                return where, f"{failed.verdict.outcome} of `{failed.verdict.subject}`"
            finally:
                move(sound, {})
        return "not at all", "-"

    return judged


@pytest.mark.skipif("SOAK_MINUTES" not in os.environ, reason="the rehearsals of CI promote sound releases")
@pytest.mark.parametrize("function", KEYS)
def test_a_sound_release_is_stopped_nowhere(preprod, canary, function):
    """Otherwise the others would prove nothing."""
    assert canary(function, changed(preprod.package(function), HANDLER, "\n")) == ("not at all", "-")


@pytest.mark.parametrize("variant", chosen(SAMPLE), ids=lambda variant: variant.name)
def test_a_broken_function_is_stopped_by_the_canary_alone(variant, preprod, canary, rows):
    package = changed(preprod.package(variant.function), variant.module, variant.code or "\n", variant.without)
    where, by = canary(variant.function, package, variant.stale)
    rows.append((variant.function, variant.name, where, by))
    assert where != "not at all"
