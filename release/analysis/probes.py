"""Questions to the candidate, asked through the Invoke API: it has no URL, no schedule and no topic of its own.

One table row per question: which function, what event, what answer is right, and what the question may leave behind.
Ingestion and analysis mark what a probe makes (`probe`), keep it out of the API and let it expire in an hour.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle, islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import CANDIDATE, Names
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


@dataclass(frozen=True, slots=True)
class Probe:
    """One question."""

    function: str
    name: str
    event: dict[str, Any]
    wrong: Callable[[Any], str]
    """What is wrong with the answer; an empty string if nothing is."""
    writes: str = "nothing"


def url_event(path: str, headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> dict[str, Any]:
    """A request as a function URL hands it over (payload format 2.0)."""
    now = time.time()
    host = "candidate.probe.invalid"
    raw_query = "&".join(f"{name}={value}" for name, value in (query or {}).items())
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": {"host": host, "user-agent": "release-judge", "accept": "*/*", **(headers or {})},
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
        event["queryStringParameters"] = query
    return event


def what_is_wrong_with_health(status: int, body: Any, release: ReleaseId) -> str:
    """What a /health answer lacks to prove that `release` is up; an empty string if nothing."""
    if not isinstance(body, dict):
        return f"/health answered {status} without a JSON object"
    if body.get("digest") != release.digest:
        return f"another release answers: digest {str(body.get('digest'))[:12]}, not {release.digest[:12]}"
    if body.get("release") != release.sha:
        return f"another commit answers: {str(body.get('release'))[:12]}, not {release.sha[:12]}"
    if status != HTTPStatus.OK or body.get("status") != "ok":
        return f"/health answered {status}, status {body.get('status')!r}"
    return ""


def questions(release: ReleaseId) -> list[Probe]:
    """The table, at least one row for every function: each is asked once, and one wrong answer is enough."""
    wrong_key = {"authorization": f"Bearer wrong-{secrets.token_hex(8)}"}
    return [
        Probe("dashboard", "health", url_event("/health"), _health(release)),
        Probe("dashboard", "no key is refused", url_event("/api/items"), _status(HTTPStatus.UNAUTHORIZED)),
        Probe(
            "dashboard", "wrong key is refused", url_event("/api/items", wrong_key), _status(HTTPStatus.UNAUTHORIZED)
        ),
        Probe(
            "analysis",
            "scores an item",
            _announcement(release),
            _scores_it(release),
            "one probe item, gone in an hour",
        ),
        Probe(
            "ingestion",
            "reads the news",
            {"probe": True},
            _announces_nothing(release),
            "at most five probe items, gone in an hour; announces nothing",
        ),
    ]


def scheduled_run(release: ReleaseId) -> Probe:
    """One run as the schedule starts it, for real: what it stores and announces is what every run stores."""
    return Probe(
        "ingestion",
        "one run of the schedule",
        {"source": "release.analysis.watch"},
        _names_itself(release),
        "the news of now, as every run of the schedule",
    )


def sample_questions(release: ReleaseId, api_key: str) -> list[Probe]:
    """What the sample consists of, in turn."""
    key = {"authorization": f"Bearer {api_key}"}
    return [
        Probe("dashboard", "health", url_event("/health"), _health(release)),
        Probe("dashboard", "items", url_event("/api/items", key, {"limit": "5"}), _status(HTTPStatus.OK)),
        Probe("dashboard", "metrics", url_event("/api/metrics", key), _status(HTTPStatus.OK)),
    ]


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

    def answer(self, probe: Probe, qualifier: str) -> Verdict:
        """The verdict over one question: one wrong answer is enough."""
        sample = self.ask(probe, qualifier)
        return analyse(sample.name, [sample], wanted=1, wrong_limit=1, unmeasured_limit=1)

    def sample(self, api_key: str) -> Verdict:
        """The verdict over the sample; ends as soon as it is decided."""
        settings, samples = self._settings, []
        probes = islice(cycle(sample_questions(self._release, api_key)), settings.sample)
        said = time.monotonic()
        with ThreadPoolExecutor(settings.sample_workers) as pool:
            while True:
                batch = list(islice(probes, settings.sample_workers * 2))
                samples.extend(pool.map(lambda probe: self.ask(probe, CANDIDATE), batch))
                verdict = analyse_sample(samples, settings)
                numbers = verdict.numbers
                decided = verdict.outcome is Outcome.FAIL or numbers["unmeasured"] >= settings.unmeasured_limit
                if decided or len(samples) >= settings.sample:
                    return verdict
                if time.monotonic() - said > _SAY_EVERY_S:
                    said = time.monotonic()
                    self._console.detail(f"{len(samples)} of {settings.sample} requests, {numbers['wrong']} wrong")

    def ask(self, probe: Probe, qualifier: str) -> Sample:
        """One sample: the function's answer through an alias or a version."""
        began = time.monotonic()

        def sample(taken: Taken, said: str = "") -> Sample:
            return Sample(
                f"{probe.function}: {probe.name}", taken, said[:300], round((time.monotonic() - began) * 1000, 1)
            )

        try:
            answer = self._lambda.invoke(
                FunctionName=self._names.function(probe.function).function,
                Qualifier=qualifier,
                Payload=json.dumps(probe.event).encode(),
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
        wrong = probe.wrong(document)
        # Only the dashboard answers people; the others have the function's own time limit.
        if not wrong and took > self._settings.answer_limit_s and probe.function == "dashboard":
            wrong = f"took {took:.1f} s, the limit is {self._settings.answer_limit_s:g} s"
        return sample(Taken.WRONG if wrong else Taken.RIGHT, wrong)


def _health(release: ReleaseId) -> Callable[[Any], str]:
    def wrong(answer: Any) -> str:
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return "no answer of a function URL"
        try:
            body = json.loads(answer.get("body") or "")
        except ValueError:
            body = None
        return what_is_wrong_with_health(answer["statusCode"], body, release)

    return wrong


def _status(expected: HTTPStatus) -> Callable[[Any], str]:
    def wrong(answer: Any) -> str:
        status = answer.get("statusCode") if isinstance(answer, dict) else None
        return "" if status == expected else f"answered {status}, not {expected.value}"

    return wrong


def _names_itself(release: ReleaseId) -> Callable[[Any], str]:
    def wrong(answer: Any) -> str:
        if not isinstance(answer, dict):
            return "answered no JSON object"
        if answer.get("digest") != release.digest or answer.get("release") != release.sha:
            return (
                f"another release answers: {str(answer.get('release'))[:12]}, digest {str(answer.get('digest'))[:12]}"
            )
        return ""

    return wrong


def _scores_it(release: ReleaseId) -> Callable[[Any], str]:
    def wrong(answer: Any) -> str:
        if why := _names_itself(release)(answer):
            return why
        said = [item.get("sentiment") for item in answer.get("items") or ()]
        return "" if said == ["positive"] else f"a good day was scored as {said}"

    return wrong


def _announces_nothing(release: ReleaseId) -> Callable[[Any], str]:
    def wrong(answer: Any) -> str:
        if why := _names_itself(release)(answer):
            return why
        return "" if answer.get("announced") == 0 else f"a probe announced {answer.get('announced')} items"

    return wrong


def _announcement(release: ReleaseId) -> dict[str, Any]:
    item = {
        "source_id": f"probe#release-{release.digest[:16]}",
        "timestamp": "1970-01-01T00:00:00Z",
        "tag": "probe",
        "title": "A good day",
        "text": "Everything works and everybody is happy.",
        "probe": True,
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "Sns": {"Type": "Notification", "Message": json.dumps(item)},
    }
    return {"Records": [record]}
