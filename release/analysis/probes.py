"""Questions to the candidate, asked through the Invoke API: it has no URL, no schedule and no topic of its own.

The questions are in the table of functions (components/service/functions.py), as data: event, right answer, and what a
question may leave behind. Functions mark what a probe makes (`probe`), keep it out of the API and let it expire in an
hour.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import cycle, islice
from threading import Event
from typing import Any, Final
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import CANDIDATE, Names
from components.service.functions import ARTICLE_URL, FUNCTIONS, FunctionSpec, Probe, Trigger
from release.analysis.answers import AnswerCase, AnswerKind, ProbeAnswer, case_of_invocation, case_of_refusal
from release.analysis.duel import Duel, DuelRule
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse
from release.clients.aws import code_of
from release.console import Console
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings

LATEST: Final = "$LATEST"
"""What Lambda calls the code that no version holds."""
_SAY_EVERY_S: Final = 2.0
_EXCUSE: Final = 2
"""Right answers in a row that excuse a failed one."""
TAKEN: Final = {
    AnswerKind.SUCCESS: Taken.RIGHT,
    AnswerKind.FAILURE: Taken.WRONG,
    AnswerKind.ERROR: Taken.UNMEASURED,
}

_SCHEDULED_RUN: Final = Probe(
    name="one run of the schedule",
    event={"source": "release.watch"},
    writes="what every run of the schedule writes",
)
"""Asked of `live`, as the schedule starts it: for real."""


@dataclass(frozen=True, slots=True)
class StableVersion:
    """The version of a function that is recorded as good, and the release that made it."""

    version: str
    release: ReleaseId


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A question of the table of functions, as it is put to one release."""

    function: str
    probe: Probe
    release: ReleaseId
    event: dict[str, Any]

    def wrong(self, answer: Any) -> str:
        """Return what is wrong with the answer; an empty string if nothing is."""
        if self.probe.error:
            return f"answered instead of raising {self.probe.error}"
        if not isinstance(answer, dict):
            return "answered no JSON object"
        if not self.probe.path:
            return _another_release(answer, self.release) or _unlike(answer, self.probe.answer)
        status = answer.get("statusCode")
        text = answer.get("body") or ""
        if not self.probe.answer:
            if status != self.probe.status:
                return f"answered {status}, not {self.probe.status}"
            return "" if self.probe.text in text else f"the answer lacks {self.probe.text}"
        body: Any = None
        with suppress(ValueError):
            body = json.loads(text)
        return what_is_wrong_with_health(status, body, self.release) or _unlike(body, self.probe.answer)


