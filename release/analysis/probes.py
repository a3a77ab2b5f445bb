"""Questions to the candidate, asked through the Invoke API: it has no URL, no schedule and no topic of its own.

The questions are in the table of functions (components/service/functions.py), as data: event, right answer, and what a
question may leave behind. Functions mark what a probe makes (`probe`), keep it out of the API and let it expire in an
hour.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle, islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import CANDIDATE, Names
from components.service.functions import FUNCTIONS, FunctionSpec, Probe, Trigger
from release.analysis.statistics import limit_for
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse
from release.console import Console
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings

_SAY_EVERY_S: Final = 2.0
# Answers of AWS that say nothing about the code which was to be asked.
_AWS_IS_BUSY: Final = frozenset(
    {"TooManyRequestsException", "ServiceException", "ThrottlingException", "EC2ThrottledException", "InternalFailure"}
)


_SCHEDULED_RUN: Final = Probe(
    name="one run of the schedule",
    event={"source": "release.watch"},
    writes="what every run of the schedule writes",
)
"""Asked of `live`, as the schedule starts it: for real."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A question of the table of functions, as it is put to one release."""

    function: str
    probe: Probe
    release: ReleaseId
    event: dict[str, Any]

    def wrong(self, answer: Any) -> str:
        """Return what is wrong with the answer; an empty string if nothing is."""
        if not isinstance(answer, dict):
            return "answered no JSON object"
        if not self.probe.path:
            return _another_release(answer, self.release) or _unlike(answer, self.probe.answer)
        status = answer.get("statusCode")
        if not self.probe.answer:
            return "" if status == self.probe.status else f"answered {status}, not {self.probe.status}"
        body: Any = None
        with suppress(ValueError):
            body = json.loads(answer.get("body") or "")
        return what_is_wrong_with_health(status, body, self.release) or _unlike(body, self.probe.answer)


