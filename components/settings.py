"""Typed, frozen settings of one stack.

Pulumi.yaml declares every key with type, default and meaning; here is what the values may be. Every refusal names the
key, the value and what is allowed, and is raised before the first resource is registered.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

from components import naming
from components.arns import Arns
from components.aws_tables import LOG_RETENTION_DAYS, OTHER_PARTITIONS, REGIONS
from components.schedules import ScheduleError, longest_gap

SCOPES: Final = ("foundation", "service")
_LOCAL_HOSTS: Final = ("127.0.0.1", "localhost")
_MOST_REVIEWERS: Final = 6
_MOST_EMAILS: Final = 10
"""To so many AWS Budgets sends one notification."""
_UNITS: Final = r"(?:1 (?:minute|hour|day)|(?:[2-9]|[1-9][0-9]+) (?:minutes|hours|days))"
FUNCTION_TIMEOUT_SECONDS: Final = range(20, 901)
"""Lambda's limit is 900. In less than 20 the dashboard could not say in time that its table is too slow."""
_SCHEDULE: Final = re.compile(rf"rate\({_UNITS}\)|cron\(\S+(?: \S+){{5}}\)")
_LONGEST_GAP_SECONDS: Final = 84 * 3600
"""Half of the seven days that CloudWatch looks back at most: the heartbeat has to see two missing runs."""
_LOGIN: Final = re.compile(r"(?=.{1,39}$)[A-Za-z0-9][A-Za-z0-9-]*(?:_[A-Za-z0-9]+)?")
"""A user of a company's own (managed users) has the company's short code behind an underscore."""
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_EMAIL: Final = re.compile(r"(?=.{1,254}$)[^@\s]+@[^@\s]+\.[^@\s]+")
LONGEST_TAG: Final = 100
"""In characters. The ingestion function and the dashboard's query hold the same number."""
MOST_TAG_BYTES: Final = 2500
"""Of all tags, as the JSON in which Lambda counts the environment of a function: it takes 4096 in all."""
_LONGEST_ENDPOINT: Final = 500


class SettingError(ValueError):
    """A stack setting that the program refuses."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(
            f"setting {key!r} {problem}. "
            "Change it in the stack's Pulumi.<stack>.yaml (Pulumi.yaml says what each key means)"
        )
        self.key = key


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What one stack is told. Times are in seconds, memory in MB."""

    scope: str
    environment: str
    name_suffix: str
    account_id: str
    region: str
    release: str
    news_endpoint: str
    watch_tags: tuple[str, ...]
    schedule_expression: str
    function_memory_mb: int
    function_timeout_seconds: int
    log_retention_days: int
    error_alarm_percent: int
    error_alarm_least_errors: int
    attestations: bool
    github_owner: str
    github_repository: str
    github_owner_id: str
    github_repository_id: str
    reviewers: tuple[str, ...]
    reviewer_teams: tuple[str, ...]
    prevent_self_review: bool
    required_approvals: int
    owns_shared: bool
    adopt_github_provider: bool
    adopt_trail: bool
    monthly_budget_usd: int
    on_call_emails: tuple[str, ...]
    administrator_role_arn: str
    other_account_id: str

    @property
    def is_prod(self) -> bool:
        """Whether data stores of this stack are protected against deletion."""
        return self.environment == "prod"

    @property
    def arns(self) -> Arns:
        """ARNs of this environment, and through `other` of the other one."""
        return Arns(
            account_id=self.account_id,
            region=self.region,
            names=naming.names(self.environment, self.name_suffix),
            other_account_id=self.other_account_id,
        )


