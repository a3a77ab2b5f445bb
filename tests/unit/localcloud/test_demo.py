"""The demo's own parts: its commands, its screen, its summary. The demo as a whole is run by `make demo`."""

import contextlib
import io
import json
import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from rich.console import Console

from localcloud import paths
from localcloud.errors import LocalCloudError
from localcloud.process.locks import alone
from localcloud.process.state import CloudState
from localcloud.rehearsal import demo
from localcloud.rehearsal.commands import Commands, EndedError
from localcloud.rehearsal.screen import Screen
from localcloud.rehearsal.summary import RehearsedFailure, Story, for_machines, for_people


@pytest.fixture
def commands(tmp_path):
    return Commands(os.environ, tmp_path)


def python(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *words)


def screen(*, terminal: bool = False, height: int = 24) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, force_terminal=terminal, width=80 if terminal else 100, height=height)), out


def frame(shown: Screen) -> list[str]:
    """The table as it stands on a terminal of 80 columns and 24 lines."""
    out = io.StringIO()
    Console(file=out, width=80, height=24, color_system=None).print(shown._table())
    return out.getvalue().splitlines()


# Commands


@pytest.mark.slow
def test_a_document_is_apart_from_the_progress_and_both_are_in_the_log(commands, tmp_path):
    told = []
    code = "import sys; print('▸ begun', file=sys.stderr); print('{\"a\": 1}'); sys.exit(4)"
    finished = commands.run("01-x", python(code, "--json"), tmp_path, told.append)
    assert (finished.exit_code, finished.document, told) == (4, {"a": 1}, ["▸ begun"])
    assert finished.log == tmp_path / "demo-01-x.log"
    assert "▸ begun" in finished.tail
    assert '{"a": 1}' in finished.tail


@pytest.mark.slow
def test_what_a_command_without_a_document_says_is_progress(commands, tmp_path):
    told = []
    finished = commands.run(
        "02", python("print('one'); import sys; print('two', file=sys.stderr)"), tmp_path, told.append
    )
    assert sorted(told) == ["one", "two"]
    assert finished.exit_code == 0


@pytest.mark.slow
def test_the_end_takes_everything_that_a_command_has_started_and_nothing_begins_after_it(commands, tmp_path):
    code = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
    told, ended = [], []

    def run() -> None:
        try:
            commands.run("03", python(code), tmp_path, told.append)
        except EndedError as error:
            ended.append(error)

    running = threading.Thread(target=run)
    running.start()
    deadline = time.monotonic() + 30
    while not told and time.monotonic() < deadline:
        time.sleep(0.02)
    commands.end()
    running.join(30)
    assert ended
    child = int(told[0])
    with contextlib.suppress(psutil.NoSuchProcess):  # nobody here waits for it: it stays a zombie where nobody does
        while psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the child of the command lives on"
            time.sleep(0.02)
    with pytest.raises(EndedError):
        commands.run("04", python("print()"), tmp_path, told.append)


# The screen


def test_without_a_terminal_only_what_ends_is_a_line():
    shown, out = screen()
    step = shown.step("prod", "promote release 1")
    shown.step("prod", "waits")
    shown.begin(step)
    for line in (
        "▸ copying",
        "✓ copying 0.1 s",
        "▸ pulumi up",
        "  + aws:sns/topic:Topic t",
        "✓ pulumi up 7.9 s",
        "! going back from [this]: health 500",
    ):
        shown.tell(step, line)
    shown.end(step, result="rolled back automatically, verified")
    lines = [
        re.sub(r"^ *\d+\.\d s ", "", line).replace(f"({step.seconds:.1f} s)", "(S s)")
        for line in out.getvalue().splitlines()
    ]
    assert lines == [
        "  prod     ✓ pulumi up  (7.9 s)",
        "  prod     ! going back from [this]: health 500",
        "✓ prod     promote release 1  (S s)",
        "           rolled back automatically, verified",
    ]


def test_tests_are_counted_per_file():
    shown, out = screen()
    step = shown.step("preprod", "test release 1")
    shown.begin(step)
    for line in (
        "  test_canary_preprod.py::test_a[no key-/] PASSED [ 1%]",
        "  test_canary_preprod.py::test_b PASSED [ 2%]",
        "  test_dashboard_preprod.py::test_c FAILED [ 3%]",
        "  test_end_to_end_preprod.py::test_d PASSED [100%]",
    ):
        shown.tell(step, line)
    assert step.doing == "3 tests passed"
    assert step.counted == "3 passed: canary 2, end_to_end 1"
    assert out.getvalue() == ""


def test_on_a_terminal_every_row_fits_into_80_columns_and_ends_with_its_seconds():
    shown, _ = screen(terminal=True)
    step = shown.step("preprod", "a very long title " * 10)
    shown.step("prod", "waits")
    shown.begin(step)
    shown.tell(step, "▸ " + "integration tests against http://127.0.0.1:1/ " * 5)
    lines = frame(shown)
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert re.fullmatch(r"▸ preprod a very long .*… +\d\.\d s", lines[0].rstrip())
    assert lines[1].strip().startswith("integration tests")
    assert lines[-1].startswith("1 more to come, 0 s")


