"""Access to AWS: cached boto3 clients, the account, and one resource's call with what it has to know."""

import functools
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud.aws_provider.settings import ProviderSettings
from localcloud.process.part import clock_scale

_POOL = 32
"""Connections per client: more than there are worker threads, so that none waits."""

_CHANGE_TIMEOUT = max(10.0, 300.0 / clock_scale())
"""Seconds to wait for AWS to do what it said it would, or to take what it refuses at first."""

_NOT_THERE: Final = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "DashboardNotFoundError",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NotFound",
        "NotFoundException",
        "OwnershipControlsNotFoundError",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ServerSideEncryptionConfigurationNotFoundError",
        "StateMachineDoesNotExist",
        "TrailNotFoundException",
    }
)
"""The codes by which the services say that a thing does not exist."""


class CloudError(Exception):
    """An AWS call failed, or AWS is not in the state that the program needs; the message is for people."""


class Cloud:
    """AWS as one provider configuration reaches it. Safe to share between threads."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._session: Any = None

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made at first use (that is slow, and not safe in two threads at once)."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made(service)
        return self._clients[service]

    def _made(self, service: str) -> Any:
        import boto3  # noqa: PLC0415 - half a second that a plugin start should not wait for
        from botocore.config import Config  # noqa: PLC0415

        settings = self.settings
        # One session for all: each reads the tables of endpoints and of retries anew, 40 ms for every client.
        self._session = self._session or boto3.session.Session(region_name=settings.region)
        return self._session.client(
            service,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
                max_pool_connections=_POOL,
                s3={"addressing_style": "path"} if settings.path_style else {},
                user_agent_extra="localcloud-aws-provider",
            ),
        )

    @functools.cached_property
    def account(self) -> str:
        """The account id of the credentials in use."""
        return self.client("sts").get_caller_identity()["Account"]

    def check_account(self) -> None:
        """Raises CloudError when the credentials are of an account that the settings do not allow."""
        allowed = self.settings.allowed_account_ids
        try:
            account = self.account
        except Exception as error:
            raise CloudError(
                f"AWS does not say whose credentials these are: {explained(error)}. Check AWS_ENDPOINT_URL and "
                "the credentials in the environment (inside `localcloud run` both are set)"
            ) from error
        if allowed and account not in allowed:
            raise CloudError(
                f"AWS account ID not allowed: {account}. `aws:allowedAccountIds` of this stack allows only "
                f"{', '.join(allowed)}: use the credentials that belong to the stack"
            )


@dataclass(kw_only=True)
class Call:
    """One engine request about one resource: its cloud, what is known and wanted, and what has been made so far."""

    cloud: Cloud
    service: str
    name: str = ""
    id: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The outputs that are known; of a resource that was made just now, its inputs."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What the program wants, with defaults."""
    changed: frozenset[str] = frozenset()
    """The properties in which `inputs` differ from the state."""
    made_id: str = ""

    @property
    def aws(self) -> Any:
        """The boto3 client of the resource's service."""
        return self.cloud.client(self.service)

    @property
    def region(self) -> str:
        """The region in which the resource lives."""
        return self.cloud.settings.region

    def made(self, resource_id: str) -> None:
        """Note that the resource exists from now on: what fails later leaves it in the state, marked unfinished."""
        self.made_id = resource_id

    @property
    def tags(self) -> dict[str, str]:
        """The tags to put on the resource."""
        return self.inputs.get("tags") or {}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The same tags in the form that most services take."""
        return as_list(self.tags)

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Poll until `done`; raises CloudError when that takes too long."""
        deadline, pause = time.monotonic() + _CHANGE_TIMEOUT, 0.05
        while not done():
            if time.monotonic() > deadline:
                raise CloudError(
                    f"waited {_CHANGE_TIMEOUT:.0f} s for {what}, in vain. Look at it in AWS, then run `up --refresh`"
                )
            time.sleep(pause)
            pause = min(pause * 1.6, 3.0)


def code_of(error: BaseException) -> str:
    """Return the AWS error code of a boto3 exception; empty for anything else."""
    return _error_of(error).get("Code", "")


def explained(error: BaseException) -> str:
    """Return an exception as one line for people: operation, AWS code and message where there are any."""
    code = code_of(error)
    if not code:
        return str(error) or type(error).__name__
    return f"{getattr(error, 'operation_name', 'call')}: {code}: {_error_of(error).get('Message', '')}"


def _error_of(error: BaseException) -> dict[str, str]:
    response = getattr(error, "response", None)
    return response.get("Error", {}) if isinstance(response, dict) else {}


def found(call: Callable[[], Any], *codes: str) -> Any:
    """Return the answer of a call, or None where AWS refuses with one of `codes` (default: it is not there)."""
    try:
        return call()
    except Exception as error:
        if code_of(error) in (codes or _NOT_THERE):
            return None
        raise


@contextmanager
def explaining(code: str, what: str) -> Generator[None]:
    """Turn AWS's refusal `code` into a CloudError that tells a person what to do."""
    try:
        yield
    except Exception as error:
        if code_of(error) == code:
            raise CloudError(what) from error
        raise


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that have a value: boto3 takes no nulls, and AWS few empty texts and lists."""
    return {name: value for name, value in arguments.items() if value not in (None, "", [], {})}


def capitalised(name: str) -> str:
    """Return AWS's name of a property, where it is ours with a capital."""
    return f"{name[0].upper()}{name[1:]}"


def to_aws(values: Any) -> Any:
    """Return nested values under AWS's names, where these are ours with a capital; empty ones are left out."""
    if isinstance(values, dict):
        named = {capitalised(name): to_aws(value) for name, value in values.items()}
        return given(**named)
    return [to_aws(item) for item in values] if isinstance(values, list) else values


def from_aws(values: Any) -> Any:
    """Return what AWS answers under our names, where AWS's are ours with a capital; empty values are left out."""
    if isinstance(values, dict):
        named = {f"{name[0].lower()}{name[1:]}": from_aws(value) for name, value in values.items()}
        return given(**named)
    return [from_aws(item) for item in values] if isinstance(values, list) else values


def as_text(value: Any) -> str:
    """Return the value of an attribute as services take it whose attributes are all texts."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def as_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags in the list form that most services take."""
    return [{key: name, value: text} for name, text in tags.items()]


def as_map(tags: list[dict[str, str]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return tags of a list as a map, without those that AWS itself puts on."""
    return {tag[key]: tag[value] for tag in tags or () if not tag[key].startswith("aws:")}
