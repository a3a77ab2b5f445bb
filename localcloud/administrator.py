"""Plays the administrator who fills the secrets: the stacks make them empty, on purpose, and never see a value."""

import json
import secrets

import boto3
from botocore.config import Config

from localcloud.state import CloudState

ENVIRONMENTS = ("preprod", "prod")
NAMES = ("newsapi", "dashboard-api-key")


def put_missing(state: CloudState) -> None:
    """Put a value, made up now, into every secret that exists and is empty."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=state.url("aws"),
        region_name="us-east-1",
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",  # noqa: S106 (moto takes any)
        config=Config(proxies={}),
    )
    for environment in ENVIRONMENTS:
        for name in NAMES:
            identity = f"{environment}/sentiment-analyzer/{name}"
            try:
                client.get_secret_value(SecretId=identity)
            except client.exceptions.ResourceNotFoundException:
                value = json.dumps({"api_key": secrets.token_urlsafe(24)})
                client.put_secret_value(SecretId=identity, SecretString=value)
