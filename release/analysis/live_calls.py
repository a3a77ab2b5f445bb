"""What calls `live` beside people: a run of each schedule, a message to the topic, and questions of the table."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE
from components.service.functions import FUNCTIONS, FunctionSpec, Trigger
from release.analysis.answers import AnswerKind
from release.analysis.probes import TAKEN, ProbeRequest, Probes, live_questions, probe_event, scheduled_run
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse
from release.analysis.watch import Watcher
from release.clock import Clock
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings

_LEAST_S: Final = 20.0
"""An article is given so long to be analyzed, however fast the clock is (real): functions run no faster for it."""


class LiveCalls(Watcher):
    """Calls each function once, as its trigger does; only a call that could not be made is made again.

    What a schedule calls is judged by its answer. Nobody sees the answer to a message: that the function was called,
    and did not fail, shows in its counts. The questions to `live` are repeated until they are answered right: what they
    ask for may take a while. What is not right within the length of a watch was not shown: inconclusive.

    Args:
        probes: Asks functions.
        topics: The client of SNS.
        topic: ARN of the topic that carries new items.
        release: The release.
        functions: The functions of the release.
        settings: The limits.
        clock: The clock.
        since: When calls begin to count (counts.py): nothing is called before.
    """

    def __init__(
        self,
        *,
        probes: Probes,
        topics: Any,
        topic: str,
        release: ReleaseId,
        functions: Collection[str],
        settings: ReleaseSettings,
        clock: Clock,
        since: datetime,
    ) -> None:
        super().__init__(settings.watch_unmeasured_limit)
        self._probes, self._topics, self._topic = probes, topics, topic
        self._release, self._clock, self._since = release, clock, since
        specs = [spec for spec in FUNCTIONS if spec.key in functions]
        self._scheduled = [spec for spec in specs if spec.trigger is Trigger.SCHEDULE]
        self._listening = [spec for spec in specs if spec.trigger is Trigger.TOPIC]
        self._questions = [request for spec in specs for request in live_questions(spec, release)]
        self._patience_s = max(settings.watch_s, _LEAST_S * clock.scale)
        self._samples: dict[str, Sample] = {}
        self._asked_since: float | None = None
        self.answered: dict[str, list[datetime]] = {spec.key: [] for spec in (*self._scheduled, *self._listening)}
        """When each function has answered, or was sent its message."""

    def take(self) -> None:
        """Call what was not called yet."""
        if self._clock.now() < self._since:
            return
        for spec in self._scheduled:
            if not self.answered[spec.key]:
                self._take(self._run(spec), [spec])
        if self._listening and not self.answered[self._listening[0].key]:
            self._take(self._send(self._listening[0]), self._listening)
        self._ask()
        unmeasured = any(sample.taken is Taken.UNMEASURED for sample in self._samples.values())
        self.silent = self.silent + 1 if unmeasured else 0

    @property
    def done(self) -> bool:
        """Whether all were called."""
        return all(self.answered.values()) and not self._questions

    def verdict(self) -> Verdict:
        """Return what the calls brought: one failure is enough."""
        subject, samples = (
            "a run of each schedule, a message to the topic, questions to live",
            list(self._samples.values()),
        )
        failed = any(sample.taken is Taken.WRONG for sample in samples)
        if not failed and (self._questions or len(samples) < len(self._scheduled) + bool(self._listening)):
            return Verdict(subject, Outcome.INCONCLUSIVE, "each is called once", "not called yet")
        if not samples:
            return Verdict(subject, Outcome.PASS, "each is called once", "no function has a schedule or a topic")
        return analyse(subject, samples, wanted=len(samples), wrong_limit=1, unmeasured_limit=1)

    def _take(self, sample: Sample, called: Collection[FunctionSpec]) -> None:
        self._samples[sample.name] = sample
        if sample.taken is not Taken.UNMEASURED:
            for spec in called:
                self.answered[spec.key].append(self._clock.now())

    def _ask(self) -> None:
        """Ask what was not answered right yet."""
        if self._asked_since is None:
            self._asked_since = self._clock.monotonic()
        over = self._clock.elapsed(self._asked_since) >= self._patience_s
        for request in list(self._questions):
            answer = self._probes.ask(request, LIVE)
            right = answer.case.kind is AnswerKind.SUCCESS
            if right or over:
                name = f"{request.function}: {request.probe.name}"
                taken = Taken.RIGHT if right else Taken.UNMEASURED
                self._samples[name] = Sample(name, taken, answer.said, answer.ms)
                self._questions.remove(request)

    def _run(self, spec: FunctionSpec) -> Sample:
        request: ProbeRequest = scheduled_run(spec, self._release)
        answer = self._probes.ask(request, LIVE)
        return Sample(f"{spec.key}: {request.probe.name}", TAKEN[answer.case.kind], answer.said, answer.ms)

    def _send(self, spec: FunctionSpec) -> Sample:
        """Send the first function's probe to the topic: whoever listens gets it."""
        name = f"{spec.key}: a message to its topic"
        # The other end of the digest: the item of the probe in the dark exists already.
        message = probe_event(spec.probes[0], self._release.digest[-16:])
        try:
            self._topics.publish(TopicArn=self._topic, Message=json.dumps(message))
        except (ClientError, BotoCoreError) as error:
            return Sample(name, Taken.UNMEASURED, str(error))
        return Sample(name, Taken.RIGHT)
