"""An account and a repository for the bootstrap: moto in this process, GitHub and the engine as it sees them.

Every call that changes something goes through `World.gate`, so that a test can count them and end a run between two.
"""

import base64
import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import boto3
import httpx
import yaml
from moto import mock_aws
from nacl.public import PrivateKey, SealedBox
from rich.console import Console as RichConsole

from components.github_secrets import github_secrets
from components.identities import identities
from components.naming import names, state_place
from release.bootstrap.run import bootstrap
from release.bootstrap.step import Operator, Site
from release.clients.github import GitHub
from release.console import Console
from release.pulumi.stack_config import load
from tests.stacks import STACK_FILES, copy_to

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
NEWS_KEY = "made-up-key-of-the-news-service"
TOKEN = "made-up-token"
READS = ("Get", "Head", "List", "Describe")


SEEN_BY = []
"""The worlds of the tests so far; the last one sees the calls."""


@cache
def _clients():
    """Clients of the bootstrap, whose changes are counted, and the test's own: making them takes longest."""
    session = boto3.session.Session(region_name="us-east-1")
    services = ("s3", "kms", "secretsmanager", "sts", "iam", "sns", "cloudwatch")
    seen, unseen = ({service: session.client(service) for service in services} for _ in range(2))
    for client in seen.values():
        client.meta.events.register("before-call", _seen)
    return seen, unseen


@cache
def _settings(stack):
    return load(stack, STACK_FILES, {})


def _seen(model, **_):
    if not model.name.startswith(READS):
        SEEN_BY[-1].gate(model.name)


@contextmanager
def account(folder):
    """An empty account, GitHub, and a clone of the project's files in `folder`."""
    folder.mkdir(exist_ok=True)
    with mock_aws():
        yield World(folder)


class Killed(KeyboardInterrupt):
    """The run ended here."""


class Silent(Operator):
    """Answers what the test says."""

    def __init__(self, key=NEWS_KEY, *, yes=True):
        self.key, self.yes = key, yes

    def agrees(self, question):
        return self.yes

    def secret(self, question):
        return self.key


@dataclass
class FakeGitHub:
    """Environments with their keys, secrets and times of sealing."""

    gate: object
    environments: dict = field(default_factory=dict)

    def make(self, *wanted):
        self.environments |= {name: (PrivateKey.generate(), {}) for name in wanted}

    def opened(self, environment):
        key, sealed = self.environments[environment]
        return {
            name: SealedBox(key).decrypt(base64.b64decode(body["encrypted_value"])).decode()
            for name, (body, _) in sealed.items()
        }

    def __call__(self, request):
        environment, _, rest = request.url.path.removeprefix("/repos/o/r/environments/").partition("/secrets")
        if environment not in self.environments:
            return httpx.Response(404, json={"message": "Not Found"})
        key, sealed = self.environments[environment]
        if request.method == "PUT":
            self.gate(f"seal {rest}")
            sealed[rest.strip("/")] = (json.loads(request.content), datetime.now(UTC))
            return httpx.Response(201, json={})
        if rest == "/public-key":
            public = base64.b64encode(bytes(key.public_key)).decode()
            return httpx.Response(200, json={"key_id": "1", "key": public})
        listed = [{"name": name, "updated_at": f"{at:%Y-%m-%dT%H:%M:%SZ}"} for name, (_, at) in sealed.items()]
        return httpx.Response(200, json={"total_count": len(listed), "secrets": listed})


class TheSite(Site):
    """A site whose engine writes what the real one writes: first a stack without a key, then with it."""

    world: "World"

    def pulumi(self, stack, *words, folder):
        assert (folder / "Pulumi.yaml").exists()
        self.world.gate(f"pulumi {' '.join(words[:2])} {stack}")
        if words[:2] == ("stack", "rm"):
            self.world.s3.delete_object(Bucket=state_place(stack)[0], Key=self.world.state_key(stack))
            return
        assert self.world.checkpoint(stack) is None, "the engine refuses a stack that exists"
        self.world.write_checkpoint(stack, None)
        self.world.gate(f"key of {stack}")
        self.world.write_checkpoint(stack, words[words.index("--secrets-provider") + 1])