def parse(values: Mapping[str, str], stack: str) -> Settings:
    """Settings of `stack` from raw values by full key: text, and JSON for everything structured.

    Raises `SettingError` at the first value that is not allowed.
    """
    read = _Reader(values, naming.PROJECT)
    scope = read.one_of("scope", SCOPES)
    environment = read.one_of("environment", naming.ENVIRONMENTS)
    expected = naming.service_stack(environment) if scope == "service" else naming.foundation_stack(environment)
    if stack != expected:
        raise read.refuse(
            "environment",
            environment,
            f"what fits the stack's name: {stack!r} with scope {scope!r} would be {expected!r}",
        )
    account_id = read.matching("accountId", r"[0-9]{12}", "12 digits in quotes")
    owner, repository = read.matching(
        "githubRepository", r"[A-Za-z0-9_-]{1,39}/[A-Za-z0-9._-]{1,100}", "owner/name of one GitHub repository"
    ).split("/")
    owner_id, repository_id = _github_ids(read)
    reviewers, teams = _reviewers(read)
    # One person alone could never approve their own change, so nobody could ever deploy one.
    several = len(reviewers) > 1 or bool(teams)
    return Settings(
        scope=scope,
        environment=environment,
        name_suffix=_name_suffix(read),
        account_id=account_id,
        region=_account_guard(_Reader(values, "aws"), account_id),
        release=read.text("release"),
        news_endpoint=_endpoint(read),
        watch_tags=_watch_tags(read),
        schedule_expression=_schedule(read),
        function_memory_mb=read.number("functionMemoryMb", range(128, 10241), "a whole number from 128 to 10240 (MB)"),
        function_timeout_seconds=read.number(
            "functionTimeoutSeconds", FUNCTION_TIMEOUT_SECONDS, "a whole number from 20 to 900 (seconds)"
        ),
        log_retention_days=read.number(
            "logRetentionDays", LOG_RETENTION_DAYS, f"one of {', '.join(map(str, LOG_RETENTION_DAYS))} (days)"
        ),
        error_alarm_percent=read.number("errorAlarmPercent", range(1, 101), "a whole number from 1 to 100 (percent)"),
        error_alarm_least_errors=read.number(
            "errorAlarmLeastErrors", range(1, 10001), "a whole number from 1 to 10000"
        ),
        attestations=read.flag("attestations"),
        github_owner=owner,
        github_repository=repository,
        github_owner_id=owner_id,
        github_repository_id=repository_id,
        reviewers=reviewers,
        reviewer_teams=teams,
        prevent_self_review=_prevent_self_review(read, several=several),
        required_approvals=_required_approvals(read, several=several),
        owns_shared=read.flag("ownsShared"),
        adopt_github_provider=read.flag("adoptGithubProvider"),
        adopt_trail=read.flag("adoptTrail"),
        monthly_budget_usd=read.number("monthlyBudgetUsd", range(1, 100_001), "a whole number from 1 to 100000 (USD)"),
        on_call_emails=_on_call_emails(read),
        administrator_role_arn=_administrator(read, account_id),
        other_account_id=read.matching("otherAccountId", r"(?:[0-9]{12})?", "12 digits in quotes, or empty"),
    )


class _Reader:
    """Raw configuration values (strings, JSON for everything structured) to Python values."""

    def __init__(self, values: Mapping[str, str], namespace: str) -> None:
        self._values = values
        self._namespace = f"{namespace}:"
        self._prefix = "" if namespace == naming.PROJECT else self._namespace

    def text(self, key: str) -> str:
        value = self._values.get(self._namespace + key)
        if value is None:
            raise self.refuse(key, None, "a value: it is missing")
        return value

    def refuse(self, key: str, value: object, allowed: str) -> SettingError:
        return SettingError(self._prefix + key, f"is {value!r}, allowed is {allowed}")

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in allowed:
            raise self.refuse(key, value, " or ".join(allowed))
        return value

    def matching(self, key: str, pattern: str, allowed: str) -> str:
        value = self.text(key)
        if not re.fullmatch(pattern, value):
            raise self.refuse(key, value, allowed)
        return value

    def number(self, key: str, allowed: range | tuple[int, ...], meaning: str) -> int:
        value = self.text(key)
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in allowed:
            raise self.refuse(key, value, meaning)
        return int(value)

    def flag(self, key: str) -> bool:
        return self.one_of(key, ("true", "false")) == "true"

    def words(self, key: str, pattern: str, allowed: str, *, empty: bool = False) -> tuple[str, ...]:
        """A list of texts, each of which stands there once: the world tells none of them apart by case."""
        raw = self.text(key)
        try:
            value = json.loads(raw)
        except json.JSONDecodeError:
            raise self.refuse(key, raw, allowed) from None
        is_list = isinstance(value, list) and (empty or len(value) > 0)
        if not is_list or not all(isinstance(word, str) and re.fullmatch(pattern, word) for word in value):
            raise self.refuse(key, value, allowed)
        seen: dict[str, str] = {}
        for word in value:
            if (same := seen.setdefault(word.casefold(), word)) is not word:
                raise self.refuse(key, value, f"{allowed}, each only once ({same!r} and {word!r} are the same)")
        return tuple(value)


