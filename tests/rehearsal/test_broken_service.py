"""M3, M18: what is broken in a deployed function never gets a validation record.

Each variant is the real package of this release with one thing broken. `make test` takes a few of them, chosen by the
commit (`BROKEN_SERVICE="name of one"` chooses another); `make soak` takes all and writes down who saw what.
"""

import xml.etree.ElementTree as ET

import pytest

from tests.cloud import ROOT
from tests.preprod import changed
from tests.rehearsal.broken_service import VARIANTS, chosen, measured

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]  # production may be made for it

SAMPLE = 3
REFUSED = 3
RESULT = ROOT / "docs" / "figures" / "broken-service.md"
# A broken function would keep every test that waits for it waiting.
IMPATIENT = {"PREPROD_PATIENCE_S": "5"}


@pytest.fixture(scope="module")
def rows():
    """What became of each variant; written down when all were taken."""
    taken = []
    yield taken
    if len(taken) == len(VARIANTS):
        lines = [
            "# Broken functions, and which tests against preprod see them",
            "",
            *measured(),
            "",
            f"{len(taken)} variants ([what they are](../../tests/rehearsal/broken_service.py)), each refused by "
            "`release validate`. Ratio: failed tests to tests that ran.",
            "",
            "| function | broken in this | seen by | failed | ratio |",
            "| --- | --- | --- | --- | --- |",
            *taken,
        ]
        RESULT.write_text("\n".join(lines) + "\n")


@pytest.fixture
def validate(production, tmp_path):
    def run():
        """Run the tests as CI does; the file of each failed test, how many tests ran, and what the command said."""
        junit = tmp_path / "junit.xml"
        words = ("release", "validate", "--stack", "preprod", "--digest", production.digest, "--no-record", "--json")
        ended = production.cloud.run(*words, "--junit", str(junit), expected=REFUSED, **IMPATIENT)
        cases = list(ET.parse(junit).iter("testcase"))
        failed = [case for case in cases if case.find("failure") is not None]
        return [case.get("classname").split(".")[-1] for case in failed], len(cases), ended.json()

    return run


@pytest.mark.parametrize("variant", chosen(SAMPLE), ids=lambda variant: variant.name)
def test_a_broken_function_is_seen_in_preprod(variant, preprod, validate, rows):
    preprod.empty()
    function, sound = variant.function, preprod.version(variant.function)
    package = changed(preprod.package(function), variant.module, variant.code, variant.without)
    with preprod.serving({function: package}, {"RELEASE_DIGEST": "0" * 64} if variant.stale else {}):
        if variant.stale:
            stale = preprod.version(function)
            preprod.point(function, sound)
            preprod.point(function, stale, variant.stale)
        failed, ran, said = validate()
    assert said["rule"] == "tests-failed"
    assert variant.seen_by in failed
    assert len(failed) < ran / 2, "it is broken in more than the one thing that is to be seen"
    seen_by = ", ".join(f"`{name}`" for name in sorted(set(failed)))
    counts = f"{len(failed)} of {ran} | {len(failed) / ran:.2f}"
    rows.append(f"| {function} | {variant.name} | {seen_by} | {counts} |")
