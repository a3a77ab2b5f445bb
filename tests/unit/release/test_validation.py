"""The report of the integration tests, and the record that is made from it, or is not."""

import io
from datetime import timedelta

import pytest
from rich.console import Console as RichConsole

from release.artifacts.store import VALIDATION_FILE
from release.console import Console
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import DeployedFunction, Deployment, ReleaseId, State
from release.reporting.workflow_summary import lines
from release.rollout import preprod
from release.validation.junit import JunitReport
from release.validation.record import ValidationRecord
from release.validation.runner import required, run_tests
from tests.unit.release.release_world import EPOCH, World, record

QUIET = Console(RichConsole(file=io.StringIO()))
RELEASE = ReleaseId(digest="a" * 64, sha="b" * 40)
GOOD = '<testcase classname="x.test_a_preprod" name="a"/><testcase classname="x.test_b_preprod.TestIt" name="b"/>'
REQUIRED = ("test_a_preprod", "test_b_preprod")
TOOLS = '<properties><property name="tool:pytest" value="9.2"/></properties>'
BEGAN = EPOCH + timedelta(hours=1)


def case(inner, name="c"):
    return f'<testcase classname="x.test_c_preprod" name="{name}">{inner}</testcase>'


def junit(body, name=RELEASE.digest, began="2036-11-23T07:00:00+00:00", tools=TOOLS, sums=""):
    suite = f'<testsuite name="{name}" {sums} time="7.5" timestamp="{began}">{tools}{body}</testsuite>'
    return f"<testsuites>{suite}</testsuites>".encode()


def test_the_test_cases_are_counted():
    failed = case('<failure message="no&#10;more"/>')
    report = JunitReport.parse(junit(GOOD + failed + case('<skipped message="later"/>', "d")))
    assert (report.tests, report.failed, report.errors) == (4, 1, 0)
    assert report.complaints == ("x.test_c_preprod::c: no",)
    assert report.skipped == ("x.test_c_preprod::d: later",)
    assert report.modules == {"test_a_preprod", "test_b_preprod", "test_c_preprod"}
    assert (report.began, report.duration_s, report.tools) == (BEGAN, 7.5, {"pytest": "9.2"})


@pytest.mark.parametrize(
    ("report", "rule", "why"),
    [
        (junit(""), "tests-failed", "no test ran"),
        (junit(case("<skipped/>")), "tests-failed", "no test ran"),
        (junit(GOOD + case('<failure message="not 200"/>')), "tests-failed", "test_c_preprod::c: not 200"),
        (junit(GOOD + case("<error/>")), "tests-failed", "test_c_preprod::c"),
        (junit(GOOD + case('<skipped message="no table"/>')), "tests-incomplete", "test_c_preprod::c: no table"),
        (junit(GOOD.replace("test_b", "test_z")), "tests-incomplete", "no test of test_b_preprod ran"),
        (junit(GOOD, sums='failures="3"'), "tests-contradictory", "claims 3 failures, its test cases are 0"),
        (junit(GOOD, sums='errors="1"'), "tests-contradictory", "claims 1 errors, its test cases are 0"),
        (junit(GOOD, sums='skipped="1"'), "tests-contradictory", "claims 1 skipped, its test cases are 0"),
        (junit(GOOD, sums='tests="3"'), "tests-contradictory", "claims 3 tests, its test cases are 2"),
        (junit(GOOD, sums='tests="1"'), "tests-contradictory", "claims 1 tests, its test cases are 2"),
        (
            junit(GOOD).replace(b"<testsuites>", b'<testsuites failures="1">'),
            "tests-contradictory",
            "testsuites claims 1 failures",
        ),
        (junit(GOOD + '<error message="no module"/>'), "tests-contradictory", "outside of any test: no module"),
        (
            junit(GOOD).replace(b"</testsuites>", b"<failure>gone\nand more</failure></testsuites>"),
            "tests-contradictory",
            "testsuites holds a failure outside of any test: gone",
        ),
        (junit(GOOD, tools=""), "tests-incomplete", "what the tests ran with"),
        (junit(GOOD, name="c" * 64), "tests-foreign", "cccccccccccc"),
        (junit(GOOD, name="pytest"), "tests-foreign", "pytest"),
        (junit(GOOD, began=(EPOCH - timedelta(seconds=1)).isoformat()), "tests-stale", "2036-11-23 05:59:59"),
        (junit(GOOD, began=""), "tests-stale", "an unknown time"),
        (junit(GOOD, began="2036-11-23T07:00:00"), "tests-stale", "an unknown time"),
    ],
    ids=[
        *("none", "all skipped", "failed", "broke", "one skipped", "a file left out"),
        *(
            "claims failures",
            "claims errors",
            "claims skips",
            "claims more",
            "claims fewer",
            "the whole claims failures",
        ),
        *("an error of no test", "a failure of no suite", "no tools"),
        *("another release", "nobody's", "before the deployment", "no time", "a time without zone"),
    ],
)
def test_what_is_no_pass_is_refused_by_its_rule_and_says_why(report, rule, why):
    with pytest.raises(Refused) as refused:
        JunitReport.parse(report).require_pass_of(RELEASE, EPOCH, REQUIRED)
    assert refused.value.rule == rule
    assert why in refused.value.why
    assert refused.value.next_step


