# ruff: noqa: N803 -- the arguments are named as boto3 names them
"""A small cloud in memory: S3 with conditional writes, Lambda with aliases, alarms, and a stack over them."""

import base64
import hashlib
import io
import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from botocore.exceptions import ClientError, EndpointConnectionError
from rich.console import Console as RichConsole

from release.clock import Clock
from release.console import Console
from release.context import Context
from release.judge import AlarmState
from release.lifecycle import Run
from release.manifest import Manifest, PackageEntry
from release.settings import Settings
from release.stack import PulumiError
from release.validation import ValidationRecord

FUNCTIONS = ("analysis", "dashboard", "ingestion")


def client_error(code, operation="Call"):
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class MemoryS3:
    def __init__(self):
        self.objects = {}
        self.versions = {}
        self.count = 0
        self.log = []
        self.before_put = lambda bucket, key: None
        self.after_put = lambda bucket, key: None

    def get_object(self, *, Bucket, Key, VersionId=None):
        found = self.versions.get((Bucket, Key, VersionId)) if VersionId else self.objects.get((Bucket, Key))
        if found is None:
            raise client_error("NoSuchKey")
        body, etag, version = found
        return {"Body": io.BytesIO(body), "ETag": etag, "VersionId": version}

    def put_object(self, *, Bucket, Key, Body, ContentType, IfNoneMatch=None, IfMatch=None):
        self.before_put(Bucket, Key)
        there = self.objects.get((Bucket, Key))
        if IfNoneMatch == "*" and there:
            raise client_error("PreconditionFailed")
        if IfMatch and not there:
            raise client_error("NoSuchKey")
        if IfMatch and there and there[1] != IfMatch:
            raise client_error("PreconditionFailed")
        assert IfNoneMatch or IfMatch, f"{Key} was written without a condition"
        self.count += 1
        stored = (Body, f'"{hashlib.md5(Body).hexdigest()}"', f"v{self.count}")
        self.objects[Bucket, Key] = self.versions[Bucket, Key, stored[2]] = stored
        self.log.append(Key)
        self.after_put(Bucket, Key)
        return {"ETag": stored[1], "VersionId": stored[2]}


class MemoryLambda:
    """Functions with published versions; the answers depend on the release that the version was made from."""

    def __init__(self, world):
        self.world = world
        self.published = {}
        self.aliases = {}
        self.log = []
        self.fail_update = lambda function: None

    def publish(self, function, release, package):
        versions = self.published.setdefault(function, {})
        newest = max(versions, key=int, default="0")
        if newest != "0" and versions[newest]["release"]["manifest"] == release["manifest"]:
            return newest
        number = str(int(newest) + 1)
        versions[number] = {"release": release, "code": package["code_sha256"]}
        return number

    def put_alias(self, function, name, version):
        there = self.aliases.get((function, name))
        if not there or there["FunctionVersion"] != version:
            self.aliases[function, name] = {"FunctionVersion": version, "RevisionId": f"r{len(self.log)}-{version}"}

    def get_alias(self, *, FunctionName, Name):
        if (FunctionName, Name) not in self.aliases:
            raise client_error("ResourceNotFoundException")
        return dict(self.aliases[FunctionName, Name])

    def update_alias(self, *, FunctionName, Name, FunctionVersion, RoutingConfig, RevisionId):
        self.fail_update(FunctionName)
        alias = self.aliases[FunctionName, Name]
        if RevisionId != alias["RevisionId"]:
            raise client_error("PreconditionFailedException")
        self.log.append((FunctionName, Name, FunctionVersion))
        self.aliases[FunctionName, Name] = {
            "FunctionVersion": FunctionVersion,
            "RoutingConfig": RoutingConfig,
            "RevisionId": f"m{len(self.log)}",
        }
        return {}

    def get_function_configuration(self, *, FunctionName, Qualifier):
        version = self.get_alias(FunctionName=FunctionName, Name=Qualifier)["FunctionVersion"]
        return {
            "Version": version,
            "CodeSha256": self.published[FunctionName][version]["code"],
            "Handler": "handler.handle",
            "MemorySize": 256,
            "Environment": {"Variables": {"ENVIRONMENT": "prod"}},
        }

    def release_of(self, function, alias):
        version = self.aliases[f"prod-sentiment-{function}", alias]["FunctionVersion"]
        return self.published[f"prod-sentiment-{function}"][version]["release"]

    def invoke(self, *, FunctionName, Qualifier, Payload):
        function = FunctionName.removeprefix("prod-sentiment-")
        release = self.release_of(function, Qualifier)
        answer = self.world.answer(function, Qualifier, json.loads(Payload), release)
        failed = {"FunctionError": "Unhandled"} if isinstance(answer, Exception) else {}
        body = {"errorType": "RuntimeError", "errorMessage": str(answer)} if failed else answer
        return {"Payload": io.BytesIO(json.dumps(body).encode()), **failed}


