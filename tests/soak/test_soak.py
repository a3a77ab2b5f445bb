"""M9 in full on the real engine: every state is killed, every call of a promotion goes wrong, two start together.

It runs for SOAK_MINUTES and writes docs/figures/soak.md. Production ends every case at rest, on a
confirmed release, proven by reading the cloud; otherwise the case is a failure, and named.
"""

import json
import os
import platform
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import psutil
import pytest

from components.naming import PROJECT, state_place
from localcloud.rehearsal.broken_releases import Breakage, broken_clone, head
from release.pulumi.stack import SILENCE_S
from tests.cloud import ROOT
from tests.dying import ENDS, PATIENT, REASON, Stage, job, sound_clone
from tests.soak.cases import LOCKS, Fault, Kill, Zombie, faults, killed, kills, rollback_job, zombies

pytestmark = [
    pytest.mark.engine,
    pytest.mark.soak,
    pytest.mark.timeout(0),
    pytest.mark.skipif("SOAK_MINUTES" not in os.environ, reason="`make soak` runs this, for half an hour"),
]

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
SEED = int(os.environ.get("SOAK_SEED", "20261123"))
RESULT = ROOT / "docs" / "figures" / "soak.md"
RUN_S = 240
HALVES = (0, 1)
PARTS = ROOT / ".localcloud" / "soak"


@pytest.fixture(scope="module")
def releases(production, tmp_path_factory):
    """By name, a sound release and one that the judge takes back: digest and clone."""
    found = {}
    for name, clone in (("sound", sound_clone), ("broken", _broken)):
        folder = tmp_path_factory.mktemp(name)
        sha = clone(ROOT, folder / "source")
        found[name] = production.cloud.to_preprod(sha, folder / "source", folder / "build"), folder / "source"
    return found


def _broken(repository, target):
    return broken_clone(repository, Breakage.HEALTH_500, target)


@pytest.mark.parametrize("half", HALVES)
def test_soak(production, releases, half):
    """Half of the cases, with a cloud of its own: two workers do both at a time."""
    stage, began, rows = Stage(production.cloud, production.digest, PATIENT), time.monotonic(), []
    calls, all_calls = _calls(stage, *releases["sound"])

    def case(kind, name, work):
        started = time.monotonic()
        try:
            _begin(stage, releases)
            said, failure = work(), ""
            said = f"{said}; on {'the new' if stage.settled() != stage.stable else 'the stable'} release"
        except BaseException as error:
            said, failure = "", " ".join(str(error).split())[:600] or type(error).__name__
            traceback.print_exc()
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            stage.cloud.run("localcloud", "fault", "clear")
        rows.append((kind, str(name), said, failure, time.monotonic() - started))
        print(f"{len(rows):>3} {kind}: {name}: {said or failure}", flush=True)  # noqa: T201 -- it runs for long
        PARTS.mkdir(parents=True, exist_ok=True)
        (PARTS / f"{half}.json").write_text(json.dumps([rows, time.monotonic() - began, calls, all_calls]))
        _write([json.loads(part.read_text()) for part in sorted(PARTS.glob("*.json"))])

    sound = releases["sound"]
    cases = [("race", "two promotions started together", lambda: _two(stage, *sound))]
    cases += [("lock", name, partial(_lock, stage, *sound, body)) for name, body in LOCKS.items()]
    cases += [
        ("zombie", one, partial(_zombie, stage, *sound, one, number)) for number, one in enumerate(zombies(SEED), 1)
    ]
    cases += [("kill", one, partial(_kill, stage, releases, one, number)) for number, one in enumerate(kills(SEED), 10)]
    for kind, name, work in cases[half :: len(HALVES)]:
        case(kind, name, work)
    for fault in faults(SEED + half, calls, all_calls):
        if time.monotonic() - began > MINUTES * 60:
            break
        case("fault", fault, lambda fault=fault: _fail(stage, *releases["sound"], fault))
    assert [row for row in rows if row[3]] == []


def _begin(stage, releases):
    """Put right whatever the case before has left, so that one failure does not become many."""
    stage.run("reap", expected=None)
    if stage.view()["state"] not in ENDS:
        stage.run("rollback", *REASON, expected=None)
    for digest, _ in releases.values():
        stage.begin_again(digest)


def _calls(stage, digest, source):
    """What one undisturbed promotion calls, and how often: the releaser, and everybody."""
    stage.cloud.run("localcloud", "fault", "clear")
    assert stage.promote(digest, source).wait(timeout=RUN_S) == 0
    counts = [
        json.loads(stage.cloud.run("localcloud", "fault", "calls", "--json", *caller).stdout)["calls"]
        for caller in (["--caller", "app/release"], [])
    ]
    # Probes and users are no calls of a promotion's own, and what nobody calls twice is hit by other kinds.
    stage.begin_again(digest)
    return counts


