"""The environment in which a command sees the local cloud instead of AWS and GitHub."""

import json
import os
import secrets
from typing import Any

from components.naming import PROJECT
from localcloud import paths
from localcloud.process.state import CloudState

REPOSITORY = "local/sentiment-pipeline"
REVIEWER = "traylorre"
"""A user whom the local GitHub knows from the beginning."""
ACCOUNT = "123456789012"
"""The account that moto plays."""
ADMINISTRATORS = frozenset({"administrator", "local", "localcloud", "sns"})
"""Access keys of who may do everything: a person, the tests, and the parts of the local cloud among themselves."""
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
WHOSE_VARIABLE = "LOCALCLOUD_CREDENTIALS"
"""With the value `caller`, commands are run with the credentials of their caller, not with the administrator's."""
INTEGRITY, OSV = "/_services/integrity", "/_services/osv/v1/query"
"""Paths of the part that plays GitHub, where it plays an index of packages and OSV too."""
TRUST = "/_localcloud/trust"
"""Path of the part that plays GitHub: what a verifier has to know of the Sigstore there."""
REGION = "us-east-1"
"""The region in which all its parts live."""


def environment(state: CloudState) -> dict[str, str]:
    """Return the variables to set, complete with PATH; nothing of the host's AWS or GitHub credentials survives."""
    github = state.url("github")
    # A job's commands keep the credentials that its role gave them, and have none where it took no role.
    credentials = {name: os.environ[name] for name in CREDENTIALS if name in os.environ}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "GITHUB_", "PULUMI_", "GH_"))
        and name != "PYTHONDONTWRITEBYTECODE"  # each `up` starts several Python processes
    }
    direct = without_proxy()
    ours = {
        "NO_PROXY": direct,
        "no_proxy": direct,
        # moto sends no checksums; without this the engine warns about each object of its state
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "GITHUB_TOKEN": f"local-{secrets.token_hex(8)}",
        "GITHUB_OWNER": REPOSITORY.split("/", maxsplit=1)[0],
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_BASE_URL": f"{github}/",
        "GITHUB_API_URL": f"{github}/api/v3",
        "RELEASE_SIGSTORE": f"{github}{TRUST}",
        "RELEASE_INTEGRITY_URL": f"{github}{INTEGRITY}",
        "RELEASE_OSV_URL": f"{github}{OSV}",
        "RELEASE_STACK_CONFIG": json.dumps(configuration_values(state) | people() | unattested()),
        "LOCALCLOUD_CLOCK": os.environ.get("LOCALCLOUD_CLOCK", state.clock),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.PASSPHRASE_FILE),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PATH": os.pathsep.join([str(paths.BIN), str(paths.ROOT / ".venv" / "bin"), os.environ.get("PATH", "")]),
    }
    ours |= aws_variables(state)
    if os.environ.get(WHOSE_VARIABLE) == "caller":
        ours = {name: value for name, value in ours.items() if name not in CREDENTIALS} | credentials
    return kept | ours


def configuration_values(state: CloudState) -> dict[str, Any]:
    """Return the configuration values that differ on the local cloud, for whichever stack."""
    return {
        f"{PROJECT}:accountId": ACCOUNT,
        f"{PROJECT}:otherAccountId": "",
        f"{PROJECT}:administratorRoleArn": "",
        f"{PROJECT}:nameSuffix": "",  # nobody else has buckets here
        f"{PROJECT}:githubRepository": REPOSITORY,
        f"{PROJECT}:githubOwnerId": "",
        f"{PROJECT}:githubRepositoryId": "",
        f"{PROJECT}:newsEndpoint": f"{state.url('news')}/v2/everything",
        "aws:allowedAccountIds": [ACCOUNT],
        "aws:region": REGION,
        "aws:s3UsePathStyle": True,
        "aws:skipMetadataApiCheck": True,
        "github:writeDelayMs": 1,  # github.com asks for a second between writes
    }


def people() -> dict[str, Any]:
    """Return who reviews instead of those whom this clone's stack files name: the local GitHub knows none of them."""
    return {f"{PROJECT}:reviewers": [REVIEWER], f"{PROJECT}:reviewerTeams": []}


def unattested() -> dict[str, Any]:
    """Return that nothing is attested, where this clone's production wants it: people's commands here are no jobs.

    A test that plays the jobs says otherwise. Older programs do not know the key: it is said where it must be.
    """
    wanted = "attestations:" in (paths.ROOT / "Pulumi.prod.yaml").read_text()
    return {f"{PROJECT}:attestations": False} if wanted else {}


def aws_variables(state: CloudState) -> dict[str, str]:
    """Return what points an AWS SDK at the local cloud and at nothing else; the parts themselves need it too."""
    return {
        "AWS_ENDPOINT_URL": state.url("aws"),
        "AWS_ENDPOINT_URL_LAMBDA": state.url("lambdas"),
        "AWS_ACCESS_KEY_ID": "localcloud",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(8),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def without_proxy() -> str:
    """Return NO_PROXY with loopback in it: the machine's proxy, which a build may need, must not get our requests."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return ",".join(dict.fromkeys([*filter(None, known.split(",")), "127.0.0.1", "localhost"]))


def make_passphrase() -> None:
    """Make up the passphrase of this clone's local stacks, once."""
    if not paths.PASSPHRASE_FILE.exists():
        scratch = paths.PASSPHRASE_FILE.with_suffix(".tmp")
        scratch.touch(0o600)
        scratch.write_text(secrets.token_urlsafe(24))
        scratch.replace(paths.PASSPHRASE_FILE)
