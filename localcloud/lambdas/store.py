"""What exists: functions, versions, aliases, policies, URLs. State and rules only, no I/O; one thread uses it."""

import base64
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.habits import CONCURRENCY, SLOW_RIGHTS, SLOW_URLS, UPDATING, WEIGHTED_COUNTS, Habits
from localcloud.lambdas import rules
from localcloud.lambdas.errors import conflict, invalid, not_found, stale
from localcloud.lambdas.rules import LATEST

_NOT_NOW = "The operation cannot be performed at this time."
_STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


@dataclass(frozen=True, slots=True)
class Code:
    """A package: sha256 (hex) and size in bytes of the zip."""

    sha256: str
    size: int

    @property
    def base64(self) -> str:
        """The digest as Lambda's CodeSha256 gives it."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Code and settings of one version, frozen. `revision_id` differs between any two snapshots."""

    function: str
    version: str
    code: Code
    settings: Mapping[str, Any]
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    modified: float = field(default_factory=time.time)

    def fingerprint(self) -> str:
        """Equal for two snapshots that run the same code with the same settings."""
        return json.dumps([self.code.sha256, self.settings], sort_keys=True)

    @property
    def log_group(self) -> str:
        """The log group that its output goes to."""
        return f"/aws/lambda/{self.function}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that the function's owner set."""
        return (self.settings.get("Environment") or {}).get("Variables") or {}


@dataclass(slots=True)
class FunctionAlias:
    """A name for a version, and perhaps a second version that gets a part (0..1) of the calls."""

    name: str
    version: str
    description: str
    weights: dict[str, float]
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class Policy:
    """Who else may call one qualifier of a function."""

    statements: dict[str, dict[str, Any]] = field(default_factory=dict)
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class UrlConfig:
    """A function URL: `qualifier` is an alias, or empty for $LATEST."""

    url_id: str
    function: str
    qualifier: str
    auth_type: str
    created: str
    modified: str
    answers_from: float


@dataclass(slots=True)
class StoredFunction:
    """Everything under one function name."""

    latest: Snapshot
    tags: dict[str, str]
    versions: dict[str, Snapshot] = field(default_factory=dict)
    published_as: tuple[str, str] | None = None  # last version, fingerprint of $LATEST when it was published
    aliases: dict[str, FunctionAlias] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    urls: dict[str, UrlConfig] = field(default_factory=dict)
    reserved: int | None = None
    changes: int = 0
    settled: float = 0.0  # when the last change of code or settings is done


@dataclass(frozen=True, slots=True)
class CallRoute:
    """Where one call goes. `resource` is the metric dimension of that name: fn, fn:version or fn:alias."""

    snapshot: Snapshot
    arn: str
    resource: str
    counts_version: bool


