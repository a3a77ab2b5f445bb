"""What a person or a runner asks of identities: registering a job, taking its role, and what roles were denied."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.environment import CREDENTIALS, REGION
from localcloud.errors import LocalCloudError
from localcloud.iam.switch import DENIALS
from localcloud.process.direct import DIRECTLY
from localcloud.process.state import CloudState

URL, BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


def register(state: CloudState, **job: Any) -> dict[str, str]:
    """Register a job (fields of `localcloud.github.oidc.JobRequest`); return the variables that GitHub gives it."""
    address = f"{state.url('github')}/_localcloud/jobs"
    answer = _ask(urllib.request.Request(address, json.dumps(job).encode(), {"Content-Type": "application/json"}))
    return {URL: answer["request_url"], BEARER: answer["request_token"]}


def assume(state: CloudState, role: str, session: str, seconds: int, audience: str) -> dict[str, str]:
    """Return the variables with the credentials of a role; raises LocalCloudError with what AWS says when it refuses.

    The token is asked for by the variables that GitHub gives a job.
    """
    missing = [name for name in (URL, BEARER) if not os.environ.get(name)]
    if missing:
        raise LocalCloudError(
            f"{' and '.join(missing)} are not set: this is no registered job",
            next_step="register it: localcloud job --environment NAME --workflow FILE",
        )
    request = urllib.request.Request(
        f"{os.environ[URL]}&audience={audience}", headers={"Authorization": f"Bearer {os.environ[BEARER]}"}
    )
    sts = boto3.client(
        "sts", endpoint_url=state.url("aws"), region_name=REGION, config=Config(signature_version=UNSIGNED, proxies={})
    )
    try:
        credentials = sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName=session, WebIdentityToken=_ask(request)["value"], DurationSeconds=seconds
        )["Credentials"]
    except (ClientError, BotoCoreError) as error:
        raise LocalCloudError(
            f"{role} cannot be assumed: {error}",
            next_step="compare the job's environment, ref and workflow with the role's trust policy",
        ) from None
    values = (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    return dict(zip(CREDENTIALS, values, strict=True))


def denials(state: CloudState) -> dict[str, Any]:
    """Return whether identities are enforced (`enforced`), and what was denied (`denials`)."""
    with DIRECTLY.open(f"{state.url('aws')}{DENIALS}", timeout=10) as answer:
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
