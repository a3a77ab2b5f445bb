"""Puts other packages behind the aliases of a deployed preprod, as another release would, and takes them back."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3

from components.naming import CANDIDATE, LIVE, names
from tests.cloud import Cloud, get

NAMES = names("preprod")
ALIASES = (CANDIDATE, LIVE)


@dataclass(frozen=True)
class Preprod:
    """Preprod of a local cloud, which serves the release whose build lies in a folder."""

    cloud: Cloud
    build: Path

    def package(self, function: str) -> bytes:
        """The zip of a function of the sound release."""
        (file,) = self.build.glob(f"{function}-*.zip")
        return file.read_bytes()

    @contextmanager
    def serving(self, packages: Mapping[str, bytes], environment: Mapping[str, str] | None = None) -> Iterator[None]:
        """Publish packages (by function, with `environment` changed), serve them by both aliases, and put all back."""
        functions = self.cloud.client("lambda")
        before, published = {}, {}
        try:
            for function, package in packages.items():
                name = NAMES.function(function).function
                live = functions.get_alias(FunctionName=name, Name=LIVE)["FunctionVersion"]
                variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
                before[function] = live, variables
                self._configure(name, variables | dict(environment or {}))
                version = functions.update_function_code(FunctionName=name, ZipFile=package, Publish=True)["Version"]
                self._updated(name)
                if version != live:  # the same package and settings: the same version
                    published[name] = version
                self.point(function, version)
            yield
        finally:
            for function, (live, variables) in before.items():
                self.point(function, live)
                name = NAMES.function(function).function
                self._configure(name, variables)
                functions.update_function_code(FunctionName=name, ZipFile=self.package(function))
                self._updated(name)
            for name, version in published.items():
                # The provider takes the newest version for its own: a refresh would put both aliases on it.
                functions.delete_function(FunctionName=name, Qualifier=version)

    def point(self, function: str, version: str, *aliases: str) -> None:
        """Put aliases (both, if none is named) on a version."""
        for alias in aliases or ALIASES:
            self.cloud.client("lambda").update_alias(
                FunctionName=NAMES.function(function).function, Name=alias, FunctionVersion=version
            )

    def version(self, function: str) -> str:
        """The version that `live` serves."""
        name = NAMES.function(function).function
        return self.cloud.client("lambda").get_alias(FunctionName=name, Name=LIVE)["FunctionVersion"]

    def _configure(self, name: str, variables: Mapping[str, str]) -> None:
        self.cloud.client("lambda").update_function_configuration(
            FunctionName=name, Environment={"Variables": dict(variables)}
        )
        self._updated(name)

    def _updated(self, name: str) -> None:
        """Wait until Lambda has updated the function: before that it takes no other update."""
        waiter = self.cloud.client("lambda").get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})

    def empty(self) -> None:
        """Take all items out of the table."""
        table = self.table()
        with table.batch_writer() as batch:
            for item in table.scan()["Items"]:
                batch.delete_item(Key={name: item[name] for name in ("source_id", "timestamp")})

    def table(self):
        return boto3.resource(
            "dynamodb",
            endpoint_url=self.cloud.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="administrator",
            aws_secret_access_key="administrator",
            region_name="us-east-1",
        ).Table(NAMES.items_table)

    def reader(self) -> Callable[..., dict]:
        """Reads a path of the API with the key."""
        outputs = self.cloud.run("pulumi", "stack", "output", "--json", "--stack", "preprod").json()
        secret = self.cloud.client("secretsmanager").get_secret_value(SecretId=NAMES.dashboard_key_secret)
        headers = {"X-API-Key": json.loads(secret["SecretString"])["api_key"]}
        url = outputs["dashboard_url"].rstrip("/")

        def read(path: str, **query: str | int) -> dict:
            return get(url + path, params=query, headers=headers).raise_for_status().json()

        return read

    def invoke(self, function: str, event: dict) -> dict:
        """What `live` of a function answers; fails when it raises."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=NAMES.function(function).function, Qualifier=LIVE, Payload=json.dumps(event).encode()
        )
        said = answer["Payload"].read()
        assert "FunctionError" not in answer, said
        return json.loads(said)

    def dead_letters(self) -> int:
        """How many messages nobody could process."""
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=NAMES.dead_letters_queue)["QueueUrl"]
        wanted = ["ApproximateNumberOfMessages"]
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"][wanted[0]])


def changed(package: bytes, module: str, code: str = "", without: str = "") -> bytes:
    """The package with code at the end of one of its modules, and without the files below a folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if without and entry.filename.startswith(f"{without}/"):
                continue
            content = old.read(entry)
            new.writestr(entry, content + code.encode() if entry.filename == module else content)
        assert module in new.namelist(), f"the package has no {module}"
    return made.getvalue()


def until(what: str, look: Callable):
    """The first true answer of `look`; fails when none comes within a minute."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.1)
    return found
