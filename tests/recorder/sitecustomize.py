"""Writes down every AWS call of a `release` command, and of the Pulumi provider and the tests that it starts.

Python runs this file at the start of each process that has this folder in `PYTHONPATH`. With
`LOCALCLOUD_RECORD_CALLS=FOLDER` each `release` command gets a file there, named by its start and its words; a line per
call holds service, operation and the parameters that name things. Nothing that a call carries (bodies, secrets,
documents) is written.
"""

import json
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

FOLDER, FILE = "LOCALCLOUD_RECORD_CALLS", "LOCALCLOUD_RECORD_CALLS_FILE"
NAMING = {
    *(
        "AlarmName",
        "Bucket",
        "DashboardName",
        "FunctionName",
        "GroupName",
        "IfMatch",
        "IfNoneMatch",
        "IndexName",
        "Key",
    ),
    *(
        "Name",
        "PermissionsBoundary",
        "Prefix",
        "Qualifier",
        "QueueName",
        "QueueUrl",
        "ResourceARN",
        "ResourceArn",
        "Role",
        "RoleArn",
    ),
    *(
        "RoleName",
        "Rule",
        "S3Bucket",
        "S3Key",
        "S3ObjectVersion",
        "SecretId",
        "SubscriptionArn",
        "TableName",
        "TopicArn",
    ),
    *("VersionId", "logGroupName", "resourceArn"),
}
TAGS = {"Tags", "tags"}
MODULE = "botocore.client"


def _naming(parameters: dict) -> dict:
    """The parameters that name things, those of inner objects too, and whether there are tags."""
    found = {}
    for name, value in parameters.items():
        if isinstance(value, dict) and name not in TAGS:
            found |= {inner: text for inner, text in _naming(value).items() if inner not in parameters}
        elif name in NAMING:
            found[name] = value
        elif name == "Targets":
            found[name] = [{key: target[key] for key in ("Arn", "RoleArn") if key in target} for target in value]
        elif name in TAGS and value:
            found["Tags"] = True
    return found


class _Recording(Loader):
    """Loads the module as ever, then wraps the one function through which every client calls."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module) -> None:
        self._loader.exec_module(module)
        call = module.BaseClient._make_api_call

        def recorded(client, operation_name, api_params):
            line = {
                "service": client.meta.service_model.service_name,
                "operation": operation_name,
                "parameters": _naming(api_params),
            }
            with Path(os.environ[FILE]).open("a") as file:
                file.write(json.dumps(line, default=str) + "\n")
            return call(client, operation_name, api_params)

        module.BaseClient._make_api_call = recorded


class _Finder(MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Recording(spec.loader)
        return spec


def _begin() -> None:
    given = sys.orig_argv[2:] if sys.orig_argv[1:2] == ["-m"] else sys.orig_argv[1:]
    words = [Path(given[0]).name, *given[1:]] if given else []
    if words[:1] == ["release"]:
        folder = Path(os.environ[FOLDER])
        folder.mkdir(parents=True, exist_ok=True)
        said = [word for word in words[1:] if word.isascii() and word.replace("-", "").isalnum() and len(word) < 16]
        os.environ[FILE] = str(folder / f"{time.time_ns()} {' '.join(said)}")
    if FILE in os.environ:
        sys.meta_path.insert(0, _Finder())


if FOLDER in os.environ:
    _begin()
