"""Which calls a fault hits, how calls are recognised, and that every refusal is one that botocore understands."""

import threading
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from localcloud.faults import names
from localcloud.faults.answers import refusal
from localcloud.faults.asgi import github_call, lambda_call
from localcloud.faults.control import call_of, control
from localcloud.faults.kind import Kind
from localcloud.faults.rules import ApiCall, FaultRule, FaultRuleError, Faults

PUT = ApiCall("s3", "PutObject", "Boto3/1 app/release", "PutObject")


def rule(target="s3:PutObject", kind="error", **more):
    service, _, operation = target.partition(":")
    return FaultRule.read({"service": service, "operation": operation or "*", "kind": kind} | more)


def hits(wanted: FaultRule, calls: int) -> list[int]:
    """The numbers of the calls, from 1, that a rule hits."""
    faults = Faults()
    faults.add(wanted)
    return [number for number in range(1, calls + 1) if faults.strike(PUT)]


# Counting


@given(nth=st.integers(1, 30), times=st.integers(0, 10), calls=st.integers(0, 60))
def test_nth_hits_from_the_nth_call_on_once_or_as_often_as_said(nth, times, calls):
    assert hits(rule(nth=nth, times=times), calls) == [n for n in range(nth, nth + (times or 1)) if n <= calls]


@given(times=st.integers(0, 5), calls=st.integers(0, 20))
def test_a_rule_without_a_count_hits_every_call_until_the_limit(times, calls):
    assert hits(rule(times=times), calls) == list(range(1, calls + 1))[: times or None]


@given(ratio=st.floats(0.05, 0.95), seed=st.integers(), times=st.integers(1, 5))
def test_the_same_seed_hits_the_same_calls_and_a_limit_only_cuts_the_end(ratio, seed, times):
    hit = hits(rule(ratio=ratio, seed=seed), 200)
    assert hit == hits(rule(ratio=ratio, seed=seed), 200)
    assert hits(rule(ratio=ratio, seed=seed, times=times), 200) == hit[:times]


def test_a_ratio_hits_about_that_part_and_another_seed_hits_others():
    first, second = (hits(rule(ratio=0.2, seed=seed), 5000) for seed in (7, 8))
    assert 900 < len(first) < 1100
    assert first != second


def test_threads_that_call_at_once_are_hit_exactly_as_often_as_said():
    faults, hit = Faults(), []
    faults.add(rule(nth=100, times=7))

    def call() -> None:
        hit.extend(one for _ in range(200) if (one := faults.strike(PUT)))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hit) == 7
    assert faults.calls() == {"s3:PutObject": 1600}
    assert [(one["seen"], one["struck"]) for one in faults.listed()] == [(1600, 7)]


def test_of_two_rules_the_first_wins_the_other_keeps_its_turn_and_all_count_every_call():
    faults = Faults()
    for kind, nth in (("throttle", 2), ("error", 2), ("lost", 4)):
        faults.add(rule(kind=kind, nth=nth))
    struck = [faults.strike(PUT) for _ in range(5)]
    assert [one and one.kind for one in struck] == [None, Kind.THROTTLE, Kind.ERROR, Kind.LOST, None]


def test_a_rule_hits_only_its_service_operation_and_caller():
    faults = Faults()
    faults.add(rule("s3:Put*", caller="app/release"))
    assert faults.strike(PUT)
    for other in (
        ApiCall("s3", "GetObject", PUT.caller, "GetObject"),
        ApiCall("s3", "PutObject", "aws-sdk-go-v2/1.0", "PutObject"),
        ApiCall("dynamodb", "PutItem", PUT.caller, "PutItem"),
    ):
        assert faults.strike(other) is None
    assert faults.calls("app/release") == {"dynamodb:PutItem": 1, "s3:GetObject": 1, "s3:PutObject": 1}
    assert faults.calls()["s3:PutObject"] == 2


