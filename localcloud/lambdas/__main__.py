"""Start the Lambda service: ``python -m localcloud.lambdas --port N --data DIR``."""

import os
from pathlib import Path
from typing import Any

import uvicorn

from localcloud.faults.asgi import Droppable, Faulty, lambda_call
from localcloud.habits import Habits
from localcloud.iam.remote import refusal_by_aws_part
from localcloud.iam.switch import switched_on
from localcloud.lambdas.api import Api
from localcloud.lambdas.invoker import Invoker
from localcloud.lambdas.packages import Packages
from localcloud.lambdas.runtime import Pool
from localcloud.lambdas.store import FunctionStore
from localcloud.lambdas.telemetry import Telemetry
from localcloud.process.aws_clients import AwsClients
from localcloud.process.part import arguments, begin, clock_scale

_ACCOUNT = "123456789012"


def main() -> None:
    """Serve until told to stop, or until the supervisor is gone."""
    parser = arguments("lambdas")
    parser.add_argument("--data", type=Path, required=True, help="folder for packages and sandboxes")
    given = parser.parse_args()
    begin()
    data = given.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    api = _build(f"http://127.0.0.1:{given.port}", data)
    uvicorn.run(
        Faulty(api.app(), lambda_call, refusal_by_aws_part if switched_on() else None),
        http=Droppable,
        host="127.0.0.1",
        port=given.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def _build(url_base: str, data: Path) -> Api:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    cloud = AwsClients(region)
    habits = Habits.from_environment()
    pool = Pool(data, _sandbox_environment(url_base, region), habits)
    store = FunctionStore(_ACCOUNT, region, url_base, pool.retire, habits)
    packages = Packages(data, cloud)
    telemetry = Telemetry(cloud, habits)
    shared: dict[str, Any] = {"store": store, "packages": packages, "pool": pool}
    shared |= {"telemetry": telemetry, "cloud": cloud}
    return Api(invoker=Invoker(clock=clock_scale(), **shared), **shared)


def _sandbox_environment(url_base: str, region: str) -> dict[str, str]:
    """What a function's own boto3 needs to reach the local cloud, and nothing else of this process's environment."""
    endpoints = {key: value for key, value in os.environ.items() if key.startswith("AWS_ENDPOINT_URL")}
    return {
        "AWS_ENDPOINT_URL_LAMBDA": url_base,
        **endpoints,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "ASIALOCALCLOUD",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


if __name__ == "__main__":
    main()