def test_a_pass_is_a_pass():
    JunitReport.parse(junit(GOOD)).require_pass_of(RELEASE, EPOCH, REQUIRED)


@pytest.mark.parametrize(
    "body",
    [
        b"<testsuites>",
        junit(GOOD, began="yesterday"),
        junit(GOOD, sums='tests="many"'),
        junit(GOOD).replace(b"7.5", b"nan"),
        b" " * 10_000_001,
        b'<?xml version="1.0" encoding="utf-99"?>' + junit(GOOD),
        b'<?xml version="1.0" encoding="shift_jis"?>' + junit(GOOD),
        junit(GOOD).replace(b'name="a"', b'name="\xff"'),
    ],
)
def test_a_report_that_is_no_junit_is_explained(body):
    with pytest.raises(ReleaseError, match="junit"):
        JunitReport.parse(body)


def test_a_report_that_is_not_there_is_explained(tmp_path):
    with pytest.raises(UsageError, match="no junit file"):
        JunitReport.read(tmp_path / "none.xml")


@pytest.fixture
def tests(tmp_path):
    """A folder of integration tests with one marked test and one that is not."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_a_preprod.py").write_text(
        "import os, pytest\n\n@pytest.fixture(autouse=True, scope='session')\n"
        "def tools(record_testsuite_property): record_testsuite_property('tool:pytest', pytest.__version__)\n\n"
        "@pytest.mark.deployed\ndef test_it(): assert os.environ['WHERE'] == 'preprod'\n\n"
        "def test_not_marked(): assert False\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = deployed\n")
    return folder


@pytest.mark.slow
def test_tests_run_in_a_pytest_of_their_own_and_bind_their_report_to_the_release(tests, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    kept = tmp_path / "results" / "junit.xml"
    report = run_tests(tests, {"WHERE": "preprod"}, QUIET, RELEASE, kept)
    assert (report.tests, report.of) == (1, RELEASE.digest)
    assert JunitReport.read(kept) == report
    report.require_pass_of(RELEASE, EPOCH.replace(year=2020), required(tests))


@pytest.mark.slow
def test_what_pytest_itself_writes_contradicts_itself_nowhere(tests, tmp_path):
    (tests / "test_a_preprod.py").write_text(
        "import pytest\n\npytestmark = pytest.mark.deployed\n\n"
        "@pytest.fixture\ndef torn(): yield; assert False\n\n@pytest.fixture\ndef never(): assert False\n\n"
        "def test_fails_twice(torn): assert False\n\ndef test_is_torn(torn): pass\n\ndef test_begins(never): pass\n\n"
        "def test_is_skipped(): pytest.skip('x')\n\n@pytest.mark.xfail\ndef test_fails_as_known(): assert False\n\n"
        "@pytest.mark.xfail(strict=True)\ndef test_passes_although_known(): pass\n\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_passes(n): pass\n"
    )
    report = run_tests(tests, {"WHERE": "preprod"}, QUIET, RELEASE, tmp_path / "junit.xml")
    assert (report.contradictions, report.failed, report.errors, len(report.skipped)) == ((), 2, 3, 2)


@pytest.mark.slow
def test_tests_that_fail_are_reported_as_failed_and_kept(tests, tmp_path):
    kept = tmp_path / "junit.xml"
    report = run_tests(tests, {"WHERE": "elsewhere"}, QUIET, RELEASE, kept)
    assert (report.tests, report.failed) == (1, 1)
    assert JunitReport.read(kept) == report


@pytest.mark.slow
def test_a_pytest_that_fails_without_a_failed_test_is_refused(tests):
    (tests / "conftest.py").write_text("def pytest_sessionfinish(session): session.exitstatus = 3\n")
    with pytest.raises(Refused, match="pytest ended with 3"):
        run_tests(tests, {"WHERE": "preprod"}, QUIET, RELEASE, None)


@pytest.mark.slow
def test_tests_that_are_interrupted_clean_up_and_do_not_run_on(tests, tmp_path):
    (tests / "test_a_preprod.py").write_text(
        "import pathlib, pytest, time\n\npytestmark = pytest.mark.deployed\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n\n"
        "@pytest.fixture(autouse=True, scope='module')\ndef thing():\n    yield\n    (here / 'cleaned').touch()\n\n"
        "def test_first(): pass\n\ndef test_second(): time.sleep(30)\n\ndef test_third(): (here / 'third').touch()\n"
    )

    class Interrupted(Console):
        def detail(self, line):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tests(tests, {}, Interrupted(RichConsole(file=io.StringIO())), RELEASE, None)
    assert (tmp_path / "cleaned").exists()
    assert not (tmp_path / "third").exists()


def test_no_tests_at_all_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no test_\*_preprod\.py"):
        run_tests(tmp_path, {}, QUIET, RELEASE, None)


def test_a_record_survives_the_way_through_the_bucket(tmp_path, monkeypatch):
    manifest = World(tmp_path, monkeypatch).offer(1)
    release = ReleaseId(digest=manifest.digest, sha=manifest.sha)
    assert ValidationRecord.load(record(manifest).body(), release) == record(manifest)


class Preprod:
    """Preprod's bucket and ledger, as `release deploy` leaves them."""

    def __init__(self, world):
        self.world = world
        self.context = world.context("preprod")

    def deploy(self, number):
        """Serve a release; its digest."""
        manifest = self.world.offer(number, validated=False)
        release = ReleaseId(digest=manifest.digest, sha=manifest.sha)
        served = Deployment(
            release=release,
            built_at=manifest.built_at,
            at=self.context.clock.stamp(),
            hand_over={},
            functions={"dashboard": DeployedFunction(version="1", code_sha256="x", configuration={})},
            dashboard_url="http://preprod.test",
            on_call_topic="topic",
            alarms=(),
        )
        self.context.ledger.append(State.BUILT, release=release)
        self.context.ledger.append(State.DEPLOYING, release=release)
        self.context.ledger.append(State.LIVE, release=release, served=served, outputs={"items_table": "t"})
        self.context.clock.sleep(60)
        return manifest.digest

    def report(self, digest):
        """A good report of tests that began now."""
        return JunitReport.parse(junit(GOOD, name=digest, began=self.context.clock.stamp()))

    def validate(self, digest, report):
        return preprod.validate(self.context, digest, report, REQUIRED)

    def record(self, digest):
        return self.context.promotions.objects.get(f"promotions/{digest}/{VALIDATION_FILE}")