class MemoryStack:
    """What Pulumi would make of a hand-over, and the record of it."""

    name = "prod"

    def __init__(self, world):
        self.world = world
        self.ups = []
        self.drift = ()
        self.fail_up = lambda hand_over: None

    def up(self, hand_over, *, refresh=False, message=""):
        self.ups.append((hand_over.traffic, hand_over.confirmed, refresh))
        functions = self.world.functions
        for key, package in hand_over.release["functions"].items():
            name = f"prod-sentiment-{key}"
            version = functions.publish(name, hand_over.release, package)
            functions.put_alias(name, "candidate", version)
            if hand_over.traffic == 100:
                functions.put_alias(name, "live", version)
            elif key in hand_over.stable:
                functions.put_alias(name, "live", hand_over.stable[key])
            else:
                functions.aliases.pop((name, "live"), None)
        self.fail_up(hand_over)

    def preview(self, hand_over):
        return SimpleNamespace(changes=self.drift)

    def outputs(self):
        return {
            "dashboard_url": "https://dashboard.test/",
            "on_call_topic": "arn:aws:sns:us-east-1:123456789012:prod-sentiment-on-call",
            "alarms": [f"prod-sentiment-{name}-errors" for name in FUNCTIONS],
        }

    def export(self):
        return b'{"deployment": {}}'