def test_on_a_terminal_the_latest_steps_are_seen_where_not_all_have_room():
    shown, _ = screen(terminal=True)
    for number in range(40):
        step = shown.step("prod", f"step {number}")
        shown.begin(step)
        shown.end(step, result="done")
    lines = frame(shown)
    assert len(lines) < 24
    assert "earlier steps" in lines[0]
    assert any("step 39" in line for line in lines)


# The summary


def report(digest: str) -> dict:
    return {
        "from": {"sha": digest * 4, "manifest": digest},
        "to": {"sha": "b" * 40, "manifest": "b"},
        "verified": True,
        "detected_s": 1.2345,
        "traffic_restored_s": 0.5,
        "converged_s": 9.8,
        "reason": f"{digest} is broken",
        "problems": [],
    }


STORY = Story(
    seconds=88.04,
    clock="x60",
    confirmed={
        stack: {"sha": "b" * 40, "manifest": "b", "dashboard_url": "http://d/"} for stack in ("preprod", "prod")
    },
    failures=[
        RehearsedFailure(
            name="release 2", story="s", report=report("c"), requests=80, failed_requests=0, caught="DARK"
        ),
        RehearsedFailure(
            name="release 3", story="s", report=report("d"), requests=500, failed_requests=12, caught="CANARY"
        ),
    ],
    tests={"test_canary_preprod": 34},
    steps=[],
)


def test_the_document_for_machines_tells_both_failures_in_the_same_shape():
    document = json.loads(json.dumps(for_machines(STORY)))
    shape = {"from", "to", "verified", "detected_s", "traffic_restored_s", "converged_s"}
    assert set(document["rollback"]) == set(document["rollback_in_the_dark"]) == shape
    assert document["rollback"]["from"]["manifest"] == "d"
    assert document["rollback_in_the_dark"]["from"]["manifest"] == "c"
    assert document["stacks"]["prod"]["confirmed"]["manifest"] == "b"
    assert document["seconds"] == 88.0
    assert document["users"]["rollback"] == {"requests": 500, "failed": 12}


def test_the_summary_for_people_shows_how_the_failures_differ():
    out = io.StringIO()
    for part in for_people(STORY):
        Console(file=out, width=80).print(part)
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    in_the_dark, canary = (next(line for line in lines if line.startswith(f"release {n} ")) for n in (2, 3))
    assert re.fullmatch(r"release 2 +in the dark +1\.2 s +0\.5 s +9\.8 s +0 of 80 *", in_the_dark)
    assert re.fullmatch(r"release 3 +at 10 % +1\.2 s +0\.5 s +9\.8 s +12 of 500 *", canary)


# The story


@pytest.fixture
def rehearsal(commands):
    shown, out = screen()
    state = CloudState(pid=1, created=0.0, clock="x60")
    return demo.Demo(shown, commands, state), out


@pytest.mark.slow
def test_a_step_that_fails_is_told_with_the_end_of_its_log_and_how_to_repeat_it(rehearsal, tmp_path):
    told, out = rehearsal
    step = told.ledgers["prod"]
    code = "import sys; [print(f'line {n}', file=sys.stderr) for n in range(40)]; sys.exit(3)"
    with pytest.raises(LocalCloudError) as refused:
        told.run(step, *python(code, "--json"), folder=tmp_path)
    said = str(refused.value)
    assert "exit code 3 instead of 0" in said
    assert str(told.commands.log(step.slug)) in said
    assert "line 39" in said
    assert "line 0" not in said.splitlines()
    assert f"cd {tmp_path} && " in said
    assert "✗ prod     what its ledger says" in out.getvalue()


@pytest.mark.slow
def test_when_one_step_fails_the_others_are_ended(rehearsal, tmp_path):
    told, out = rehearsal
    with ThreadPoolExecutor(2) as lanes:
        slow = lanes.submit(told.run, told.ledgers["preprod"], *python("import time; time.sleep(600)"), folder=tmp_path)
        failing = lanes.submit(told.run, told.ledgers["prod"], *python("raise SystemExit(1)"), folder=tmp_path)
        with pytest.raises(LocalCloudError, match="exit code 1 instead of 0"):
            told._all([slow, failing])
    assert isinstance(slow.exception(), EndedError)
    assert "ended" in out.getvalue()


def test_a_release_was_caught_in_the_state_before_its_rollback():
    entries = [
        {"state": state, "release": {"digest": digest} if digest else None}
        for state, digest in (
            ("ROLLED_BACK", "x"),
            ("ROLLING_BACK", "x"),
            ("CANARY", "x"),
            ("SUPERSEDED", ""),
            ("DARK", "x"),
            ("CONFIRMED", "y"),
        )
    ]
    assert demo._caught(entries, "x") == "CANARY"


def test_a_second_demo_of_the_same_clone_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "HOME", tmp_path)
    monkeypatch.setattr(demo, "_run", lambda _: None)
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)
    with alone(tmp_path / "demo.lock"), pytest.raises(SystemExit):
        demo.main()
    assert "another demo runs" in capsys.readouterr().err
    demo.main()