def url_event(path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
    """A request as a function URL hands it over (payload format 2.0)."""
    now = time.time()
    host = "candidate.probe.invalid"
    raw_query = "&".join(f"{name}={value}" for name, value in query.items())
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": {"host": host, "user-agent": "release-judge", "accept": "*/*", **headers},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "probe",
            "domainName": host,
            "domainPrefix": "candidate",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "release-judge",
            },
            "requestId": secrets.token_hex(16),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = dict(query)
    return event


def what_is_wrong_with_health(status: int | None, body: Any, release: ReleaseId) -> str:
    """What a /health answer lacks to prove that `release` is up; an empty string if nothing."""
    if not isinstance(body, dict):
        return f"/health answered {status} without a JSON object"
    if wrong := _another_release(body, release):
        return wrong
    if status != HTTPStatus.OK or body.get("status") != "ok":
        return f"/health answered {status}, status {body.get('status')!r}"
    return ""


def _another_release(answer: Mapping[str, Any], release: ReleaseId) -> str:
    if answer.get("digest") != release.digest:
        return f"another release answers: digest {str(answer.get('digest'))[:12]}, not {release.digest[:12]}"
    if answer.get("release") != release.sha:
        return f"another commit answers: {str(answer.get('release'))[:12]}, not {release.sha[:12]}"
    return ""


def _unlike(answer: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    wrong = [name for name, one in right.items() if not _holds(answer.get(name), one)]
    return "; ".join(f"{name} is {answer.get(name)!r}, not {right[name]!r}" for name in wrong)


def _holds(found: Any, right: Any) -> bool:
    """Whether an answer is right; objects in it may hold more than is asked for."""
    if isinstance(right, dict) and isinstance(found, dict):
        return all(_holds(found.get(name), one) for name, one in right.items())
    if isinstance(right, list) and isinstance(found, list):
        return len(found) == len(right) and all(map(_holds, found, right))
    return found == right


def questions(release: ReleaseId) -> list[ProbeRequest]:
    """The questions that are each asked once, from the end of the table, where the URLs are."""
    return [_request(spec, probe, release) for spec in reversed(FUNCTIONS) for probe in spec.probes]


def scheduled_runs(release: ReleaseId) -> list[ProbeRequest]:
    """One run of each function with a schedule: what it stores and announces is what every run stores."""
    return [_request(spec, _SCHEDULED_RUN, release) for spec in FUNCTIONS if spec.trigger is Trigger.SCHEDULE]


def sample_questions(release: ReleaseId, api_key: str) -> list[ProbeRequest]:
    """What the sample consists of, in turn."""
    return [_request(spec, probe, release, api_key) for spec in FUNCTIONS for probe in spec.sample]


def _request(spec: FunctionSpec, probe: Probe, release: ReleaseId, api_key: str = "") -> ProbeRequest:
    event = json.loads(json.dumps(probe.event).replace("{digest}", release.digest[:16]))
    if spec.trigger is Trigger.TOPIC:
        message = {"Type": "Notification", "Message": json.dumps(event)}
        event = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": message}]}
    elif spec.trigger is Trigger.URL:
        shown = {"none": "", "wrong": f"wrong-{secrets.token_hex(8)}", "right": api_key}[probe.key]
        event = url_event(probe.path, {"authorization": f"Bearer {shown}"} if shown else {}, probe.query)
    return ProbeRequest(spec.key, probe, release, event)


def error_limit(settings: ReleaseSettings) -> int:
    """Return the errors that make a sample `fail`: the setting, or the limit that fits the size of the sample.

    That is the smallest one which at most `false_alarms` of the healthy releases reach, whose requests fail at
    `base_error_rate`. At 800 requests it is 4: it finds 1 % errors in 96 % of cases, 5 % practically always.
    """
    return settings.sample_limit or limit_for(settings.sample, settings.base_error_rate, settings.false_alarms)


def analyse_sample(samples: Sequence[Sample], settings: ReleaseSettings) -> Verdict:
    """The verdict over the answers to `sample_questions` so far, by the rule that fits the size of the whole sample."""
    return analyse(
        "sample",
        samples,
        wanted=settings.sample - settings.unmeasured_limit + 1,
        wrong_limit=error_limit(settings),
        unmeasured_limit=settings.unmeasured_limit,
    )


class Probes:
    """Asks the candidate of one environment."""

    def __init__(
        self, functions: Any, names: Names, release: ReleaseId, settings: ReleaseSettings, console: Console
    ) -> None:
        self._lambda = functions
        self._names = names
        self._release = release
        self._settings = settings
        self._console = console

    def answer(self, request: ProbeRequest, qualifier: str) -> Verdict:
        """The verdict over one question: one wrong answer is enough."""
        sample = self.ask(request, qualifier)
        return analyse(sample.name, [sample], wanted=1, wrong_limit=1, unmeasured_limit=1)

    def sample(self, api_key: str) -> Verdict:
        """The verdict over the sample; ends as soon as it is decided."""
        settings, samples = self._settings, []
        requests = islice(cycle(sample_questions(self._release, api_key)), settings.sample)
        said = time.monotonic()
        with ThreadPoolExecutor(settings.sample_workers) as pool:
            while True:
                batch = list(islice(requests, settings.sample_workers * 2))
                samples.extend(pool.map(lambda request: self.ask(request, CANDIDATE), batch))
                verdict = analyse_sample(samples, settings)
                numbers = verdict.numbers
                decided = verdict.outcome is Outcome.FAIL or numbers["unmeasured"] >= settings.unmeasured_limit
                if decided or len(samples) >= settings.sample:
                    return verdict
                if time.monotonic() - said > _SAY_EVERY_S:
                    said = time.monotonic()
                    self._console.detail(f"{len(samples)} of {settings.sample} requests, {numbers['wrong']} wrong")

    def ask(self, request: ProbeRequest, qualifier: str) -> Sample:
        """One sample: the function's answer through an alias or a version."""
        began = time.monotonic()

        def sample(taken: Taken, said: str = "") -> Sample:
            return Sample(
                f"{request.function}: {request.probe.name}",
                taken,
                said[:300],
                round((time.monotonic() - began) * 1000, 1),
            )

        try:
            answer = self._lambda.invoke(
                FunctionName=self._names.function(request.function).function,
                Qualifier=qualifier,
                Payload=json.dumps(request.event).encode(),
            )
            body = answer["Payload"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return sample(Taken.UNMEASURED if code in _AWS_IS_BUSY else Taken.WRONG, str(error))
        except BotoCoreError as error:
            return sample(Taken.UNMEASURED, str(error))
        took = time.monotonic() - began
        try:
            document = json.loads(body or b"null")
        except ValueError:
            return sample(Taken.WRONG, "the answer is not JSON")
        if answer.get("FunctionError"):
            said = document if isinstance(document, dict) else {}
            return sample(Taken.WRONG, f"{said.get('errorType', 'error')}: {said.get('errorMessage', '')}")
        wrong = request.wrong(document)
        # People wait for a URL only; the others have the function's own time limit.
        if not wrong and took > self._settings.answer_limit_s and request.probe.path:
            wrong = f"took {took:.1f} s, the limit is {self._settings.answer_limit_s:g} s"
        return sample(Taken.WRONG if wrong else Taken.RIGHT, wrong)
