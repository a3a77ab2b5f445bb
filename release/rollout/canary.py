"""The canary: everything that a release must show before it is confirmed, step by step, each with its verdicts.

Dark, the candidate is asked directly. At 10 % (where Lambda can share traffic) and at 100 % it is watched. Every
verdict goes to `record`. A `fail` ends the canary at once. What is `inconclusive` is taken exactly once more, in full,
and what is still inconclusive then ends it too, unless a person has given a reason to accept that
(`accept_inconclusive`); no reason makes a `fail` pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from components.naming import CANDIDATE, LIVE
from components.service.functions import WITH_URL
from components.service.release import CANARY_WEIGHT
from release.analysis.probes import Probes, questions, scheduled_runs
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse, worst
from release.analysis.watch import AlarmWatch, CanaryHealth, LiveHealth, VersionCounts, watch
from release.artifacts.manifest import PackageEntry
from release.console import Console
from release.context import Context
from release.errors import ReleaseError
from release.ledger.lifecycle import DeployedFunction, Deployment, ReleaseId

Record = Callable[[Verdict], None]

# AWS, "Configure Lambda function aliases": versions that share an alias's traffic must have both the same.
_SAME: Final = {"Role": "role", "DeadLetterConfig": "dead-letter configuration"}


class CanaryFailed(ReleaseError):  # noqa: N818 -- an outcome, like those in errors.py
    """A verdict that does not let the release go on."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict), next_step="find the cause in the samples of the verdict: release explain")
        self.verdict = verdict


def analyse_dark(
    context: Context,
    release: ReleaseId,
    manifest_functions: Mapping[str, PackageEntry],
    record: Record,
    *,
    accept_inconclusive: str = "",
) -> None:
    """Judge the candidate, which no user reaches: its code, the probe table, the sample.

    Raises:
        CanaryFailed: A verdict does not let it go on.
    """
    expected = {name: entry.code_sha256 for name, entry in manifest_functions.items()}
    steps = _Steps(context.console, record, accept_inconclusive)
    probes = _probes(context, release)
    rows = [row for row in questions(release) if row.function in manifest_functions]
    with context.console.step("judging the candidate in the dark: code, answers, keys"):
        steps.take(partial(_same_code, context, expected, CANDIDATE))
        unasked = sorted(set(manifest_functions) - {row.function for row in rows})
        if unasked:
            why = f"components/service/functions.py has no question for {', '.join(unasked)}"
            steps.final(Verdict("probe table", Outcome.INCONCLUSIVE, "every function is asked", why))
        for row in rows:
            steps.take(partial(probes.answer, row, CANDIDATE))
    if not _with_url(manifest_functions):
        return
    with context.console.step(f"judging the candidate in the dark: {context.settings.sample} requests"):
        key = context.aws.api_key(context.names.dashboard_key_secret)
        steps.take(partial(probes.sample, key))


def weights_apply(context: Context, stable: Mapping[str, str], functions: Iterable[str]) -> tuple[bool, str]:
    """Whether `live` can send a tenth of its calls to the candidate, and if not, why.

    Raises:
        ReleaseError: AWS does not say what is deployed.
    """
    urls = _with_url(functions)
    if not urls:
        return False, "no function has a URL"
    without = [name for name in urls if name not in stable]
    if without:
        return False, f"no stable version of {', '.join(without)} to share traffic with"
    changed = False
    for name in urls:
        old, new = context.traffic.deployed(name, stable[name]), context.traffic.deployed(name, CANDIDATE)
        for key, called in _SAME.items():
            if old.configuration.get(key) != new.configuration.get(key):
                return False, f"{name} gets another {called}, and versions that share traffic must have the same"
        changed = changed or old.version != new.version
    return (True, "") if changed else (False, f"{', '.join(urls)} did not change: there is nothing to share")


