"""The canary: everything that a release must show before it is confirmed, step by step, each with its verdicts.

The dark candidate is asked directly. At 10 % (where Lambda can share traffic) and at 100 % it is watched. A `fail` ends
the canary at once. What is `inconclusive` is taken exactly once more, in full, and what is still inconclusive then ends
it too, unless a person has given a reason to accept that (`accept_inconclusive`); no reason makes a `fail` pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from components.naming import CANDIDATE, LIVE
from components.service.functions import FUNCTIONS, WITH_URL
from components.service.release import CANARY_WEIGHT
from release.analysis.alarms import AlarmWatch, look_at_alarms
from release.analysis.answers import AnswerKind, ProbeAnswer
from release.analysis.counts import Counts, period_of
from release.analysis.health import Health
from release.analysis.live_calls import LiveCalls
from release.analysis.probes import ProbeRequest, Probes, StableVersion, duel_questions, questions
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse, worst
from release.analysis.watch import Watcher, watch
from release.clients.aws import code_of
from release.context import Context
from release.errors import ReleaseError
from release.ledger.lifecycle import DeployedFunction, Deployment, ReleaseId, refuse_stopped

# AWS, "Configure Lambda function aliases": versions that share an alias's traffic must have both the same.
_SAME: Final = {"Role": "role", "DeadLetterConfig": "dead-letter configuration"}


class CanaryFailed(ReleaseError):  # noqa: N818 -- an outcome, like those in errors.py
    """A verdict that does not let the release go on."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict), next_step="find the cause in the samples of the verdict: release explain")
        self.verdict = verdict