class World:
    """Everything that a promotion to prod touches."""

    def __init__(self, tmp_path: Path, monkeypatch, **settings):
        self.s3 = MemoryS3()
        self.functions = MemoryLambda(self)
        self.stack = MemoryStack(self)
        self.pages = []
        self.alarms = {f"prod-sentiment-{name}-errors": "OK" for name in FUNCTIONS}
        self.broken = {}
        self.runs = 0
        self.repo = tmp_path
        self.settings = Settings(
            **{"sample": 8, "watch_s": 0, "restored_limit_s": 2, "restored_answers": 2, "lease_wait_s": 0, **settings}
        )
        monkeypatch.setattr("release.promote.archive", lambda repo, sha, stack: f"program of {sha}".encode())
        monkeypatch.setattr("release.watch.httpx.get", self.get)
        monkeypatch.setattr("release.watch.alarm_states", self.alarm_states)
        monkeypatch.setattr("release.gate.subprocess.run", lambda *a, **k: SimpleNamespace(returncode=128))

    def context(self, stack="prod"):
        self.runs += 1
        context = Context(
            stack=stack,
            repo=self.repo,
            console=Console(RichConsole(file=io.StringIO()), quiet=True),
            settings=self.settings,
            clock=Clock(1000),
            run=Run(id=f"run-{self.runs}", actor="tester"),
            aws=SimpleNamespace(  # ty: ignore[invalid-argument-type] -- the clients that a promotion uses
                s3=self.s3,
                functions=self.functions,
                alarms=None,
                topics=SimpleNamespace(publish=lambda **page: self.pages.append(page), meta=SimpleNamespace()),
                api_key=lambda secret: "right-key",
            ),
        )

        @contextmanager
        def program(packed):
            yield self.stack

        context.program = program
        return context

    def offer(self, number: int, *, validated=True) -> Manifest:
        """Put a release into preprod's bucket, as `deploy` and `validate` do."""
        sha = f"{number:040x}"
        zips = {name: f"zip of {name} {number}".encode() for name in FUNCTIONS}
        digests = {name: hashlib.sha256(body) for name, body in zips.items()}
        manifest = Manifest(
            sha=sha,
            built_at=f"2026-11-23T05:{number:02d}:00Z",
            runtime="python3.11",
            architecture="x86_64",
            functions={
                name: PackageEntry.model_validate(
                    {
                        "package": f"{name}-{sha}.zip",
                        "sha256": digests[name].hexdigest(),
                        "code_sha256": base64.b64encode(digests[name].digest()).decode(),
                        "size": len(zips[name]),
                        "content_sha256": "0" * 64,
                        "handler": "handler.handle",
                        "lock_sha256": "0" * 64,
                    }
                )
                for name in FUNCTIONS
            },
        )
        for name, body in zips.items():
            self.put(f"promotions/{manifest.digest}/{name}-{sha}.zip", body)
        self.put(f"promotions/{manifest.digest}/manifest.json", manifest.canonical())
        if validated:
            self.put(f"promotions/{manifest.digest}/validation.json", record(manifest).body())
        return manifest

    def put(self, key, body, bucket="preprod-sentiment-lambda-deployments"):
        self.s3.objects[bucket, key] = (body, '"x"', "v0")

    def answer(self, function, alias, event, release):
        """What a function answers; `broken` says how a release is broken: {manifest: callable}."""
        broken = self.broken.get(release["manifest"])
        wrong = broken(function, alias, event) if broken else None
        if wrong is not None:
            return wrong
        named = {"release": release["sha"], "digest": release["manifest"]}
        if function != "dashboard":
            return named
        if event["rawPath"] == "/health":
            return {"statusCode": 200, "body": json.dumps({"status": "ok", **named, "version": "1"})}
        allowed = event["headers"].get("authorization") == "Bearer right-key"
        return {"statusCode": 200 if allowed else 401, "body": "{}"}

    def get(self, url, timeout):
        answer = self.answer(
            "dashboard", "live", {"rawPath": "/health"}, self.functions.release_of("dashboard", "live")
        )
        if isinstance(answer, Exception):
            answer = {"statusCode": 502, "body": "null"}
        return SimpleNamespace(status_code=answer["statusCode"], json=lambda: json.loads(str(answer["body"])))

    def alarm_states(self, _client, expected):
        return [AlarmState(name, state) for name, state in self.alarms.items() if name in expected]

    def live(self):
        """Manifest digest that `live` of each function serves."""
        return {name: self.functions.release_of(name, "live")["manifest"] for name in FUNCTIONS}

    def states(self):
        return [str(entry.state) for entry in self.context().ledger.entries()]


def record(manifest, **changes):
    values = {
        "tests": 12,
        "failed": 0,
        "errors": 0,
        "skipped": 1,
        "junit_sha256": "0" * 64,
        "at": "2026-11-23T06:00:00Z",
    }
    run = Run(id="1.1", actor="bot")
    return ValidationRecord.model_validate(
        {"manifest": manifest.digest, "sha": manifest.sha, "run": run, **values, **changes}
    )


def failing(*texts):
    """A function that raises a Pulumi error with each text in turn, then none."""
    left = list(texts)

    def fail(_hand_over):
        if left:
            raise PulumiError(left.pop(0))

    return fail


def unreachable(*_):
    raise EndpointConnectionError(endpoint_url="http://lambda.test")