def watch_weighted(
    context: Context,
    release: ReleaseId,
    confirmed: Deployment,
    outputs: Mapping[str, Any],
    record: Record,
    *,
    accept_inconclusive: str = "",
) -> None:
    """Watch the release while it answers a tenth of the calls: health, the alarms that judge, its own counts.

    Raises:
        CanaryFailed: A verdict does not let it go on.
        ReleaseError: AWS does not say which version is the candidate.
    """
    steps = _Steps(context.console, record, accept_inconclusive)
    settings, clock, url = context.settings, context.clock, _url(outputs, steps)
    shared = dict(_shared(context, confirmed))
    since = clock.now()
    steps.take(partial(_weights, context, confirmed, shared))

    def window() -> list[Verdict]:
        looks = [
            CanaryHealth(url, release, confirmed.release, settings),
            AlarmWatch(context.aws.alarms, outputs.get("alarms") or [], settings, clock),
            *(
                VersionCounts(
                    context.aws.alarms, context.names.function(name), candidate.version, settings, clock, since=since
                )
                for name, candidate in shared.items()
            ),
        ]
        return watch(looks, settings.watch_s, settings, clock, context.console, patient=steps.accepting)

    with context.console.step(
        _title(context, "a tenth of the traffic on it: health, alarms, counts", settings.watch_s)
    ):
        steps.take(window)
        # Somebody may have taken the weights off meanwhile: then the window has seen only a part of it.
        steps.take(partial(_weights, context, confirmed, shared))


def watch_live(
    context: Context,
    release: ReleaseId,
    outputs: Mapping[str, Any],
    record: Record,
    *,
    long: bool,
    accept_inconclusive: str = "",
) -> None:
    """Watch the release while it answers everybody: code of `live`, one run of the schedule, health and alarms.

    Args:
        context: The environment.
        release: The release that `live` serves.
        outputs: Those of its stack.
        record: Is told every verdict.
        long: Whether this is the first that users see of it: then the window is the whole, longer one.
        accept_inconclusive: Why a verdict that could not be reached may count as passed.

    Raises:
        CanaryFailed: A verdict does not let it go on.
        ReleaseError: The registry or AWS does not answer.
    """
    steps = _Steps(context.console, record, accept_inconclusive)
    settings, clock, url = context.settings, context.clock, _url(outputs, steps)
    seconds = settings.watch_s * settings.watch_long_factor if long else settings.last_look_s
    packages = context.releases.hand_over(release)["functions"]
    expected = {name: package["code_sha256"] for name, package in packages.items()}
    steps.take(partial(_same_code, context, expected, LIVE))

    def window() -> list[Verdict]:
        looks = [
            LiveHealth(url, release, settings, clock),
            AlarmWatch(context.aws.alarms, outputs.get("alarms") or [], settings, clock),
        ]
        return watch(looks, seconds, settings, clock, context.console, patient=steps.accepting)

    with context.console.step(_title(context, "all traffic on it: health, alarms, one run of the schedule", seconds)):
        for run in scheduled_runs(release):  # first, so that what it breaks still shows within the window
            if run.function in expected:
                steps.take(partial(_probes(context, release).answer, run, LIVE))
        steps.take(window)


class _Steps:
    """Takes one step after the other, and stops at the first that does not let the release go on."""

    def __init__(self, console: Console, record: Record, accept_inconclusive: str) -> None:
        self._console = console
        self._tell = record
        self._accepted = accept_inconclusive.strip()

    @property
    def accepting(self) -> bool:
        """Whether what is inconclusive will be accepted: all the more must everything else be looked at to the end."""
        return bool(self._accepted)

    def take(self, step: Callable[[], Verdict | Sequence[Verdict]]) -> None:
        """Take a step; once more when it is inconclusive."""
        verdicts = _all(step())
        if worst(verdict.outcome for verdict in verdicts) is Outcome.INCONCLUSIVE:
            for verdict in verdicts:
                self._record(verdict.noting(extended="taken once more"))
            self._console.detail("inconclusive: taken once more")
            verdicts = _all(step())
        self.final(*verdicts)

    def final(self, *verdicts: Verdict) -> None:
        """Record verdicts that nothing is going to change any more, and go on only if they let the release go on."""
        outcome = worst(verdict.outcome for verdict in verdicts)
        accepted = outcome is Outcome.INCONCLUSIVE and self.accepting
        for verdict in verdicts:
            mark = accepted and verdict.outcome is Outcome.INCONCLUSIVE
            self._record(verdict.noting(accepted=self._accepted) if mark else verdict)
        if outcome is not Outcome.PASS and not accepted:
            raise CanaryFailed(next(verdict for verdict in verdicts if verdict.outcome is outcome))

    def _record(self, verdict: Verdict) -> None:
        self._console.detail(str(verdict))
        self._tell(verdict)


