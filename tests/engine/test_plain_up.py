"""Plain `pulumi up`, with no release handed over, is safe whatever happened before it."""

import os
import signal
import subprocess

import pytest

from components.service.functions import KEYS
from tests.engine.conftest import STACK, program_copy

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture
def before(service):
    """What serves and what is recorded; every test leaves both as they were."""
    found = (service.serving(), service.versions("live"), service.record())
    assert found[2]["stable"] == found[1]
    return found


def assert_still(service, before):
    assert (service.serving(), service.versions("live"), service.record()) == before


def test_a_failed_update_leaves_the_record_and_a_plain_up_takes_nothing_new_live(service, before):
    broken = service.release("broken")
    broken["functions"]["analysis"] = broken["functions"]["analysis"] | {"key": "promotions/no-such-package.zip"}
    failed = service.up(
        service.hand_over(broken, traffic=100, stable=before[2]["stable"], confirmed=True), expected=None
    )
    assert failed.exit_code != 0
    assert service.record() == before[2]
    service.up()
    assert_still(service, before)
    service.cloud.assert_unchanged(STACK)


def test_a_program_that_raises_before_its_exports_erases_no_record(service, before, tmp_path):
    folder = program_copy(tmp_path / "program")
    main = folder / "__main__.py"
    main.write_text(
        main.read_text().replace(
            "for name, value in outputs.items():", "raise ValueError('on purpose')\nfor name, value in outputs.items():"
        )
    )
    assert "on purpose" in main.read_text()
    raised = service.up(
        service.hand_over(service.release("second"), traffic=0, stable=before[2]["stable"]),
        folder=folder,
        expected=None,
    )
    assert raised.exit_code != 0
    assert "on purpose" in raised.stdout + raised.stderr
    service.up()
    live_now = (service.serving(), service.versions("live"))
    assert live_now == before[:2]
    assert service.record()["stable"] == before[2]["stable"]
    service.up(service.hand_over(service.release("first"), traffic=0, stable=before[2]["stable"]))
    assert_still(service, before)


def test_a_kill_in_the_middle_of_an_update_is_repaired_by_a_plain_up(service, before):
    release = service.release("killed")
    words = service.command(
        "up", "--yes", "--skip-preview", values=service.hand_over(release, traffic=100, stable=before[2]["stable"])
    )
    process = subprocess.Popen(
        words, env=service.cloud.variables, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if "lambda:Function" in line and "updat" in line:
            break
    else:
        pytest.fail("the update ended before it could be killed")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    service.cloud.run("pulumi", "cancel", "--yes", "--stack", STACK)
    service.up(refresh=True)
    assert_still(service, before)
    service.cloud.assert_unchanged(STACK)


def test_a_change_of_settings_alone_publishes_a_candidate_and_moves_no_traffic(service, before):
    candidates = service.versions("candidate")
    service.up({"sentiment-pipeline:functionMemoryMb": 512})
    assert_still(service, before)
    assert all(service.versions("candidate")[name] != version for name, version in candidates.items())
    service.up()
    assert_still(service, before)


def test_ten_percent_are_taken_off_by_a_plain_up(service, before):
    service.up(service.hand_over(service.release("tenth"), traffic=10, stable=before[2]["stable"]))
    weights = {function: service.weights(function) for function in KEYS}
    assert weights == {
        "ingestion": {},
        "analysis": {},
        "dashboard": {service.versions("candidate")["dashboard"]: 0.1},
    }
    service.up()
    assert service.versions("live") == before[1]
    service.up(service.hand_over(service.release("first"), traffic=0, stable=before[2]["stable"]))
    assert_still(service, before)
