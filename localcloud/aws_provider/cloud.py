"""Access to AWS: cached boto3 clients, the account, and one resource's call with what it has to know."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localcloud.aws_provider.settings import Settings

_POOL = 32
"""Connections per client: more than there are worker threads, so that none waits."""

_CHANGE_TIMEOUT = 300.0
"""Seconds to wait for AWS to finish what it said it would do, when the program sets no timeout."""


class CloudError(Exception):
    """An AWS call failed, or AWS is not in the state that the program needs; the message is for people."""


class Cloud:
    """AWS as one provider configuration reaches it. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: Any = None
        self._account = ""

    def client(self, service: str, region: str = "") -> Any:
        """The boto3 client of a service, made at first use (that is slow, and not safe in two threads at once)."""
        key = (service, region or self.settings.region)
        if key not in self._clients:
            with self._lock:
                if key not in self._clients:
                    self._clients[key] = self._made(*key)
        return self._clients[key]

    def _made(self, service: str, region: str) -> Any:
        import boto3  # noqa: PLC0415 - half a second that a plugin start should not wait for
        from botocore.config import Config  # noqa: PLC0415

        settings = self.settings
        # One session for all: each reads the tables of endpoints and of retries anew, 40 ms for every client.
        self._session = self._session or boto3.session.Session(
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.token,
            profile_name=settings.profile,
        )
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=settings.endpoints.get("cloudwatchlogs" if service == "logs" else service),
            config=Config(
                retries={"mode": settings.retry_mode, "total_max_attempts": settings.max_attempts},
                max_pool_connections=_POOL,
                s3={"addressing_style": "path"} if settings.path_style else {},
                user_agent_extra="localcloud-aws-provider",
            ),
        )

    @property
    def account(self) -> str:
        """The account id of the credentials in use."""
        if not self._account:
            self._account = self.client("sts").get_caller_identity()["Account"]
        return self._account

    def check_account(self) -> None:
        """Raises CloudError when the credentials are of an account that the settings do not allow.

        As the real one does (aws-sdk-go-base, `GetAwsAccountIDAndPartition`, `VerifyAccountIDAllowed`): only with both
        flags nobody is asked. The account is empty then, which no list of allowed ones holds.
        """
        settings = self.settings
        account = ""
        if not (settings.skip_credentials_validation and settings.skip_account_id):
            try:
                account = self.account
            except Exception as error:
                raise CloudError(
                    f"AWS does not say whose credentials these are: {explained(error)}. Check AWS_ENDPOINT_URL and "
                    "the credentials in the environment (inside `localcloud run` both are set)"
                ) from error
        if settings.allowed_account_ids and account not in settings.allowed_account_ids:
            allowed = ", ".join(settings.allowed_account_ids)
            raise CloudError(
                f"AWS account ID not allowed: {account}. `aws:allowedAccountIds` of this stack allows only {allowed}: "
                "use the credentials that belong to the stack"
            )
        if account in settings.forbidden_account_ids:
            raise CloudError(f"`aws:forbiddenAccountIds` of this stack forbids the account {account}")


@dataclass(kw_only=True)
class Call:
    """One engine request about one resource: its cloud, its region and tags, and what has been made so far."""

    cloud: Cloud
    region: str
    name: str = ""
    timeout: float = 0.0
    made_id: str = ""
    default_tags: Mapping[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The client of a service in the resource's region."""
        return self.cloud.client(service, self.region)

    @property
    def account(self) -> str:
        """The account id."""
        return self.cloud.account

    def made(self, resource_id: str) -> None:
        """Notes that the resource exists from now on: what fails later leaves it in the state, marked unfinished."""
        self.made_id = resource_id

    def tags(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The tags to put on the resource: its own over the default ones."""
        return {**self.default_tags, **(inputs.get("tags") or {})}

    def wait(self, what: str, done: Callable[[], bool], *, timeout: float = 0.0) -> None:
        """Polls until `done`, at most `timeout` seconds; CloudError then."""
        limit = timeout or self.timeout or _CHANGE_TIMEOUT
        deadline, pause = time.monotonic() + limit, 0.05
        while not done():
            if time.monotonic() > deadline:
                raise CloudError(
                    f"waited {limit:.0f} s for {what}, in vain. Look at it in AWS, then run `up --refresh`"
                )
            time.sleep(pause)
            pause = min(pause * 1.6, 3.0)


def code_of(error: BaseException) -> str:
    """The AWS error code of a boto3 exception; empty for anything else."""
    return _error_of(error).get("Code", "")


def explained(error: BaseException) -> str:
    """An exception as one line for people: operation, AWS code and message where there are any."""
    code = code_of(error)
    if not code:
        return str(error) or type(error).__name__
    return f"{getattr(error, 'operation_name', 'call')}: {code}: {_error_of(error).get('Message', '')}"


def _error_of(error: BaseException) -> dict[str, str]:
    response = getattr(error, "response", None)
    return response.get("Error", {}) if isinstance(response, dict) else {}


def found(call: Callable[[], Any], *missing: str) -> Any:
    """The answer of a read call, or None where AWS says with one of the `missing` codes that there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return call()
    except ClientError as error:
        if code_of(error) in missing:
            return None
        raise


def retried(call: Callable[[], Any], when: Callable[[str, str], bool], *, seconds: float = 60.0) -> Any:
    """The answer of `call`, repeated while `when(code, message)` says that AWS is merely not ready yet.

    New roles, policies and queues take seconds to be visible to other services.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415

    deadline, pause = time.monotonic() + seconds, 0.5
    while True:
        try:
            return call()
        except ClientError as error:
            if time.monotonic() > deadline or not when(code_of(error), _error_of(error).get("Message", "")):
                raise
        time.sleep(pause)
        pause = min(pause * 2, 5.0)


def sync_tags(
    had: Mapping[str, str],
    wanted: Mapping[str, str],
    put: Callable[[dict[str, str]], Any],
    remove: Callable[[list[str]], Any],
) -> None:
    """Brings tags from `had` to `wanted` by the least calls."""
    gone = sorted(set(had) - set(wanted))
    changed = {key: value for key, value in wanted.items() if had.get(key) != value}
    if gone:
        remove(gone)
    if changed:
        put(changed)


def as_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags in the list form that most services take."""
    return [{key: name, value: text} for name, text in tags.items()]


def as_map(tags: list[dict[str, str]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags of a list as a map, without those that AWS itself puts on."""
    return {tag[key]: tag[value] for tag in tags or () if not tag[key].startswith("aws:")}
