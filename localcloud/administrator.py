"""Plays the administrator who fills the secrets: the stacks make them empty, on purpose, and never see a value."""

import json
import secrets

import boto3
from botocore.config import Config

from components.naming import ENVIRONMENTS, names
from localcloud.process.state import CloudState


def put_missing(state: CloudState) -> list[str]:
    """Put a value, made up now, into every secret that exists and is empty; return their names."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=state.url("aws"),
        region_name="us-east-1",
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",  # noqa: S106 (moto takes any)
        config=Config(proxies={}),
    )
    existing = {
        secret["Name"] for page in client.get_paginator("list_secrets").paginate() for secret in page["SecretList"]
    }
    ours = {
        secret
        for environment in ENVIRONMENTS
        for secret in (names(environment).newsapi_secret, names(environment).dashboard_key_secret)
    }
    filled = []
    for identity in sorted(existing & ours):
        try:
            client.get_secret_value(SecretId=identity)
        except client.exceptions.ResourceNotFoundException:
            client.put_secret_value(SecretId=identity, SecretString=json.dumps({"api_key": secrets.token_urlsafe(24)}))
            filled.append(identity)
    return filled