class Canary:
    """The canary of one release.

    Each step raises `CanaryFailed`, `ReleaseError` where AWS does not answer, or `Refused` where a person has stopped
    the release.

    Args:
        context: The environment.
        release: The release.
        code: The digest of each function's code (base64), as it was built.
        record: Is told every verdict.
        accept_inconclusive: Why a verdict that could not be reached may count as passed.
    """

    def __init__(
        self,
        context: Context,
        release: ReleaseId,
        code: Mapping[str, str],
        record: Callable[[Verdict], None],
        accept_inconclusive: str = "",
    ) -> None:
        self._context = context
        self._release = release
        self._code = code
        self._tell = record
        self._accepted = accept_inconclusive.strip()
        self._probes = Probes(context.aws.functions, context.names, release, context.settings, context.console)

    def analyse_dark(self, confirmed: Deployment | None) -> None:
        """Analyse the candidate, which no user reaches: its code, the table of probes, a duel of each function."""
        context = self._context
        key = context.aws.api_key(context.names.dashboard_key_secret)
        rows = [row for row in questions(self._release, key) if row.function in self._code]
        with context.console.step("analysing the dark candidate: code, answers, keys"):
            self._take(lambda: self._same_code(CANDIDATE))
            specs = (spec for spec in FUNCTIONS if spec.key in self._code)
            # The questions of the duel first: a probe may ask what follows from one of them.
            asked = [row for spec in specs for row in duel_questions(spec, self._release, key)]
            right = self._settle([*asked, *rows])
            if unasked := sorted(set(self._code) - {row.function for row in rows}):
                why = f"components/service/functions.py has no question for {', '.join(unasked)}"
                self._conclude(Verdict("probe table", Outcome.INCONCLUSIVE, "every function is asked", why))
            for row in rows:
                first = right.get((row.function, row.probe.name))
                self._take(lambda row=row, first=first: self._probes.answer(row, CANDIDATE, first))
        stables: dict[str, StableVersion | None] = dict.fromkeys(self._code)
        if confirmed:
            stables |= {
                name: StableVersion(version, confirmed.release)
                for name, version in confirmed.stable.items()
                if name in stables
            }
        beside = ", ".join(f"{name} {stable.version if stable else 'alone'}" for name, stable in stables.items())
        with context.console.step(f"analysing the dark candidate beside the stable versions: {beside}"):
            self._take(lambda: self._probes.duels(stables, key))

    def _settle(self, rows: Sequence[ProbeRequest]) -> dict[tuple[str, str], ProbeAnswer]:
        """Ask until all is answered right, or until new rights must act.

        Returns the answers that were right at once, by function and question. Nobody judges the others.
        """
        clock, settings = self._context.clock, self._context.settings
        began, right = clock.monotonic(), None
        while rows and clock.elapsed(began) < settings.settle_s:
            asked = [(row, self._probes.ask(row, CANDIDATE)) for row in rows]
            rows = [row for row, answer in asked if answer.case.kind is not AnswerKind.SUCCESS]
            if right is None:
                right = {(row.function, row.probe.name): answer for row, answer in asked if row not in rows}
            if rows:
                clock.sleep(settings.watch_poll_s)
        return right or {}

    def why_not_weighted(self, stable: Mapping[str, str]) -> str:
        """Return why `live` cannot send 10 % of its calls to the candidate; empty when it can."""
        urls = _with_url(self._code)
        if not urls:
            return "no function has a URL"
        if without := [name for name in urls if name not in stable]:
            return f"no stable version of {', '.join(without)} to share traffic with"
        changed = False
        for name in urls:
            old, new = (self._context.traffic.deployed(name, at) for at in (stable[name], CANDIDATE))
            for key, called in _SAME.items():
                if old.configuration.get(key) != new.configuration.get(key):
                    return f"{name} gets another {called}, and versions that share traffic must have the same"
            changed = changed or old.version != new.version
        return "" if changed else f"{', '.join(urls)} did not change: there is nothing to share"

    def watch_weighted(self, confirmed: Deployment, outputs: Mapping[str, Any]) -> None:
        """Watch the release while it answers 10 % of the calls: health, the alarms, the calls of its own versions."""
        context = self._context
        url, since = self._url(outputs), period_of(context.clock.now(), context.clock)
        shared: dict[str, DeployedFunction] = {}
        for name in _with_url(confirmed.functions):
            candidate = context.traffic.deployed(name, CANDIDATE)
            if candidate.version != confirmed.stable[name]:
                shared[name] = candidate
        self._take(lambda: self._weights(confirmed, shared))

        def looks() -> list[Watcher]:
            health = self._health(url, confirmed.release)
            return [health, *(self._counts(name, since, health.answered, to.version) for name, to in shared.items())]

        self._watch("10 % of the traffic on it: health, alarms, counts", outputs, looks)
        # Somebody may have taken the weights off meanwhile: then the window has seen only a part of it.
        self._take(lambda: self._weights(confirmed, shared))

    def watch_live(self, outputs: Mapping[str, Any]) -> None:
        """Watch the release while it answers everybody: code of `live`, what calls it, health, alarms, counts."""
        context = self._context
        url = self._url(outputs)
        self._take(lambda: self._same_code(LIVE))

        def looks() -> list[Watcher]:
            # The stable versions' last calls are in the period in which `live` moved.
            since = period_of(context.clock.now(), context.clock, later=1)
            health = self._health(url)
            calls = LiveCalls(
                probes=self._probes,
                topics=context.aws.topics,
                topic=str(outputs.get("new_items_topic") or ""),
                release=self._release,
                functions=self._code,
                settings=context.settings,
                clock=context.clock,
                since=since,
            )
            answered = dict.fromkeys(self._code, health.answered) | calls.answered
            return [health, calls, *(self._counts(name, since, answered[name]) for name in sorted(self._code))]

        self._watch("all traffic on it: health, alarms, counts, a run of the schedule, a message", outputs, looks)

    def look_again(self, outputs: Mapping[str, Any]) -> None:
        """Look at the alarms once more, after all that has watched them until now has ended."""
        self._take(lambda: look_at_alarms(self._context.aws.alarms, outputs.get("alarms") or [], self._context.clock))

    def _health(self, url: str, stable: ReleaseId | None = None) -> Health:
        return Health(url, self._release, self._context.settings, self._context.clock, stable)

    def _counts(self, function: str, since: datetime, answered: Sequence[datetime], version: str = "") -> Counts:
        context = self._context
        return Counts(
            context.aws.alarms,
            context.names.function(function),
            context.settings,
            context.clock,
            since=since,
            answered=answered,
            version=version,
        )

    def _watch(self, what: str, outputs: Mapping[str, Any], looks: Callable[[], list[Watcher]]) -> None:
        context, settings, clock = self._context, self._context.settings, self._context.clock

        def window() -> list[Verdict]:
            alarms = AlarmWatch(context.aws.alarms, outputs.get("alarms") or [], settings, clock)
            # What is inconclusive will be accepted: all the more must everything else be watched to the end.
            patient = bool(self._accepted)
            every = [*looks(), alarms]
            return watch(every, settings, clock, context.console, patient=patient, between=self._refuse_stopped)

        seconds = settings.watch_s
        scaled = "" if clock.scale == 1 else f" ({seconds / clock.scale:.0f} s at x{clock.scale:g})"
        with context.console.step(f"watching it for some {seconds:.0f} s{scaled}, {what}"):
            self._take(window)

    def _take(self, step: Callable[[], Verdict | Sequence[Verdict]]) -> None:
        """Take a step; once more when it is inconclusive. Stop at the first that does not let the release go on."""
        self._refuse_stopped()
        verdicts = _all(step())
        if worst(verdict.outcome for verdict in verdicts) is Outcome.INCONCLUSIVE:
            for verdict in verdicts:
                self._record(verdict.noting(extended="taken once more"))
            self._context.console.detail("inconclusive: taken once more")
            verdicts = _all(step())
        self._conclude(*verdicts)

    def _refuse_stopped(self) -> None:
        """Look whether a person has frozen the environment, or blocked the release, since the last look.

        A ledger that cannot be read is read at the next look: no state can be entered, and nothing be confirmed,
        without it.
        """
        try:
            view = self._context.ledger.view()
        except ReleaseError:
            return
        refuse_stopped(view)

    def _conclude(self, *verdicts: Verdict) -> None:
        """Record verdicts that nothing is going to change any more, and go on only if they let the release go on."""
        outcome = worst(verdict.outcome for verdict in verdicts)
        accepted = outcome is Outcome.INCONCLUSIVE and bool(self._accepted)
        for verdict in verdicts:
            mark = accepted and verdict.outcome is Outcome.INCONCLUSIVE
            self._record(verdict.noting(accepted=self._accepted) if mark else verdict)
        if outcome is not Outcome.PASS and not accepted:
            raise CanaryFailed(next(verdict for verdict in verdicts if verdict.outcome is outcome))

    def _record(self, verdict: Verdict) -> None:
        self._context.console.detail(str(verdict))
        self._tell(verdict)

    def _url(self, outputs: Mapping[str, Any]) -> str:
        url = outputs.get("dashboard_url")
        if not url:
            why = "the stack has no output dashboard_url to watch it by"
            self._conclude(Verdict("health", Outcome.FAIL, "users reach the release", why))
        return str(url)

    def _same_code(self, alias: str) -> Verdict:
        """Return whether an alias of every function serves the code that was built."""

        def look(function: str, built: str) -> str:
            deployed = self._context.traffic.deployed(function, alias).code_sha256
            return "" if deployed == built else f"{function} has code {deployed}, built was {built}"

        return _each(f"code of {alias}", self._code, look)

    def _weights(self, confirmed: Deployment, shared: Mapping[str, DeployedFunction]) -> Verdict:
        """Return whether `live` sends 10 % to the candidate and all else to the stable version."""

        def look(name: str, candidate: DeployedFunction) -> str:
            live = self._context.traffic.alias(name)
            wanted = (confirmed.stable[name], {candidate.version: CANARY_WEIGHT})
            if live is not None and (live.version, live.weights) == wanted:
                return ""
            served = f"{live.version} and {live.weights}" if live else "nothing"
            return f"live of {name} serves {served}, not {wanted[0]} and {wanted[1]}"

        return _each("weights of live", shared, look)


def _each(subject: str, functions: Mapping[str, Any], look: Callable[[str, Any], str]) -> Verdict:
    """Return the verdict over a look at each function; `look` says what is wrong with it, if anything."""
    samples = []
    for function, expected in sorted(functions.items()):
        try:
            wrong = look(function, expected)
        except ReleaseError as error:
            # AWS did answer where it says that there is no such function or alias.
            missing = error.__cause__ and code_of(error.__cause__) == "ResourceNotFoundException"
            taken = Taken.WRONG if missing else Taken.UNMEASURED
            samples.append(Sample(function, taken, f"{error}: {error.why}"))
        else:
            samples.append(Sample(function, Taken.WRONG if wrong else Taken.RIGHT, wrong))
    return analyse(subject, samples, wanted=len(samples), wrong_limit=1, unmeasured_limit=1)


def _all(verdicts: Verdict | Sequence[Verdict]) -> Sequence[Verdict]:
    return [verdicts] if isinstance(verdicts, Verdict) else verdicts


def _with_url(functions: Iterable[str]) -> list[str]:
    return sorted(set(WITH_URL) & set(functions))