@dataclass
class World:
    """One account, one repository, one clone."""

    folder: Path
    allowed: int | None = None
    """How many more changes this run may make before it is killed."""
    changes: list = field(default_factory=list)

    def __post_init__(self):
        copy_to(self.folder)
        _, unseen = _clients()
        self.s3, self.kms, self.secrets, self.iam = (unseen[one] for one in ("s3", "kms", "secretsmanager", "iam"))
        self.github = FakeGitHub(self.gate)

    def gate(self, what):
        if self.allowed == 0:
            raise Killed
        if self.allowed is not None:
            self.allowed -= 1
        self.changes.append(what)

    def site(self, environment="preprod", **changed):
        made = TheSite(
            **{
                "foundation": _settings(f"{environment}-foundation"),
                "service": _settings(environment),
                "folder": self.folder,
                "overlaid": False,
                "variables": {},
                "github": GitHub(TOKEN, "o/r", "https://api.github.test", transport=httpx.MockTransport(self.github)),
                "person": Silent(),
                **changed,
            }
        )
        made.world = self
        seen, _ = _clients()
        made.clients = dict(seen)
        made.aws = made.clients.__getitem__
        SEEN_BY.append(self)
        return made

    def run(self, site=None, *, only_plan=False, agreed=True, show=False):
        """Run the bootstrap; the document, and everything that was said on the way."""
        said = io.StringIO()
        console = Console(RichConsole(file=said, width=200))
        document = bootstrap(site or self.site(), console, only_plan=only_plan, agreed=agreed, show=show).as_dict()
        return document, said.getvalue()

    def foundation_up(self, environment="preprod"):
        """What `pulumi up` of the foundation makes, as far as the bootstrap looks at it."""
        for name in (names(environment).newsapi_secret, names(environment).dashboard_key_secret):
            self.secrets.create_secret(Name=name)
        self.github.make(*(identity.github_environment for identity in identities(environment)))

    @contextmanager
    def killed_after(self, changes):
        self.allowed = changes
        try:
            yield
        finally:
            self.allowed = None

    # What there is

    def state_key(self, stack):
        return f"{state_place(stack)[1]}/.pulumi/stacks/sentiment-pipeline/{stack}.json"

    def checkpoint(self, stack):
        try:
            found = self.s3.get_object(Bucket=state_place(stack)[0], Key=self.state_key(stack))
        except self.s3.exceptions.NoSuchKey:
            return None
        return json.loads(found["Body"].read())["checkpoint"]

    def write_checkpoint(self, stack, provider):
        sealed = {"url": provider, "encryptedkey": base64.b64encode(f"made up for {stack}".encode()).decode()}
        latest = {"latest": {"secrets_providers": {"type": "cloud", "state": sealed}}} if provider else {}
        body = json.dumps({"version": 3, "checkpoint": {"stack": stack, **latest}})
        self.s3.put_object(Bucket=state_place(stack)[0], Key=self.state_key(stack), Body=body)

    def value(self, name):
        return json.loads(self.secrets.get_secret_value(SecretId=name)["SecretString"])["api_key"]

    def tracked(self, stack):
        return (self.folder / f"Pulumi.{stack}.yaml").read_text()

    def snapshot(self, environment="preprod"):
        """Everything that the bootstrap answers for, without what is different every time."""
        own = names(environment)
        bucket = own.state_bucket
        aliases = {
            alias["AliasName"]: alias["TargetKeyId"] for page in [self.kms.list_aliases()] for alias in page["Aliases"]
        }
        dashboard_key = self.value(own.dashboard_key_secret)
        sealed = [self.github.opened(one.github_environment) for one in identities(environment) if one.secrets]
        return {
            "versions": self.s3.get_bucket_versioning(Bucket=bucket)["Status"],
            "encryption": self.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
            "public": self.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
            "ownership": self.s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"],
            "expiry": self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
            "policy": json.loads(self.s3.get_bucket_policy(Bucket=bucket)["Policy"]),
            "number of keys": len(self.kms.list_keys()["Keys"]),
            "keys": {
                alias: (
                    json.loads(self.kms.get_key_policy(KeyId=aliases[alias], PolicyName="default")["Policy"]),
                    self.kms.get_key_rotation_status(KeyId=aliases[alias])["KeyRotationEnabled"],
                )
                for alias in (own.state_key_alias, own.foundation_key_alias)
            },
            "stacks": {
                stack: self.checkpoint(stack)["latest"]["secrets_providers"]["state"]
                for stack in (environment, f"{environment}-foundation")
            },
            "files": {
                stack: yaml.safe_load(self.tracked(stack)) for stack in (environment, f"{environment}-foundation")
            },
            "news": self.value(own.newsapi_secret),
            "sealed": [one == {github_secrets(environment).dashboard_key: dashboard_key} for one in sealed],
        }