@pytest.fixture
def deployed(tmp_path, monkeypatch):
    return Preprod(World(tmp_path, monkeypatch))


def test_a_pass_is_recorded_with_counts_duration_tools_and_who_did_it(deployed):
    digest = deployed.deploy(1)
    report = deployed.report(digest)
    said = deployed.validate(digest, report)
    made = ValidationRecord.load(deployed.record(digest).body, ReleaseId(digest=digest, sha=f"{1:040x}"))
    assert (made.tests, made.failed, made.errors, made.skipped) == (2, 0, 0, 0)
    assert (made.duration_s, made.tools, made.junit_sha256) == (7.5, {"pytest": "9.2"}, report.digest)
    assert made.run == deployed.context.run
    assert (said.tests, said.seconds, said.tools) == (2, 7.5, {"pytest": "9.2"})
    assert deployed.context.ledger.view().state is State.VALIDATED


def test_the_same_release_can_be_validated_twice_and_the_first_record_stays(deployed):
    digest = deployed.deploy(1)
    deployed.validate(digest, deployed.report(digest))
    first = deployed.record(digest)
    assert deployed.validate(digest, deployed.report(digest)).already is True
    assert deployed.record(digest) == first


def test_a_report_from_before_the_release_was_deployed_again_leaves_no_record(deployed):
    digest = deployed.deploy(1)
    old = deployed.report(digest)
    deployed.context.clock.sleep(60)
    deployed.deploy(1)
    with pytest.raises(Refused) as refused:
        deployed.validate(digest, old)
    assert refused.value.rule == "tests-stale"
    assert deployed.record(digest) is None


