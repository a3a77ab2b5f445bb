"""M8: what production's canary would see of a broken function that no test has seen.

Each variant (tests/rehearsal/broken_service.py) is a candidate of preprod beside its sound version. Production's own
judge asks both in the dark, at 10 %, and live. The tests of preprod refuse all of them before (test_broken_service.py):
the canary is a second net under each of them. `make test` takes some, chosen by the commit; `make soak` takes all and
writes down what stops each.
"""

import base64
import hashlib
import io
import os
import platform
import random
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from rich.console import Console as RichConsole

from components.naming import CANDIDATE, LIVE, names
from components.service.release import CANARY_WEIGHT
from localcloud.rehearsal.broken_releases import head
from release.console import Console
from release.context import Context
from release.ledger.lifecycle import Deployment, ReleaseId
from release.rollout.canary import Canary, CanaryFailed
from release.settings import ReleaseSettings
from tests.cloud import ROOT
from tests.preprod import changed
from tests.rehearsal.broken_service import VARIANTS

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

SAMPLE = 2
RESULT = ROOT / "docs" / "figures" / "broken-in-production.md"
PLACES = ("in the dark", "at 10 %", "live", "not at all")


def chosen():
    if wanted := os.environ.get("BROKEN_SERVICE"):
        return [variant for variant in VARIANTS if variant.name == wanted]
    if "SOAK_MINUTES" in os.environ:
        return VARIANTS
    return random.Random(head(ROOT)).sample(VARIANTS, SAMPLE)


@pytest.fixture(scope="module")
def rows():
    """What stops each variant; written down when all were taken."""
    taken = []
    yield taken
    if len(taken) == len(VARIANTS):
        machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
        versions = f"Python {platform.python_version()}, pytest {pytest.__version__}, moto {version('moto')}"
        counts = Counter(where for *_, where, _ in taken)
        lines = [
            "# Broken functions, and what of the canary stops them",
            "",
            f"Last result of `make soak`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, at commit {head(ROOT)[:12]};",
            f"{machine}; {versions}.",
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
    """Ask production's judge: it sees preprod's function as a candidate beside its sound version, at 10 % and live."""
    for name, value in production.cloud.variables.items():
        monkeypatch.setenv(name, value)
    outputs = production.cloud.run("pulumi", "stack", "output", "--json", "--stack", "preprod").json()
    release = ReleaseId(digest=outputs["release"]["manifest"], sha=outputs["release"]["sha"])

    def judged(function: str, sound: dict[str, str], package: bytes, stale: str) -> tuple[str, str]:
        """Where it is stopped, and by which verdict; the alias `stale` stays on the sound version."""
        name = names("preprod").function(function).function
        aliases = production.cloud.client("lambda")
        broken = preprod.version(function)
        context = Context(
            stack="preprod",
            repo=ROOT,
            console=Console(RichConsole(file=io.StringIO())),
            settings=ReleaseSettings(workers=4, weighted_requests=60, answer_limit_s=30),
        )
        code = {function: base64.b64encode(hashlib.sha256(package).digest()).decode()}
        confirmed = Deployment(
            release=release,
            built_at="",
            at="",
            hand_over={},
            functions={function: context.traffic.deployed(function, sound[function])},
            dashboard_url=outputs["dashboard_url"],
            on_call_topic=outputs["on_call_topic"],
            alarms=(),
        )
        candidate = ReleaseId(digest=hashlib.sha256(package).hexdigest(), sha=release.sha)
        steps = Canary(context, candidate, code, [].append)
        watched = outputs | {"alarms": [alarm for alarm in outputs["alarms"] if alarm.startswith(f"{name}-errors")]}
        candidates = {one: preprod.version(one) for one in sound}
        for one, before in sound.items():
            preprod.point(one, before, LIVE)
        if stale == CANDIDATE:
            preprod.point(function, sound[function], CANDIDATE)
        if stale == LIVE:
            candidates[function] = sound[function]
        where = "in the dark"
        try:
            steps.analyse_dark(confirmed)
            if function == "dashboard":
                where = "at 10 %"
                weights = {"AdditionalVersionWeights": {broken: CANARY_WEIGHT}}
                aliases.update_alias(FunctionName=name, Name=LIVE, RoutingConfig=weights)
                steps.watch_weighted(confirmed, watched)
                aliases.update_alias(FunctionName=name, Name=LIVE, RoutingConfig={"AdditionalVersionWeights": {}})
            where = "live"
            for one, after in candidates.items():
                preprod.point(one, after, LIVE)
            steps.watch_live(watched)
        except CanaryFailed as failed:
            return where, f"{failed.verdict.outcome} of `{failed.verdict.subject}`"
        finally:
            aliases.update_alias(FunctionName=name, Name=LIVE, RoutingConfig={"AdditionalVersionWeights": {}})
        return "not at all", "-"

    return judged


@pytest.mark.parametrize("variant", chosen(), ids=lambda variant: variant.name)
def test_a_broken_function_is_stopped_by_the_canary_alone(variant, preprod, canary, rows):
    function = variant.function
    sound = {name: preprod.version(name) for name in {function, "dashboard"}}
    package = changed(preprod.package(function), variant.module, variant.code or "\n", variant.without)
    # A release of its own, with the dashboard, whose health says which release is live.
    packages = {"dashboard": preprod.package("dashboard"), function: package}
    with preprod.serving(packages, {"RELEASE_DIGEST": hashlib.sha256(package).hexdigest()}):
        where, by = canary(function, sound, package, variant.stale)
    rows.append((function, variant.name, where, by))
    assert where != "not at all"