def url_event(path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
    """A request as a function URL hands it over (payload format 2.0)."""
    now = time.time()
    host = "candidate.probe.invalid"
    raw_query = urlencode(query)
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
    if body.get("version") == LATEST:
        return f"/health is answered by {LATEST}, which no alias serves"
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


def questions(release: ReleaseId, api_key: str) -> list[ProbeRequest]:
    """The questions that are each asked once; a URL comes first, whose health names the release that answers."""
    functions = [spec for trigger in reversed(Trigger) for spec in FUNCTIONS if spec.trigger is trigger]
    return [_request(spec, probe, release, api_key) for spec in functions for probe in spec.probes]


def duel_questions(spec: FunctionSpec, release: ReleaseId, api_key: str) -> list[ProbeRequest]:
    """What a function is asked in its duel, in turn; `api_key` is for those that carry the right key."""
    return [_request(spec, probe, release, api_key) for probe in spec.sample]


def live_questions(spec: FunctionSpec, release: ReleaseId) -> list[ProbeRequest]:
    """What `live` of a function is asked once it serves everybody."""
    return [_request(spec, probe, release) for probe in spec.live]


def scheduled_run(spec: FunctionSpec, release: ReleaseId) -> ProbeRequest:
    """One run of a function with a schedule: what it stores and announces is what every run stores."""
    return _request(spec, _SCHEDULED_RUN, release)


def probe_event(probe: Probe, marker: str) -> dict[str, Any]:
    """The event of a question, with what tells its data from those of others in it."""
    return filled(probe.event, marker)


def filled(document: Mapping[str, Any], marker: str) -> dict[str, Any]:
    """An event or an answer of the table of functions, with what its names in braces stand for."""
    article = hashlib.sha256(ARTICLE_URL.replace("{digest}", marker).encode()).hexdigest()[:32]
    text = json.dumps(document)
    for name, value in (("digest", marker), ("article", article), ("year", str(datetime.now(UTC).year))):
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def _request(spec: FunctionSpec, probe: Probe, release: ReleaseId, api_key: str = "") -> ProbeRequest:
    marker = release.digest[:16]
    event = probe_event(probe, marker)
    if spec.trigger is Trigger.TOPIC:
        message = {"Type": "Notification", "Message": json.dumps(event)}
        event = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": message}]}
    elif spec.trigger is Trigger.URL:
        shown = _shown_key(probe, api_key)
        event = url_event(probe.path, {"authorization": f"Bearer {shown}"} if shown else {}, probe.query)
    return ProbeRequest(spec.key, replace(probe, answer=filled(probe.answer, marker)), release, event)


def _shown_key(probe: Probe, api_key: str) -> str:
    """The key that a question shows: the right one, or one that must be refused."""
    match probe.key:
        case "none":
            return ""
        case "right":
            return api_key
        case "beginning":
            return api_key[: len(api_key) // 2]
        case "other case" if (other := api_key.swapcase()) != api_key:
            return other
    return f"wrong-{secrets.token_hex(8)}"


def _rule(settings: ReleaseSettings, functions: int, spec: FunctionSpec) -> DuelRule:
    """The rule of one of `functions` duels, which all begin with the same chance to be wrong."""
    usual = DuelRule()
    return DuelRule(
        sound=settings.sound_rate,
        broken=settings.broken_rate,
        functions=functions,
        budget=settings.questions,
        may_differ=usual.may_differ.union(*(probe.may_differ for probe in spec.sample)),
    )


class Probes:
    """Asks the functions of one environment on behalf of a release, and its stable versions beside it."""

    def __init__(
        self, functions: Any, names: Names, release: ReleaseId, settings: ReleaseSettings, console: Console
    ) -> None:
        self._lambda = functions
        self._names = names
        self._release = release
        self._settings = settings
        self._console = console

    def answer(self, request: ProbeRequest, qualifier: str, first: ProbeAnswer | None = None) -> Verdict:
        """The verdict over one question; right answers excuse a failure: a sound release may fail one call of many.

        `first`: its first answer, where it was asked already.
        """
        answers = [first or self.ask(request, qualifier)]
        if answers[0].case.kind is AnswerKind.FAILURE:
            answers += [self.ask(request, qualifier) for _ in range(_EXCUSE)]
        name = f"{request.function}: {request.probe.name}"
        samples = [Sample(name, TAKEN[answer.case.kind], answer.said, answer.ms) for answer in answers]
        right = sum(sample.taken is Taken.RIGHT for sample in samples)
        return analyse(name, samples, wanted=1, wrong_limit=2 if right >= _EXCUSE else 1, unmeasured_limit=1)

    def duels(self, stables: Mapping[str, StableVersion | None], api_key: str) -> list[Verdict]:
        """The verdicts over functions that get the same questions as their stable versions, until all are decided.

        All at a time, with at most half of the account's concurrency: users need the rest. The first that fails ends
        the others, which are inconclusive then.

        Args:
            stables: Each function with its version that is recorded as good; `None`: there is none, and absolute limits
                judge it.
            api_key: The key that right questions to a URL carry.
        """
        ended = Event()
        at_once = self._at_once()
        workers = max(1, at_once // len(stables))

        def fought(function: str) -> Verdict:
            spec = next(spec for spec in FUNCTIONS if spec.key == function)
            stable, asked = stables[function], duel_questions(spec, self._release, api_key)
            duel = Duel(function, _rule(self._settings, len(stables), spec), paired=stable is not None)
            verdict = self._fight(duel, stable, asked, workers, ended)
            if verdict.outcome is Outcome.FAIL:
                ended.set()
            return verdict

        with ThreadPoolExecutor(max(1, min(at_once, len(stables)))) as pool:
            try:
                return list(pool.map(fought, stables))
            finally:
                ended.set()

    def _at_once(self) -> int:
        """How many questions may be in flight."""
        try:
            limit = self._lambda.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
        except (ClientError, BotoCoreError) as error:
            self._console.warn(f"one question at a time: Lambda does not say how many the account may have ({error})")
            return 1
        return min(self._settings.workers, limit // 2)

    def _fight(
        self, duel: Duel, stable: StableVersion | None, requests: Sequence[ProbeRequest], workers: int, ended: Event
    ) -> Verdict:
        asked = cycle(requests)
        said = time.monotonic()
        with ThreadPoolExecutor(workers) as pool:
            self._warm_up(pool, workers, next(asked), stable)
            while duel.outcome is None and not ended.is_set():
                batch = list(islice(asked, workers))
                blocks = [self._block(pool, request, stable, duel.controls) for request in batch]
                for name, candidate, stables in blocks:
                    duel.add(name, candidate.result(), [one.result() for one in stables])
                if time.monotonic() - said > _SAY_EVERY_S:
                    said = time.monotonic()
                    self._console.detail(duel.told())
        return duel.verdict()

    def _warm_up(self, pool: Executor, workers: int, request: ProbeRequest, stable: StableVersion | None) -> None:
        """Start the instances that the duel needs, and judge none of these answers: who starts, answers late."""
        for qualifier in (CANDIDATE, *([stable.version] if stable else [])):
            wait([pool.submit(self.ask, request, qualifier) for _ in range(workers)])

    def _block(
        self, pool: Executor, request: ProbeRequest, stable: StableVersion | None, controls: int
    ) -> tuple[str, Future[ProbeAnswer], list[Future[ProbeAnswer]]]:
        """Ask the candidate and the stable version one question; which of them comes first is left to chance."""
        candidate = [(request, CANDIDATE)]
        others = [(replace(request, release=stable.release), stable.version)] * controls if stable else []
        first = secrets.randbelow(2)
        asked = [pool.submit(self.ask, *one) for one in ([*candidate, *others] if first else [*others, *candidate])]
        own = asked.pop(0 if first else -1)
        return request.probe.name, own, asked

    def ask(self, request: ProbeRequest, qualifier: str) -> ProbeAnswer:
        """The function's answer through an alias or a version."""
        began = time.monotonic()

        def answered(case: AnswerCase, said: str = "", document: Any = None) -> ProbeAnswer:
            return ProbeAnswer(case, said[:300], round((time.monotonic() - began) * 1000, 1), document)

        try:
            answer = self._lambda.invoke(
                FunctionName=self._names.function(request.function).function,
                Qualifier=qualifier,
                Payload=json.dumps(request.event).encode(),
            )
            body = answer["Payload"].read()
        except ClientError as error:
            return answered(case_of_refusal(code_of(error)), str(error))
        except BotoCoreError as error:
            return answered(AnswerCase.NETWORK, str(error))
        took = time.monotonic() - began
        try:
            document = json.loads(body or b"null")
        except ValueError:
            return answered(AnswerCase.WRONG, "the answer is not JSON")
        wrong = request.wrong(document)
        # People wait for a URL only; the others have the function's own time limit.
        if not wrong and took > self._settings.answer_limit_s and request.probe.path:
            wrong = f"took {took:.1f} s, the limit is {self._settings.answer_limit_s:g} s"
        case = case_of_invocation(answer.get("FunctionError", ""), document, wrong, request.probe.error)
        if case is AnswerCase.RIGHT:
            wrong = ""
        elif case is not AnswerCase.WRONG:
            told = document if isinstance(document, dict) else {}
            wrong = f"{told.get('errorType', 'error')}: {told.get('errorMessage', '')}"
        return answered(case, wrong, document)