def test_clearing_forgets_rules_and_counts():
    faults = Faults()
    faults.add(rule())
    faults.strike(PUT)
    assert faults.clear() == 1
    assert (faults.listed(), faults.calls(), faults.strike(PUT)) == ([], {}, None)


# Rules


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"service": "s4"}, r"no service 's4'; it has budgets,"),
        ({"service": "lamda"}, "nearest: lambda"),
        ({"service": "ec2"}, "no service 'ec2'"),
        ({"service": "lambda", "operation": "UpdateAlais"}, "nearest: UpdateAlias"),
        ({"service": "s3", "operation": "putobject"}, "nearest: PutObject"),
        ({"service": "dynamodb", "operation": "Put"}, "no operation 'Put'"),
        ({"service": "github", "operation": "Pulls"}, "METHOD /path"),
        ({"service": "*", "operation": "PutObject"}, "needs a service"),
        ({"service": "s3", "kind": "explode"}, "kind: .*throttle"),
        ({"service": "s3", "nth": 1, "ratio": 0.5}, "nth and ratio exclude each other"),
        ({"service": "s3", "ratio": 1.5}, "ratio: "),
        ({"service": "s3", "seed": 3}, "seed belongs to a ratio"),
        ({"service": "s3", "seconds": 3}, "seconds belong to"),
        ({"service": "s3", "sometimes": 1}, "sometimes: "),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_nearest_names(wanted, said):
    with pytest.raises(FaultRuleError, match=said):
        FaultRule.read({"kind": "error"} | wanted)
    answer = control(Faults(), "PUT", "/_localcloud/faults", b"[]")
    assert answer is not None
    assert answer.status == 400


# Recognising calls


class SentError(Exception):
    """Carries a request out of botocore instead of sending it."""


def client_that_answers(service: str, answer):
    """A client whose requests go to `answer`, which returns the HTTP response or raises."""
    client = boto3.client(
        service,
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="AKIALOCALCLOUD000000",
        aws_secret_access_key="made-up",
        config=Config(
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            inject_host_prefix=False,
            s3={"addressing_style": "path"},
        ),
    )
    client.meta.events.register("before-send", answer)
    return client


def raise_request(request, **_):
    raise SentError(request)


def example(shape, depth=0):
    """Any value that botocore can put on the wire for a shape."""
    if shape.type_name == "structure":
        return {name: example(shape.members[name], depth + 1) for name in shape.required_members} if depth < 6 else {}
    if shape.type_name == "list":
        return [example(shape.member, depth + 1)]
    if shape.type_name == "timestamp":
        return "2030-01-01T00:00:00Z"
    return {"map": {}, "integer": 1, "long": 1, "boolean": True, "blob": b"x", "double": 1.0}.get(
        shape.type_name, "name"
    )


def request_of(client, operation):
    model = client.meta.service_model.operation_model(operation)
    with pytest.raises(SentError) as caught:
        client._make_api_call(operation, example(model.input_shape) if model.input_shape else {})
    return caught.value.args[0]


def recognised(request):
    parts = urlsplit(request.url)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return names.aws_call(request.method, target, Headers(headers), body)


@pytest.mark.parametrize("service", names.AWS)
def test_every_operation_is_recognised_from_the_request_that_botocore_sends(service):
    client = client_that_answers(service, raise_request)
    found = {operation: recognised(request_of(client, operation)) for operation in names.operations(service)}
    assert {operation: one for operation, one in found.items() if one != (service, operation)} == {}