def _kill(stage, releases, dying: Kill, number):
    return killed(stage, *releases["broken" if dying.state == "ROLLING_BACK" else "sound"], dying, number)


def _zombie(stage, digest, source, hung: Zombie, number):
    run = stage.promote(digest, source, "runner-1", **job(number, "deploy"))
    stage.until(lambda: stage.reached(digest, hung.state), hung.state, run)
    time.sleep(hung.after_s)
    releaser = psutil.Process(run.pid)
    releaser.suspend()
    try:
        time.sleep(SILENCE_S + 5)  # GitHub takes longer to give a runner up: its engine is dead by then
        where = (stage.view()["attempt"] or {}).get("state")
        ended = rollback_job(stage, source, number)
        assert ended.exit_code == 0, f"the job ended with {ended.exit_code}: {ended.stdout} {ended.stderr}"
        told = stage.view()
    finally:
        releaser.resume()
    code = run.wait(timeout=RUN_S)
    assert (code, stage.view()) == (6, told)
    return f"hung in {where}, exit code 6, {told['state']}"


def _lock(stage, digest, source, body):
    bucket, folder = state_place("prod")
    key = f"{folder}/.pulumi/locks/organization/{PROJECT}/prod/foreign.json"
    stage.s3.put_object(Bucket=bucket, Key=key, Body=body)
    try:
        code = stage.promote(digest, source).wait(timeout=RUN_S)
        kept = stage.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    finally:
        stage.s3.delete_object(Bucket=bucket, Key=key)
    assert (code, kept) == (3, body)
    return f"exit code 3, {stage.view()['state']}"


def _fail(stage, digest, source, fault: Fault):
    stage.cloud.run("localcloud", "fault", "add", *fault.options())
    run = stage.promote(digest, source)
    code = run.wait(timeout=RUN_S)
    struck = sum(
        rule["struck"] for rule in json.loads(stage.cloud.run("localcloud", "fault", "list", "--json").stdout)["faults"]
    )
    stage.cloud.run("localcloud", "fault", "clear")
    log = (source.parent / "promote.log").read_text()
    assert "this is a bug" not in log[-20_000:], f"exit code {code}: a traceback in the log"
    first = stage.view()["state"]
    if code not in {0, 3, 4}:
        stage.run("rollback", *REASON, expected=None)
        stage.run("reap", expected=None)
    (source.parent / "promote.log").unlink()
    return f"struck {struck}, exit code {code}, {first}" + ("" if first in ENDS else f" then {stage.view()['state']}")


def _two(stage, digest, source):
    runs = [stage.promote(digest, source) for _ in range(2)]
    codes = Counter(run.wait(timeout=RUN_S) for run in runs)
    entries = [entry["state"] for entry in stage.run("explain", digest, "--json").json()["entries"]]
    assert codes[0] >= 1, codes
    assert set(codes) <= {0, 1, 3}, codes
    return f"exit codes {sorted(codes.elements())}, newest entry {entries[-1]}"


def _write(parts):
    rows = [row for part in parts for row in part[0]]
    seconds, (_, _, calls, all_calls) = max(part[1] for part in parts), parts[0]
    counts, failures = Counter(row[0] for row in rows), [row for row in rows if row[3]]
    now = datetime.now(UTC)
    machine = f"{psutil.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("pulumi", "pulumi-aws", "boto3", "moto"))
    lines = [
        "# Soak: kills and faults on the real engine",
        "",
        f"Last result of `make soak` (SOAK_MINUTES={MINUTES:g}, SOAK_SEED={SEED}), {now:%Y-%m-%d %H:%M} UTC, "
        f"at commit {head(ROOT)[:12]}:",
        "",
        f"{machine}; Python {platform.python_version()}, {versions}.",
        "",
        f"{len(rows)} cases in {seconds / 60:.0f} min: "
        f"{', '.join(f'{number} {kind}' for kind, number in counts.items())}; {len(failures)} failures. "
        "Production must rest on a confirmed release after every case, proven by reading the cloud.",
        "",
        f"One promotion makes {sum(calls.values())} calls of {len(calls)} operations by the releaser, "
        f"and {sum(all_calls.values())} of {len(all_calls)} with the engine and the functions. "
        "Which of them fail, and how, is drawn by the seed until the time is over.",
        "",
        "| case | what | how it ended | s |",
        "| --- | --- | --- | --- |",
        *(
            f"| {kind} | {name} | {('**FAILED** ' + failure.replace('|', '/')) if failure else said} | {took:.0f} |"
            for kind, name, said, failure, took in rows
        ),
    ]
    RESULT.write_text("\n".join(lines) + "\n")