def test_a_report_of_another_release_leaves_no_record(deployed):
    first, second = deployed.deploy(1), deployed.deploy(2)
    with pytest.raises(Refused) as refused:
        deployed.validate(second, deployed.report(first))
    assert refused.value.rule == "tests-foreign"
    assert deployed.record(second) is None


def test_a_release_that_was_never_deployed_cannot_have_been_tested(deployed):
    digest = deployed.world.offer(1, validated=False).digest
    with pytest.raises(Refused) as refused:
        deployed.validate(digest, deployed.report(digest))
    assert refused.value.rule == "not-deployed"
    assert deployed.record(digest) is None


def test_what_passed_while_it_was_deployed_counts_although_preprod_has_moved_on(deployed):
    digest = deployed.deploy(1)
    report = deployed.report(digest)
    deployed.deploy(2)
    deployed.validate(digest, report)
    assert deployed.record(digest) is not None
    assert deployed.context.ledger.view().state is State.LIVE


def test_a_refusal_names_every_test_that_failed_and_the_summary_shows_them_all(deployed):
    digest = deployed.deploy(1)
    failures = "".join(case(f'<failure message="wrong {number}"/>', f"c{number}") for number in range(9))
    report = JunitReport.parse(junit(GOOD + failures, name=digest, began=deployed.context.clock.stamp()))
    with pytest.raises(Refused) as refused:
        deployed.validate(digest, report)
    assert deployed.record(digest) is None
    said = lines(refused.value.report)
    assert [line for line in said if line.startswith("failed: ")] == [
        f"failed: x.test_c_preprod::c{number}: wrong {number}" for number in range(9)
    ]


@pytest.mark.slow
def test_the_tests_are_told_the_outputs_of_the_deployment_and_a_pass_of_them_is_a_pass(deployed, tests):
    digest = deployed.deploy(1)
    (tests / "test_b_preprod.py").write_text(
        "import json, os, pytest\n\n@pytest.mark.deployed\ndef test_told():\n"
        "    assert json.loads(os.environ['PREPROD_OUTPUTS']) == {'items_table': 't'}\n"
        "    assert os.environ['PREPROD_DASHBOARD_API_KEY'] == 'right-key'\n"
    )
    (tests / "test_a_preprod.py").unlink()
    kept = tests / "junit.xml"
    with pytest.raises(Refused) as refused:  # the world's clock is in the future, so these ran "before"
        preprod.test(deployed.context, digest, tests, kept)
    assert refused.value.rule == "tests-stale"
    report = JunitReport.read(kept)
    assert (report.tests, report.complaints) == (1, ())


def test_tests_of_a_release_that_preprod_does_not_serve_are_not_started(deployed, tests):
    digest = deployed.deploy(1)
    deployed.deploy(2)
    with pytest.raises(Refused) as refused:
        preprod.test(deployed.context, digest, tests, None)
    assert refused.value.rule == "not-deployed"