class FunctionStore:
    """The functions of one account and region.

    Methods return what the API answers, and raise `ServiceError` with nothing changed when a rule refuses.
    """

    def __init__(
        self, account: str, region: str, url_base: str, retired: Callable[[Snapshot], None], habits: Habits
    ) -> None:
        self.account = account
        self.region = region
        self.url_base = url_base
        self.functions: dict[str, StoredFunction] = {}
        self._urls: dict[str, UrlConfig] = {}
        # By name and for ever: AWS does not reuse a version number even when a function is deleted and made again.
        self._last_number: dict[str, int] = {}
        self._retired = retired
        self.habits = habits
        self._act_from: dict[tuple[str, str, str], float] = {}  # permissions: function, qualifier, statement id
        self._concurrency = int(CONCURRENCY.most) if habits.has(CONCURRENCY) else rules.ACCOUNT_CONCURRENCY

    # Names

    def arn(self, name: str, qualifier: str | None = None) -> str:
        """The function's ARN, with the qualifier if there is one."""
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{arn}:{qualifier}" if qualifier else arn

    def parse(self, reference: str, qualifier: str | None = None) -> tuple[str, str]:
        """Name and qualifier ('' for none) of a function given as name, partial ARN or ARN."""
        parts = reference.split(":")
        if parts[0] == "arn":
            if parts[:6] != self.arn("").split(":")[:6]:
                raise not_found(f"Function not found: {reference}")
            parts = parts[6:]
        elif len(parts) > 2 and parts[1] == "function":  # noqa: PLR2004
            parts = parts[2:]
        name, *inner = parts
        if len(inner) > 1:
            raise malformed_reference(reference)
        rules.check_shape("functionName", name)
        if inner and qualifier and inner[0] != qualifier:
            raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
        return name, (inner[0] if inner else qualifier) or ""

    def function(self, name: str) -> StoredFunction:
        """The function called `name`."""
        try:
            return self.functions[name]
        except KeyError:
            raise not_found(f"Function not found: {self.arn(name)}") from None

    def alias(self, name: str, alias: str) -> FunctionAlias:
        """An alias of a function."""
        try:
            return self.function(name).aliases[alias]
        except KeyError:
            raise not_found(f"Cannot find alias arn: {self.arn(name, alias)}") from None

    def snapshot(self, name: str, qualifier: str = "") -> Snapshot:
        """The snapshot behind a qualifier; for an alias, that of its own (not its additional) version."""
        function = self.function(name)
        if qualifier in ("", LATEST):
            return function.latest
        if qualifier in function.aliases:
            return self.snapshot(name, function.aliases[qualifier].version)
        if qualifier in function.versions:
            return function.versions[qualifier]
        raise not_found(f"Function not found: {self.arn(name, qualifier)}")

    def route(self, name: str, qualifier: str = "") -> CallRoute:
        """Pick the version that answers one call, by the alias's weights."""
        snapshot = self.snapshot(name, qualifier)
        function = self.function(name)
        if function.changes == 1 and time.time() < function.settled:
            raise conflict(f"{_NOT_NOW} The function is currently in the following state: Pending")
        alias = function.aliases.get(qualifier)
        if alias:
            for version, weight in alias.weights.items():
                if random.random() < weight:  # noqa: S311
                    snapshot = self.snapshot(name, version)
        return CallRoute(
            snapshot=snapshot,
            arn=self.arn(name, qualifier),
            resource=f"{name}:{qualifier}" if qualifier and qualifier != LATEST else name,
            counts_version=alias is not None and (bool(alias.weights) or not self.habits.has(WEIGHTED_COUNTS)),
        )

    # Functions and versions

    def create(self, request: Mapping[str, Any], code: Code) -> dict[str, Any]:
        """CreateFunction."""
        name = request["FunctionName"]
        if name in self.functions:
            raise conflict(f"Function already exist: {name}")
        settings = rules.settled(rules.DEFAULT_SETTINGS, request)
        latest = Snapshot(name, LATEST, code, settings)
        self.functions[name] = StoredFunction(latest, dict(request.get("Tags") or {}))
        self._begin_change(name)
        return self._published(name, "") if request.get("Publish") else self.describe(latest)

    def update_code(self, name: str, request: Mapping[str, Any], code: Code) -> dict[str, Any]:
        """UpdateFunctionCode."""
        function = self._changeable(name)
        _check_revision(request, function.latest.revision_id)
        settings = dict(function.latest.settings)
        if request.get("Architectures"):
            settings = rules.settled(settings, {"Architectures": request["Architectures"]})
        latest = Snapshot(name, LATEST, code, settings)
        self._replace_latest(function, latest)
        return self._published(name, "") if request.get("Publish") else self.describe(latest)

    def update_configuration(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateFunctionConfiguration."""
        function = self._changeable(name)
        _check_revision(request, function.latest.revision_id)
        latest = Snapshot(name, LATEST, function.latest.code, rules.settled(function.latest.settings, request))
        self._replace_latest(function, latest)
        return self.describe(latest)

    def _replace_latest(self, function: StoredFunction, latest: Snapshot) -> None:
        self._retired(function.latest)
        function.latest = latest
        self._begin_change(latest.function)

    def _begin_change(self, name: str) -> None:
        function = self.functions[name]
        function.changes += 1
        function.settled = time.time() + self.habits.seconds(UPDATING, f"{name}/{function.changes}")

    def _changeable(self, name: str) -> StoredFunction:
        """The function called `name`, unless an earlier change of it is still under way."""
        function = self.function(name)
        if time.time() < function.settled:
            raise conflict(f"{_NOT_NOW} An update is in progress for resource: {self.arn(name)}")
        return function

    def publish(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """PublishVersion: the last version again when neither code nor settings changed since."""
        latest = self._changeable(name).latest
        _check_revision(request, latest.revision_id)
        wanted = request.get("CodeSha256")
        if wanted and wanted != latest.code.base64:
            raise stale(
                f"CodeSha256 ({wanted}) is different from current CodeSha256 in $LATEST ({latest.code.base64})."
            )
        return self._published(name, request.get("Description") or "")

    def _published(self, name: str, description: str) -> dict[str, Any]:
        function = self.function(name)
        fingerprint = function.latest.fingerprint()
        if function.published_as:
            number, last_fingerprint = function.published_as
            if last_fingerprint == fingerprint and number in function.versions:
                return self.describe(function.versions[number], number)
        number = str(self._last_number.get(name, 0) + 1)
        settings = {**function.latest.settings}
        if description:
            settings["Description"] = description
        version = Snapshot(name, number, function.latest.code, settings)
        self._last_number[name] = int(number)
        function.versions[number] = version
        function.published_as = (number, fingerprint)
        return self.describe(version, number)

    def describe(self, snapshot: Snapshot, qualifier: str = "") -> dict[str, Any]:
        """A FunctionConfiguration as the API gives it; `qualifier` is the one that was asked for."""
        settings = snapshot.settings
        function = self.functions.get(snapshot.function)
        changing = function is not None and time.time() < function.settled
        shown: dict[str, Any] = {
            "FunctionName": snapshot.function,
            "FunctionArn": self.arn(snapshot.function, qualifier),
            **{key: settings[key] for key in ("Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize")},
            "CodeSize": snapshot.code.size,
            "CodeSha256": snapshot.code.base64,
            "Version": snapshot.version,
            "RevisionId": snapshot.revision_id,
            "LastModified": _moment(snapshot.modified, "+0000"),
            "State": "Pending" if changing and function.changes == 1 else "Active",
            "LastUpdateStatus": "InProgress" if changing and snapshot is function.latest else "Successful",
            "PackageType": settings["PackageType"],
            "Architectures": settings["Architectures"],
            "TracingConfig": {"Mode": "PassThrough"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": snapshot.log_group},
            "EphemeralStorage": {"Size": 512},
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        }
        if snapshot.variables:
            shown["Environment"] = {"Variables": snapshot.variables}
        if settings["DeadLetterConfig"].get("TargetArn"):
            shown["DeadLetterConfig"] = settings["DeadLetterConfig"]
        return shown

    def configuration(self, name: str, qualifier: str = "") -> dict[str, Any]:
        """GetFunctionConfiguration."""
        return self.describe(self.snapshot(name, qualifier), qualifier)

    def list_functions(self) -> list[dict[str, Any]]:
        """ListFunctions, by name."""
        return [self.describe(function.latest) for _, function in sorted(self.functions.items())]

    def list_versions(self, name: str) -> list[dict[str, Any]]:
        """ListVersionsByFunction: $LATEST, then the numbers."""
        function = self.function(name)
        return [self.describe(one, one.version) for one in (function.latest, *function.versions.values())]

    def delete(self, name: str, qualifier: str) -> None:
        """DeleteFunction: all of it, or one version that no alias uses."""
        function = self.function(name)
        if not qualifier:
            del self.functions[name]
            for one in (function.latest, *function.versions.values()):
                self._retired(one)
            for url in function.urls.values():
                del self._urls[url.url_id]
            return
        if qualifier == LATEST:
            raise invalid(f"{LATEST} version cannot be deleted without deleting the function.")
        if qualifier in function.aliases:
            raise invalid(f"{qualifier} is an alias: DeleteFunction takes a version number; use DeleteAlias.")
        version = self.snapshot(name, qualifier)
        users = sorted(one.name for one in function.aliases.values() if qualifier in (one.version, *one.weights))
        if users:
            raise conflict(f"Unable to delete version because the following aliases reference it: [{', '.join(users)}]")
        del function.versions[qualifier]
        function.policies.pop(qualifier, None)
        self._retired(version)

    # Aliases

    def create_alias(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateAlias."""
        function = self.function(name)
        alias = FunctionAlias(
            name=request.get("Name") or "",
            version=request.get("FunctionVersion") or "",
            description=request.get("Description") or "",
            weights=_weights(request),
        )
        rules.check_shape("name", alias.name)
        if alias.name in function.aliases:
            raise conflict(f"Alias already exists: {self.arn(name, alias.name)}")
        self._check_alias(name, alias)
        function.aliases[alias.name] = alias
        return self.describe_alias(name, alias)

    def update_alias(self, name: str, alias_name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateAlias: what the request does not name stays."""
        old = self.alias(name, alias_name)
        _check_revision(request, old.revision_id)
        description = request.get("Description")
        new = FunctionAlias(
            name=alias_name,
            version=request.get("FunctionVersion") or old.version,
            description=old.description if description is None else description,
            weights=old.weights if request.get("RoutingConfig") is None else _weights(request),
        )
        self._check_alias(name, new)
        self.function(name).aliases[alias_name] = new
        return self.describe_alias(name, new)

    def get_alias(self, name: str, alias_name: str) -> dict[str, Any]:
        """GetAlias."""
        return self.describe_alias(name, self.alias(name, alias_name))

    def _check_alias(self, name: str, alias: FunctionAlias) -> None:
        versions = {}
        for version in (alias.version, *alias.weights):
            if version != LATEST and version not in self.function(name).versions:
                raise not_found(f"Function not found: {self.arn(name, version)}")
            versions[version] = self.snapshot(name, version)
        rules.check_weights(alias.version, alias.weights)
        for field_name in ("Role", "DeadLetterConfig"):
            if len({json.dumps(one.settings[field_name]) for one in versions.values()}) > 1:
                raise invalid(f"Versions that share an alias's traffic must have the same {field_name}.")

    def delete_alias(self, name: str, alias_name: str) -> None:
        """DeleteAlias, with the URL and policy that hang on it. None there is no error."""
        function = self.function(name)
        if function.aliases.pop(alias_name, None):
            function.policies.pop(alias_name, None)
            if url := function.urls.pop(alias_name, None):
                del self._urls[url.url_id]

    def list_aliases(self, name: str) -> list[dict[str, Any]]:
        """ListAliases, by name."""
        return [self.describe_alias(name, alias) for _, alias in sorted(self.function(name).aliases.items())]

    def describe_alias(self, name: str, alias: FunctionAlias) -> dict[str, Any]:
        """An alias as the API gives it."""
        shown: dict[str, Any] = {
            "AliasArn": self.arn(name, alias.name),
            "Name": alias.name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RevisionId": alias.revision_id,
        }
        if alias.weights:
            shown["RoutingConfig"] = {"AdditionalVersionWeights": alias.weights}
        return shown

    # Resource policies

    def add_permission(self, name: str, qualifier: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """AddPermission: the statement as JSON text."""
        self.snapshot(name, qualifier)
        if qualifier == LATEST:
            raise invalid(f"We currently do not support adding policies for {LATEST}.")
        policies = self.function(name).policies
        policy = policies.get(qualifier) or Policy()
        _check_revision(request, policy.revision_id)
        sid, action = request.get("StatementId") or "", request.get("Action") or ""
        rules.check_shape("statementId", sid)
        rules.check_shape("action", action)
        if not request.get("Principal"):
            raise invalid("Principal is mandatory.")
        if sid in policy.statements:
            raise conflict(
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, or "
                "remove the existing statement."
            )
        statement = {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": _principal(request["Principal"]),
            "Action": action,
            "Resource": self.arn(name, qualifier),
        }
        if conditions := _conditions(request):
            statement["Condition"] = conditions
        policies[qualifier] = Policy({**policy.statements, sid: statement})
        delay = self.habits.seconds(SLOW_RIGHTS, f"{name}/{qualifier}/{sid}")
        self._act_from[name, qualifier, sid] = time.time() + delay
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    def remove_permission(self, name: str, qualifier: str, sid: str, revision_id: str | None) -> None:
        """RemovePermission; a policy without statements does not exist."""
        policy = self._policy(name, qualifier)
        _check_revision({"RevisionId": revision_id}, policy.revision_id)
        if sid not in policy.statements:
            raise not_found(f"Statement {sid} is not found in resource policy.")
        rest = {key: value for key, value in policy.statements.items() if key != sid}
        if rest:
            self.function(name).policies[qualifier] = Policy(rest)
        else:
            del self.function(name).policies[qualifier]

    def _policy(self, name: str, qualifier: str) -> Policy:
        self.snapshot(name, qualifier)
        try:
            return self.function(name).policies[qualifier]
        except KeyError:
            raise not_found("The resource you requested does not exist.") from None

    def get_policy(self, name: str, qualifier: str) -> dict[str, Any]:
        """GetPolicy."""
        policy = self._policy(name, qualifier)
        document = {"Version": "2012-10-17", "Id": "default", "Statement": list(policy.statements.values())}
        return {"Policy": json.dumps(document, separators=(",", ":")), "RevisionId": policy.revision_id}

    def url_is_public(self, url: UrlConfig) -> bool:
        """Whether the policy of the URL's qualifier lets anybody through: both permissions, as AWS wants them."""
        policy = self.function(url.function).policies.get(url.qualifier)
        now, place = time.time(), (url.function, url.qualifier)
        statements = [one for sid, one in (policy or Policy()).statements.items() if self._act_from[*place, sid] <= now]
        return _grants(
            statements, "lambda:InvokeFunctionUrl", ("StringEquals", "lambda:FunctionUrlAuthType", "NONE")
        ) and _grants(statements, "lambda:InvokeFunction", ("Bool", "lambda:InvokedViaFunctionUrl", "true"))

    # Function URLs

    def create_url(self, name: str, qualifier: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateFunctionUrlConfig."""
        qualifier = self._url_qualifier(name, qualifier)
        urls = self.function(name).urls
        if qualifier in urls:
            raise conflict(
                f"Failed to create function url config for [functionArn = {self.arn(name, qualifier)}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        now = time.time()
        at, answers_from = _moment(now, "Z"), now + self.habits.seconds(SLOW_URLS, f"{name}/{qualifier}")
        url = UrlConfig(uuid.uuid4().hex, name, qualifier, "", at, at, answers_from)
        _change_url(url, request)
        urls[qualifier] = self._urls[url.url_id] = url
        return self.describe_url(url)

    def update_url(self, name: str, qualifier: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateFunctionUrlConfig."""
        url = self._url(name, qualifier)
        _change_url(url, request)
        url.modified = _moment(time.time(), "Z")
        return self.describe_url(url)

    def get_url(self, name: str, qualifier: str) -> dict[str, Any]:
        """GetFunctionUrlConfig."""
        return self.describe_url(self._url(name, qualifier))

    def delete_url(self, name: str, qualifier: str) -> None:
        """DeleteFunctionUrlConfig."""
        url = self._url(name, qualifier)
        del self.function(name).urls[url.qualifier]
        del self._urls[url.url_id]

    def url_by_id(self, url_id: str) -> UrlConfig | None:
        """The URL that a request came in by, once it answers."""
        url = self._urls.get(url_id)
        return url if url and time.time() >= url.answers_from else None

    def _url_qualifier(self, name: str, qualifier: str) -> str:
        qualifier = "" if qualifier == LATEST else qualifier
        if qualifier.isdigit():
            raise malformed_reference(qualifier)
        if qualifier:
            self.alias(name, qualifier)
        return qualifier

    def _url(self, name: str, qualifier: str) -> UrlConfig:
        qualifier = self._url_qualifier(name, qualifier)
        try:
            return self.function(name).urls[qualifier]
        except KeyError:
            raise not_found("The resource you requested does not exist.") from None

    def describe_url(self, url: UrlConfig) -> dict[str, Any]:
        """A function URL as the API gives it."""
        return {
            "FunctionUrl": f"{self.url_base}/url/{url.url_id}/",
            "FunctionArn": self.arn(url.function, url.qualifier),
            "AuthType": url.auth_type,
            "InvokeMode": "BUFFERED",
            "CreationTime": url.created,
            "LastModifiedTime": url.modified,
        }

    # Concurrency, tags, account

    def reserve(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """PutFunctionConcurrency."""
        function, value = self.function(name), request.get("ReservedConcurrentExecutions")
        rules.check_reserved(value, self._reserved() - (function.reserved or 0), self._concurrency)
        function.reserved = value
        return {"ReservedConcurrentExecutions": value}

    def _reserved(self) -> int:
        return sum(function.reserved or 0 for function in self.functions.values())

    @property
    def unreserved(self) -> int:
        """How many calls of functions without a reservation the account runs at a time."""
        return self._concurrency - self._reserved()

    def account_settings(self) -> dict[str, Any]:
        """GetAccountSettings, as far as it is about concurrency."""
        limit = {"ConcurrentExecutions": self._concurrency, "UnreservedConcurrentExecutions": self.unreserved}
        return {"AccountLimit": limit}


def malformed_reference(reference: str) -> Exception:
    """A function reference or qualifier that is of no known form."""
    return rules.malformed(reference, "functionName", "a function's name, ARN, or name:qualifier; for URLs an alias")


def _check_revision(request: Mapping[str, Any], current: str) -> None:
    wanted = request.get("RevisionId")
    if wanted and wanted != current:
        raise stale(_STALE)


def _weights(request: Mapping[str, Any]) -> dict[str, float]:
    return dict((request.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})


def _principal(principal: str) -> Any:
    if principal == "*":
        return "*"
    if principal.isdigit():
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    return {"AWS" if principal.startswith("arn:") else "Service": principal}


def _conditions(request: Mapping[str, Any]) -> dict[str, Any]:
    conditions: dict[str, dict[str, str]] = {}
    equals = {
        "AWS:SourceAccount": request.get("SourceAccount"),
        "aws:PrincipalOrgID": request.get("PrincipalOrgID"),
        "lambda:EventSourceToken": request.get("EventSourceToken"),
        "lambda:FunctionUrlAuthType": request.get("FunctionUrlAuthType"),
    }
    if request.get("FunctionUrlAuthType") and request["Action"] != "lambda:InvokeFunctionUrl":
        raise invalid("FunctionUrlAuthType is only supported for the action lambda:InvokeFunctionUrl.")
    if request.get("InvokedViaFunctionUrl") and request["Action"] != "lambda:InvokeFunction":
        raise invalid("InvokedViaFunctionUrl is only supported for the action lambda:InvokeFunction.")
    if given := {key: value for key, value in equals.items() if value}:
        conditions["StringEquals"] = given
    if request.get("SourceArn"):
        conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    if request.get("InvokedViaFunctionUrl") is not None:
        conditions["Bool"] = {"lambda:InvokedViaFunctionUrl": str(request["InvokedViaFunctionUrl"]).lower()}
    return conditions


def _grants(statements: Iterable[Mapping[str, Any]], action: str, fact: tuple[str, str, str]) -> bool:
    """Whether a statement lets an anonymous caller do `action`, of whose request only `fact` is known."""
    operator, key, value = fact
    return any(
        one["Principal"] == "*"
        and one["Action"] in (action, "lambda:*", "*")
        and one.get("Condition", {}) in ({}, {operator: {key: value}})
        for one in statements
    )


def _change_url(url: UrlConfig, request: Mapping[str, Any]) -> None:
    auth_type = request.get("AuthType", url.auth_type)
    rules.check_shape("authType", auth_type)
    if request.get("InvokeMode") not in (None, "BUFFERED"):
        raise invalid("The local Lambda service buffers every answer (InvokeMode BUFFERED).")
    if request.get("Cors"):
        raise invalid("The local Lambda service has no CORS: the function answers preflight requests itself.")
    url.auth_type = auth_type


def _moment(timestamp: float, zone: str) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + zone