def _account_guard(read: _Reader, account_id: str) -> str:
    """Return the region; refuse a stack file whose provider would accept another account."""
    accounts = read.words("allowedAccountIds", r"[0-9]{12}", f"exactly the stack's own account: [{account_id!r}]")
    if accounts != (account_id,):
        raise read.refuse("allowedAccountIds", list(accounts), f"exactly the stack's own account: [{account_id!r}]")
    region = read.text("region")
    if region not in REGIONS:
        partition = next((name for prefix, name in OTHER_PARTITIONS.items() if region.startswith(prefix)), "")
        near = get_close_matches(region, REGIONS, n=1)
        why = f"; did you mean {near[0]}?" if near else ""
        if partition:
            why = f": partition {partition} is not supported, every ARN here begins with arn:aws:"
        raise read.refuse("region", region, f"a region of the partition aws such as us-east-1{why}")
    return region


def _watch_tags(read: _Reader) -> tuple[str, ...]:
    """Search terms that each function, the page's query and a release's probe take alike.

    Unicode writes some letters in two ways. One of them is kept, so that a query finds what the tag has stored.
    """
    allowed = (
        f"a list of one or more search terms without commas, of up to {LONGEST_TAG} printable characters each "
        "(the plain space is the only blank)"
    )
    tags = tuple(unicodedata.normalize("NFC", tag) for tag in read.words("watchTags", r"[^,]+", allowed))
    if not all(tag.isprintable() and tag == tag.strip() and len(tag) <= LONGEST_TAG for tag in tags):
        raise read.refuse("watchTags", list(tags), allowed)
    if len({tag.casefold() for tag in tags}) < len(tags):
        raise read.refuse("watchTags", list(tags), f"{allowed}, each only once")
    if (size := len(json.dumps(",".join(tags)))) > MOST_TAG_BYTES:
        raise read.refuse(
            "watchTags",
            f"{len(tags)} terms, {size} bytes together",
            f"{MOST_TAG_BYTES} bytes together: Lambda takes 4 KB of environment for each function",
        )
    return tags


def _name_suffix(read: _Reader) -> str:
    """What tells the names of buckets apart from those of everybody else; the longest of them sets the limit."""
    allowed = "lower-case letters, digits and hyphens inside, or empty"
    value = read.matching("nameSuffix", naming.SUFFIX, allowed)
    try:
        for environment in naming.ENVIRONMENTS:
            naming.names(environment, value)
    except naming.PhysicalNameError as error:
        raise read.refuse("nameSuffix", value, f"{allowed}; {error}") from None
    return value


def _schedule(read: _Reader) -> str:
    """An expression whose missing runs an alarm can notice."""
    value = read.matching("scheduleExpression", _SCHEDULE.pattern, "rate(N minutes|hours|days) or cron(six fields)")
    try:
        gap = longest_gap(value)
    except ScheduleError as error:
        raise read.refuse("scheduleExpression", value, f"one that AWS understands, but {error}") from None
    if gap > _LONGEST_GAP_SECONDS:
        raise read.refuse(
            "scheduleExpression",
            value,
            f"one whose runs are at most {_LONGEST_GAP_SECONDS // 3600} hours apart (these are up to {gap // 3600}): "
            "CloudWatch looks back seven days at most, and the alarm about missing runs has to see two",
        )
    return value


