"""Requests to AWS, read: whose key signed them, and the parameters of the operation, flat. Pure."""

import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import xmltodict
from botocore.loaders import Loader
from moto.core.model import ServiceModel
from moto.core.parse import QueryParser
from werkzeug.datastructures import Headers, MultiDict

from localcloud.aws import s3_requests
from localcloud.iam.needs import Need
from localcloud.iam.received import Received

_SIGNED_WITH = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([a-z0-9-]+)/aws4_request")
_INNER: Final = ("Code", "Target")
"""Structures whose members are read like parameters of the call: a function's package, and a schedule's target."""


class Signature(NamedTuple):
    """Whose key signed a request, and for which service (AWS's signing name)."""

    access_key: str
    service: str
    token: str


def signature(request: Received) -> Signature | None:
    """Return whose key signed a request, in its header or in its address; None for a request that nobody signed."""
    query = dict(parse_qsl(urlsplit(request.target).query))
    presigned = f"Credential={query['X-Amz-Credential']}" if "X-Amz-Credential" in query else ""
    signed = _SIGNED_WITH.search(request.headers.get("Authorization") or presigned)
    if signed is None:
        return None
    token = request.headers.get("X-Amz-Security-Token") or query.get("X-Amz-Security-Token", "")
    return Signature(signed[1], signed[3], token)


def parameters(service: str, operation: str, request: Received) -> dict[str, Any]:
    """Return the parameters that name things, under botocore's names; raises ValueError for a body that is not read."""
    body = request.body
    if (request.headers.get("Content-Encoding") or "").strip() == "gzip":
        body = gzip.decompress(body)
    if request.headers.get("X-Amz-Target"):
        read = json.loads(body or b"{}")
    elif _model(service).metadata["protocol"].startswith("rest"):
        read = _of_rest(service, operation, request, body)
    else:
        fields = parse_qsl(body.decode() or urlsplit(request.target).query, keep_blank_values=True)
        read = QueryParser(_model(service).operation_model(operation)).parse(
            {
                "values": MultiDict(fields),
                "body": body,
                "headers": Headers(),
                "method": request.method,
                "url_params": {},
                "url_path": "/",
            }
        )
    return _flat(read)


def _flat(read: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: value for part in _INNER for name, value in (read.get(part) or {}).items()}
    tags = {"Tags": True} if read.get("Tags") or read.get("tags") else {}
    return {**inner, **read, **tags}


def _of_rest(service: str, operation: str, request: Received, body: bytes) -> dict[str, Any]:
    """Read a request of a JSON service whose operation stands in its method and path (Lambda, Scheduler)."""
    shape = _model(service).operation_model(operation)
    path, _, query = request.target.partition("?")
    labels = re.sub(
        r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(shape.http["requestUri"].partition("?")[0].rstrip("/"))
    )
    matched = re.fullmatch(labels, path.rstrip("/"))
    given = {**(matched.groupdict() if matched else {}), **dict(parse_qsl(query))}
    read = {}
    input_shape = shape.input_shape
    for name, member in (input_shape.members if input_shape else {}).items():
        wire = member.serialization.get("name", name)
        if member.serialization.get("location") in ("uri", "querystring") and wire in given:
            read[name] = unquote(given[wire])
    holds_bytes = input_shape is not None and "payload" in input_shape.serialization
    return read if holds_bytes or not body else {**json.loads(body), **read}


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def needs_of_s3(request: Received) -> list[Need]:
    """Return what a request to S3 (path style) needs; empty for a request that is in none of the tables."""
    address = urlsplit(request.target)
    bucket, _, key = unquote(address.path).lstrip("/").partition("/")
    query = parse_qs(address.query, keep_blank_values=True)
    headers = {"x-amz-copy-source": source} if (source := request.headers.get("x-amz-copy-source")) else {}
    if not bucket:
        return []
    if key:
        needed = s3_requests.object_permissions(request.method, bucket, key, query, headers)
    elif request.method == "POST" and "delete" in query:
        listed = xmltodict.parse(request.body, force_list=("Object",))["Delete"].get("Object", [])
        needed = [s3_requests.delete_permission(bucket, one["Key"], one.get("VersionId")) for one in listed]
    else:
        permission = s3_requests.bucket_permission(request.method, bucket, query)
        needed = [permission] if permission else []
    return [
        Need(one.action if ":" in one.action else f"s3:{one.action}", one.resource, _s3_context(request, query))
        for one in needed
    ]


def _s3_context(request: Received, query: Mapping[str, list[str]]) -> dict[str, str | list[str]]:
    """What AWS knows of a request to S3: preconditions, the first of its headers, and the prefix of a listing."""
    headers = {f"s3:{name}": request.headers.get(name) for name in ("if-match", "if-none-match", "x-amz-acl")}
    asked = {f"s3:{name}": query[name][0] for name in ("prefix", "delimiter", "max-keys") if query.get(name)}
    return {key: value for key, value in (headers | asked).items() if value is not None}