def _all(verdicts: Verdict | Sequence[Verdict]) -> Sequence[Verdict]:
    return [verdicts] if isinstance(verdicts, Verdict) else verdicts


def _with_url(functions: Iterable[str]) -> list[str]:
    return sorted(set(WITH_URL) & set(functions))


def _probes(context: Context, release: ReleaseId) -> Probes:
    return Probes(context.aws.functions, context.names, release, context.settings, context.console)


def _url(outputs: Mapping[str, Any], steps: _Steps) -> str:
    url = outputs.get("dashboard_url")
    if not url:
        verdict = Verdict(
            "health", Outcome.FAIL, "users reach the release", "the stack has no output dashboard_url to watch it by"
        )
        steps.final(verdict)
    return str(url)


def _title(context: Context, what: str, seconds: float) -> str:
    scale = context.clock.scale
    scaled = "" if scale == 1 else f" ({seconds / scale:.0f} s at x{scale:g})"
    return f"watching it for {seconds:.0f} s{scaled}, {what}"


def _same_code(context: Context, expected: Mapping[str, str], alias: str) -> Verdict:
    """Whether an alias of every function serves the code that was built."""

    def look(function: str, code_sha256: str) -> Sample:
        try:
            deployed = context.traffic.deployed(function, alias).code_sha256
        except ReleaseError as error:
            taken = Taken.WRONG if _is_missing(error) else Taken.UNMEASURED
            return Sample(function, taken, f"{error}: {error.why}")
        right = deployed == code_sha256
        said = "" if right else f"{function} has code {deployed}, built was {code_sha256}"
        return Sample(function, Taken.RIGHT if right else Taken.WRONG, said)

    samples = [look(function, code_sha256) for function, code_sha256 in sorted(expected.items())]
    return analyse(f"code of {alias}", samples, wanted=len(samples), wrong_limit=1, unmeasured_limit=1)


def _is_missing(error: ReleaseError) -> bool:
    """Whether AWS did answer: there is no such function or alias."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "ResourceNotFoundException"


def _shared(context: Context, confirmed: Deployment) -> Iterator[tuple[str, DeployedFunction]]:
    """The functions whose traffic is shared, with their candidates."""
    for name in _with_url(confirmed.functions):
        candidate = context.traffic.deployed(name, CANDIDATE)
        if candidate.version != confirmed.stable[name]:
            yield name, candidate


def _weights(context: Context, confirmed: Deployment, shared: Mapping[str, DeployedFunction]) -> Verdict:
    """Whether `live` sends a tenth to the candidate and all else to the stable version."""

    def look(name: str, candidate: DeployedFunction) -> Sample:
        try:
            live = context.traffic.alias(name)
        except ReleaseError as error:
            return Sample(name, Taken.UNMEASURED, f"{error}: {error.why}")
        wanted = (confirmed.stable[name], {candidate.version: CANARY_WEIGHT})
        if live is not None and (live.version, live.weights) == wanted:
            return Sample(name, Taken.RIGHT)
        served = f"{live.version} and {live.weights}" if live else "nothing"
        return Sample(name, Taken.WRONG, f"live of {name} serves {served}, not {wanted[0]} and {wanted[1]}")

    samples = [look(name, candidate) for name, candidate in sorted(shared.items())]
    return analyse("weights of live", samples, wanted=len(samples), wrong_limit=1, unmeasured_limit=1)