def _endpoint(read: _Reader) -> str:
    value = read.text("newsEndpoint")
    parts = urlsplit(value)
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)
    plain = value.isascii() and value.isprintable() and " " not in value and len(value) <= _LONGEST_ENDPOINT
    if not plain or not encrypted or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise read.refuse(
            "newsEndpoint",
            value,
            f"an https URL (http only for this machine) of up to {_LONGEST_ENDPOINT} ASCII characters, without user, "
            "query or fragment",
        )
    return value


def _github_ids(read: _Reader) -> tuple[str, str]:
    """Ids of owner and repository, both or none: half of them makes a subject that no token ever has."""
    ids = [
        read.matching(key, r"[0-9]{0,20}", "digits in quotes, or empty")
        for key in ("githubOwnerId", "githubRepositoryId")
    ]
    if bool(ids[0]) != bool(ids[1]):
        missing = "githubOwnerId" if not ids[0] else "githubRepositoryId"
        raise read.refuse(missing, "", "an id, because the other of githubOwnerId and githubRepositoryId is set")
    return ids[0], ids[1]


def _reviewers(read: _Reader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Logins and team slugs of whom one must approve; GitHub takes six in all, and nobody is not enough."""
    allowed = f"a list of GitHub logins; together with reviewerTeams 1 to {_MOST_REVIEWERS}"
    reviewers = read.words("reviewers", _LOGIN.pattern, allowed, empty=True)
    teams = read.words("reviewerTeams", _SLUG.pattern, "a list of slugs of teams of the owner", empty=True)
    if not 1 <= len(reviewers) + len(teams) <= _MOST_REVIEWERS:
        raise read.refuse("reviewers", list(reviewers), allowed)
    return reviewers, teams


def _prevent_self_review(read: _Reader, *, several: bool) -> bool:
    value = read.one_of("preventSelfReview", ("auto", "true", "false"))
    if value == "true" and not several:
        raise read.refuse(
            "preventSelfReview", value, "auto or false with a single reviewer, who could never approve an own change"
        )
    return several if value == "auto" else value == "true"


def _required_approvals(read: _Reader, *, several: bool) -> int:
    value = read.text("requiredApprovals")
    if value == "auto":
        return 1 if several else 0
    approvals = read.number("requiredApprovals", range(_MOST_REVIEWERS + 1), "auto, or a whole number from 0 to 6")
    if approvals and not several:
        raise read.refuse(
            "requiredApprovals",
            value,
            "auto or 0 with a single reviewer: GitHub lets nobody approve an own pull request",
        )
    return approvals


def _on_call_emails(read: _Reader) -> tuple[str, ...]:
    allowed = f"a list of at most {_MOST_EMAILS} e-mail addresses"
    emails = read.words("onCallEmails", _EMAIL.pattern, allowed, empty=True)
    if len(emails) > _MOST_EMAILS:
        raise read.refuse("onCallEmails", list(emails), allowed)
    return emails


def _administrator(read: _Reader, account_id: str) -> str:
    """ARN pattern of the administrator's role.

    The default lies below `aws-reserved/`, a path at which only IAM Identity Center can make roles, so nobody who may
    create roles can create one that matches.
    """
    value = read.matching(
        "administratorRoleArn",
        rf"|arn:aws:iam::{account_id}:role/[A-Za-z0-9_+=,.@*/-]{{1,576}}",
        f"empty or the ARN of a role in account {account_id}",
    )
    if value.endswith("role/*"):
        raise read.refuse("administratorRoleArn", value, "the ARN of one role, not of all roles")
    return (
        value or f"arn:aws:iam::{account_id}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_AdministratorAccess_*"
    )
