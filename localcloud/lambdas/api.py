"""The HTTP face: the REST paths of the Lambda API, function URLs, and two routes of our own."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.habits import SLOW_RIGHTS
from localcloud.lambdas import events, rules
from localcloud.lambdas.errors import ServiceError, invalid
from localcloud.lambdas.invoker import Invoker, Target, new_request_id
from localcloud.lambdas.packages import Packages
from localcloud.lambdas.runtime import Pool
from localcloud.lambdas.store import FunctionStore
from localcloud.lambdas.telemetry import Telemetry
from localcloud.process.aws_clients import AwsClients

_LOG = logging.getLogger(__name__)
_FUNCTIONS = "/2015-03-31/functions"
_ONE = _FUNCTIONS + "/{name}"
_ALIASES, _ALIAS = _ONE + "/aliases", _ONE + "/aliases/{alias}"
_URL = "/2021-10-31/functions/{name}/url"
_TAGS = "/2017-03-31/tags/{arn}"
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to the control plane, read."""

    name: str
    qualifier: str
    path: Mapping[str, Any]
    query: QueryParams
    body: Mapping[str, Any]


Handler = Callable[[Ask], Any]


@dataclass(kw_only=True)
class Api:
    """Routes requests to the store, the packages and the invoker."""

    store: FunctionStore
    packages: Packages
    pool: Pool
    invoker: Invoker
    telemetry: Telemetry
    cloud: AwsClients

    def app(self) -> Starlette:
        """The ASGI application."""
        # The two hot routes stand first: routes are tried in order.
        special = [
            Route(_ONE + "/invocations", self._guarded(self._invoke), methods=["POST"]),
            Route("/url/{url_id}{path:path}", self._serve_url, methods=_EVERY_METHOD),
            Route("/_localcloud/health", self._health, methods=["GET"]),
            Route("/_localcloud/flush", self._flush, methods=["POST"]),
        ]
        control = [
            Route(path, self._guarded(partial(self._answer, handler, status)), methods=[method])
            for method, path, status, handler in self._table()
        ]
        unknown = Route("/{path:path}", self._unknown, methods=_EVERY_METHOD)
        return Starlette(routes=[*special, *control, unknown], lifespan=self._lifespan)

    def _table(self) -> list[tuple[str, str, int, Handler]]:
        store = self.store
        return [
            ("POST", _FUNCTIONS, 201, self._create),
            ("GET", _FUNCTIONS, 200, lambda ask: _page(ask, "Functions", store.list_functions())),
            ("GET", _ONE, 200, self._get),
            ("DELETE", _ONE, 204, lambda ask: store.delete(ask.name, ask.qualifier)),
            ("GET", _ONE + "/configuration", 200, lambda ask: store.configuration(ask.name, ask.qualifier)),
            ("PUT", _ONE + "/configuration", 200, self._update_configuration),
            ("PUT", _ONE + "/code", 200, self._update_code),
            ("POST", _ONE + "/versions", 201, lambda ask: store.publish(ask.name, ask.body)),
            ("GET", _ONE + "/versions", 200, lambda ask: _page(ask, "Versions", store.list_versions(ask.name))),
            ("POST", _ALIASES, 201, lambda ask: store.create_alias(ask.name, ask.body)),
            ("GET", _ALIASES, 200, lambda ask: _page(ask, "Aliases", store.list_aliases(ask.name))),
            ("GET", _ALIAS, 200, lambda ask: store.get_alias(ask.name, ask.path["alias"])),
            ("PUT", _ALIAS, 200, lambda ask: store.update_alias(ask.name, ask.path["alias"], ask.body)),
            ("DELETE", _ALIAS, 204, lambda ask: store.delete_alias(ask.name, ask.path["alias"])),
            ("POST", _ONE + "/policy", 201, lambda ask: store.add_permission(ask.name, ask.qualifier, ask.body)),
            ("GET", _ONE + "/policy", 200, lambda ask: store.get_policy(ask.name, ask.qualifier)),
            ("DELETE", _ONE + "/policy/{sid}", 204, self._remove_permission),
            ("POST", _URL, 201, lambda ask: store.create_url(ask.name, ask.qualifier, ask.body)),
            ("GET", _URL, 200, lambda ask: store.get_url(ask.name, ask.qualifier)),
            ("PUT", _URL, 200, lambda ask: store.update_url(ask.name, ask.qualifier, ask.body)),
            ("DELETE", _URL, 204, lambda ask: store.delete_url(ask.name, ask.qualifier)),
            ("PUT", "/2017-10-31/functions/{name}/concurrency", 200, lambda ask: store.reserve(ask.name, ask.body)),
            ("DELETE", "/2017-10-31/functions/{name}/concurrency", 204, self._delete_concurrency),
            ("GET", "/2020-06-30/functions/{name}/code-signing-config", 200, self._code_signing),
            ("GET", _TAGS, 200, lambda ask: {"Tags": self._tags(ask)}),
            ("POST", _TAGS, 204, lambda ask: self._tags(ask).update(ask.body.get("Tags") or {})),
            ("DELETE", _TAGS, 204, self._untag),
            ("GET", "/2016-08-19/account-settings", 200, lambda _: store.account_settings()),
        ]

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        yield
        await self.pool.close()
        await asyncio.to_thread(self.telemetry.flush)

    # Requests and answers

    def _guarded(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except ServiceError as error:
                return _refusal(error)
            except (BotoCoreError, ClientError) as error:
                _LOG.exception("%s %s", request.method, request.url.path)
                return _refusal(ServiceError("ServiceException", f"The local cloud behind Lambda failed: {error}", 500))

        return guarded

    async def _answer(self, handler: Handler, status: int, request: Request) -> Response:
        content = await request.body()
        try:
            body = json.loads(content) if content else {}
        except ValueError:
            raise ServiceError("InvalidRequestContentException", "The request's body is not JSON.") from None
        name, qualifier = "", ""
        if "name" in request.path_params or "FunctionName" in body:
            reference = request.path_params.get("name") or body["FunctionName"]
            name, qualifier = self.store.parse(reference, request.query_params.get("Qualifier"))
        answer = handler(Ask(name, qualifier, request.path_params, request.query_params, body))
        if asyncio.iscoroutine(answer):
            answer = await answer
        headers = {"x-amzn-requestid": new_request_id()}
        return Response(status_code=204, headers=headers) if status == 204 else JSONResponse(answer, status, headers)  # noqa: PLR2004

    async def _unknown(self, request: Request) -> Response:
        _LOG.warning("no such route: %s %s", request.method, request.url.path)
        message = f"The local Lambda service has no {request.method} {request.url.path}"
        return _refusal(ServiceError("UnknownOperationException", message, 404))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"ok": True})

    async def _flush(self, _: Request) -> Response:
        """Send queued metrics and logs now, so that a test need not guess when they have arrived."""
        return JSONResponse({"ok": await asyncio.to_thread(self.telemetry.flush)})

    # Functions

    async def _create(self, ask: Ask) -> Any:
        rules.check_create_fields(ask.body)
        await asyncio.to_thread(self._check_role, ask.body["Role"])
        code = await self.packages.take(ask.body.get("Code") or {})
        return self.store.create({**ask.body, "FunctionName": ask.name}, code)

    async def _update_code(self, ask: Ask) -> Any:
        rules.check_code_fields(ask.body)
        self.store.function(ask.name)
        code = await self.packages.take(ask.body)
        return self.store.update_code(ask.name, ask.body, code)

    async def _update_configuration(self, ask: Ask) -> Any:
        rules.check_configuration_fields(ask.body)
        self.store.function(ask.name)
        if ask.body.get("Role"):
            await asyncio.to_thread(self._check_role, ask.body["Role"])
        return self.store.update_configuration(ask.name, ask.body)

    def _check_role(self, arn: str) -> None:
        """AWS refuses a role that does not exist or does not trust Lambda; programs that forget it should fail here."""
        iam = self.cloud.client("iam")
        try:
            role = iam.get_role(RoleName=arn.rsplit("/", 1)[-1])["Role"]
        except iam.exceptions.NoSuchEntityException:
            role = {}
        if role and time.time() < role["CreateDate"].timestamp() + self.store.habits.seconds(SLOW_RIGHTS, arn):
            role = {}
        if role.get("Arn") != arn or "lambda.amazonaws.com" not in json.dumps(role["AssumeRolePolicyDocument"]):
            raise invalid("The role defined for the function cannot be assumed by Lambda.")

    def _get(self, ask: Ask) -> Any:
        snapshot = self.store.snapshot(ask.name, ask.qualifier)
        function = self.store.function(ask.name)
        answer: dict[str, Any] = {
            "Configuration": self.store.describe(snapshot, ask.qualifier),
            "Code": {"RepositoryType": "S3"},
        }
        if function.tags:
            answer["Tags"] = function.tags
        if function.reserved is not None and not ask.qualifier:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return answer

    def _remove_permission(self, ask: Ask) -> None:
        self.store.remove_permission(ask.name, ask.qualifier, ask.path["sid"], ask.query.get("RevisionId"))

    def _delete_concurrency(self, ask: Ask) -> None:
        self.store.function(ask.name).reserved = None

    def _code_signing(self, ask: Ask) -> Any:
        self.store.function(ask.name)
        return {"FunctionName": ask.name}

    def _tags(self, ask: Ask) -> dict[str, str]:
        name, qualifier = self.store.parse(ask.path["arn"])
        if qualifier:
            raise invalid("Tags belong to functions: give an ARN without a qualifier.")
        return self.store.function(name).tags

    def _untag(self, ask: Ask) -> None:
        tags = self._tags(ask)
        for key in ask.query.getlist("tagKeys"):
            tags.pop(key, None)

    # Calls

    async def _invoke(self, request: Request) -> Response:
        name, qualifier = self.store.parse(request.path_params["name"], request.query_params.get("Qualifier"))
        kind = request.headers.get("x-amz-invocation-type") or "RequestResponse"
        payload = await request.body() or b"{}"
        request_id = new_request_id()
        headers = {"x-amzn-requestid": request_id}
        if not {"x-amz-client-context", "x-amz-log-type"}.isdisjoint(request.headers):
            raise invalid("ClientContext and LogType are not supported by the local Lambda service.")
        target = Target(name, qualifier)
        self.store.snapshot(name, qualifier)
        _check_payload(payload, rules.MAX_EVENT_PAYLOAD if kind == "Event" else rules.MAX_SYNC_PAYLOAD)
        if kind == "Event":
            self.invoker.send(target, payload, request_id)
            return Response(status_code=202, headers=headers)
        if kind != "RequestResponse":
            raise rules.malformed(kind, "invocationType", "RequestResponse or Event")
        reply = await self.invoker.call(target, payload, request_id)
        headers["x-amz-executed-version"] = reply.route.snapshot.version
        if reply.outcome.failed:
            headers["x-amz-function-error"] = "Unhandled"
        return Response(reply.outcome.payload, media_type="application/json", headers=headers)

    async def _serve_url(self, request: Request) -> Response:
        """A request to a function URL.

        An AWS_IAM URL asks for a signature and does not verify it: IAM is not enforced in the local cloud.
        """
        url = self.store.url_by_id(request.path_params["url_id"])
        if url is None:
            return JSONResponse({"Message": "Not Found"}, 404)
        allowed = (
            self.store.url_is_public(url)
            if url.auth_type == "NONE"
            else request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
        )
        if not allowed:
            return JSONResponse({"Message": "Forbidden"}, 403, {"x-amzn-errortype": "AccessDeniedException"})
        request_id = new_request_id()
        payload = json.dumps(events.event_of(request, await request.body(), url.url_id, request_id)).encode()
        try:
            _check_payload(payload, rules.MAX_SYNC_PAYLOAD)
            reply = await self.invoker.call(Target(url.function, url.qualifier), payload, request_id)
            answer = events.answer_of(reply.outcome.payload, failed=reply.outcome.failed)
        except events.BadResultError as error:
            _LOG.warning("function URL of %s answers 502: %s", self.store.arn(url.function, url.qualifier), error)
            answer = Response("Internal Server Error", 502, media_type="text/plain")
        except ServiceError as error:
            answer = JSONResponse({"Message": error.message}, error.status, {"x-amzn-errortype": error.code})
        answer.headers["x-amzn-requestid"] = request_id
        return answer


def _refusal(error: ServiceError) -> Response:
    headers = {"x-amzn-errortype": error.code, "x-amzn-requestid": new_request_id()}
    body = {"Type": "User" if error.status < 500 else "Service", "Message": error.message, **error.details}  # noqa: PLR2004
    return JSONResponse(body, error.status, headers)


def _check_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        message = f"{len(payload)} byte payload is too large for the invocation (limit {limit} bytes)"
        raise ServiceError("RequestTooLargeException", message, 413)
    try:
        json.loads(payload)
    except ValueError as error:
        raise ServiceError(
            "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from None


def _page(ask: Ask, key: str, items: list[Any]) -> dict[str, Any]:
    """One page of a list; the marker is the position of the next item."""
    if unknown := ask.query.keys() - {"Marker", "MaxItems"}:
        raise invalid(f"{', '.join(sorted(unknown))} is not supported by the local Lambda service.")
    try:
        start, size = int(ask.query.get("Marker") or 0), int(ask.query.get("MaxItems") or _PAGE)
    except ValueError:
        raise invalid("Marker or MaxItems is not valid.") from None
    page: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        page["NextMarker"] = str(start + size)
    return page