def test_presigned_and_unsigned_requests_are_recognised_where_aws_allows_them():
    presigned = "/b/k?X-Amz-Credential=AKIA%2F20261123%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    assert names.aws_call("GET", presigned, Headers(), b"") == ("s3", "GetObject")
    form = Headers({"Content-Type": "application/x-www-form-urlencoded"})
    web_identity = b"Version=2011-06-15&Action=AssumeRoleWithWebIdentity"
    assert names.aws_call("POST", "/", form, web_identity) == ("sts", "AssumeRoleWithWebIdentity")
    assert names.aws_call("PUT", "/bucket", Headers(), b"") is None
    assert names.aws_call("GET", "/moto-api/data.json", Headers(), b"") is None


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("/repos/local/pipeline/pulls/12/commits", "GET /repos/*/pulls/*/commits"),
        (f"/repos/local/pipeline/commits/{'a1' * 20}/pulls", "GET /repos/*/commits/*/pulls"),
        ("/repositories/900000001/environments/production", "GET /repositories/*/environments/production"),
        ("/repos/local/pipeline", "GET /repos/*"),
    ],
)
def test_calls_of_github_are_counted_without_names_and_numbers_and_found_again_by_what_they_are_counted_as(
    path, counted
):
    faults = Faults()
    faults.add(rule(f"github:{counted}"))
    call = call_of(github_call("GET", f"/api/v3{path}?page=2", Headers()), Headers())
    assert faults.strike(call)
    assert faults.calls() == {f"github:{counted}": 1}
    other = call_of(github_call("GET", f"/api/v3{path}/more", Headers()), Headers())
    assert faults.strike(other) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "GET /repos/*/pulls/*",
        "GET /repos/local/pipeline/pulls/12",
        "* /repos/*/pulls/12",
        "GET /repos/**",
        "GET /repos/*/*/12",
    ],
)
def test_a_path_pattern_finds_a_call_by_its_parts(pattern):
    faults = Faults()
    faults.add(rule(f"github:{pattern}"))
    for path, found in (("/repos/local/pipeline/pulls/12", True), ("/user", False)):
        call = call_of(github_call("GET", f"/api/v3{path}", Headers()), Headers())
        assert bool(faults.strike(call)) is found


def test_function_urls_and_calls_between_the_parts_are_no_calls():
    signed = Headers({"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/lambda/aws4_request"})
    alias = "/2015-03-31/functions/one/aliases/live"
    assert lambda_call("PUT", alias, signed) == ("lambda", "UpdateAlias", "UpdateAlias")
    assert lambda_call("GET", "/url/abc/health", signed) is None
    named = ("lambda", "UpdateAlias", "UpdateAlias")
    assert call_of(named, Headers({"User-Agent": "Boto3/1 app/localcloud Botocore/1"})) is None
    assert call_of(named, Headers({"User-Agent": "Boto3/1 Botocore/1 localcloud-aws-provider"})) is not None


# Refusals


REFUSALS = (Kind.THROTTLE, Kind.ERROR, Kind.EXPIRED)


@pytest.mark.parametrize("service", names.AWS)
@pytest.mark.parametrize("kind", REFUSALS)
def test_botocore_reads_every_refusal_as_an_error_of_that_kind(service, kind):
    operation = {"s3": "PutObject", "lambda": "UpdateAlias"}.get(service, names.operations(service)[0])

    def answer(request, **_):
        headers = Headers(
            {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
        )
        said = refusal(rule(service, kind), ApiCall(service, operation, "", operation), headers)
        response = AWSResponse(request.url, said.status, Headers(said.headers), None)
        response._content = said.body
        return response

    client = client_that_answers(service, answer)
    model = client.meta.service_model.operation_model(operation)
    with pytest.raises(ClientError) as caught:
        client._make_api_call(operation, example(model.input_shape))
    error, status = caught.value.response["Error"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert error["Message"]
    match kind:
        case Kind.THROTTLE:
            assert error["Code"] in ThrottledRetryableChecker._THROTTLED_ERROR_CODES
        case Kind.ERROR:
            assert status in {500, 503}
            assert not error["Code"].isdecimal()
        case Kind.EXPIRED:
            assert error["Code"] in {"ExpiredToken", "ExpiredTokenException"}
            assert status in {400, 403}
