"""What a runner asks of identities: registering a job, its token, its role; and what roles were denied."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.environment import CREDENTIALS, REGION
from localcloud.errors import LocalCloudError
from localcloud.iam.switch import DENIALS
from localcloud.process.direct import DIRECTLY

URL, BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
AUDIENCE = "sts.amazonaws.com"


def register(github: str, **job: Any) -> dict[str, str]:
    """Register a job at the local GitHub; return the variables that GitHub gives it.

    Args:
        github: Address of the local GitHub.
        job: Fields of `localcloud.github.oidc.JobRequest`.
    """
    address = f"{github}/_localcloud/jobs"
    answer = _ask(urllib.request.Request(address, json.dumps(job).encode(), {"Content-Type": "application/json"}))
    return {URL: answer["request_url"], BEARER: answer["request_token"]}


def token_of(variables: Mapping[str, str], audience: str = AUDIENCE) -> str:
    """Return the token of a registered job, which it asks for by the variables that GitHub gives it."""
    missing = [name for name in (URL, BEARER) if not variables.get(name)]
    if missing:
        raise LocalCloudError(
            f"{' and '.join(missing)} are not set: this is no registered job",
            next_step="register it: localcloud job --environment NAME --workflow FILE",
        )
    headers = {"Authorization": f"Bearer {variables[BEARER]}"}
    return _ask(urllib.request.Request(f"{variables[URL]}&audience={audience}", headers=headers))["value"]


def assume(aws: str, role: str, session: str, token: str, seconds: int = 3600) -> dict[str, str]:
    """Return the variables with the credentials of a role; raises LocalCloudError with what AWS says when it refuses.

    Args:
        aws: Address of the AWS part.
        role: ARN of the role.
        session: Name of the session.
        token: What `token_of` returned.
        seconds: How long the credentials last.
    """
    sts = boto3.client(
        "sts", endpoint_url=aws, region_name=REGION, config=Config(signature_version=UNSIGNED, proxies={})
    )
    try:
        credentials = sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName=session, WebIdentityToken=token, DurationSeconds=seconds
        )["Credentials"]
    except (ClientError, BotoCoreError) as error:
        raise LocalCloudError(
            f"{role} cannot be assumed: {error}",
            next_step="compare the job's environment, ref and workflow with the role's trust policy",
        ) from None
    values = (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    return dict(zip(CREDENTIALS, values, strict=True))


def denials(aws: str) -> dict[str, Any]:
    """Return whether identities are enforced (`enforced`), and what was denied (`denials`)."""
    with DIRECTLY.open(f"{aws}{DENIALS}", timeout=10) as answer:
        return json.load(answer)


def _ask(request: urllib.request.Request) -> Any:
    try:
        with DIRECTLY.open(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace")
        raise LocalCloudError(f"the local GitHub refuses ({error.code}): {said}", next_step="correct that") from None
    except OSError as error:
        raise LocalCloudError(
            f"the local GitHub does not answer: {error}", next_step="look at `localcloud status`"
        ) from None
