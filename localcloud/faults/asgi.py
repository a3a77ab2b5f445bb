"""Faults at the edge of an ASGI application served by uvicorn."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from localcloud.faults import names
from localcloud.faults.answers import Answer, refusal
from localcloud.faults.control import OWN, call_of, control
from localcloud.faults.kind import Kind
from localcloud.faults.rules import ApiCall, FaultRule, Faults
from localcloud.iam.received import Received
from localcloud.process.parent_watch import exit_when_parent_is_gone
from localcloud.process.part import arguments

_TRANSPORT: Final = "localcloud.transport"

Recognise = Callable[[str, str, names.Headers], "tuple[str, str, str] | None"]
"""From method, target and headers to service, operation (as counted) and operation (as matched)."""


def lambda_call(method: str, target: str, headers: names.Headers) -> tuple[str, str, str] | None:
    """Recognise a call of the Lambda API; a request to a function URL is none."""
    if target.startswith("/url/"):
        return None
    named = names.aws_call(method, target, headers, b"")
    return (*named, named[1]) if named else None


def github_call(method: str, target: str, _: names.Headers) -> tuple[str, str, str] | None:
    """Recognise a call of the GitHub API."""
    path = target.partition("?")[0]
    if not path.startswith("/api/v3/"):
        return None
    return ("github", *names.by_path(method, path.removeprefix("/api/v3")))


def news_call(method: str, target: str, _: names.Headers) -> tuple[str, str, str]:
    """Every request to the news is a call."""
    return ("news", *names.by_path(method, target.partition("?")[0]))


Refuse = Callable[[Received], Awaitable[Answer | None]]
"""From a request to the refusal that its sender gets; None for one that may be carried out."""


class Droppable(H11Protocol):
    """Uvicorn's protocol that lets the application close a connection without an answer, which ASGI cannot say."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Hand the connection to the application with each of its requests."""
        super().connection_made(transport)
        self.app_state = self.app_state | {_TRANSPORT: transport}


class Faulty:
    """An ASGI application that misbehaves by rules; serve it with `uvicorn.run(..., http=Droppable)`."""

    def __init__(self, app: ASGIApp, recognise: Recognise, refuse: Refuse | None = None) -> None:
        self.faults = Faults()
        self._app = app
        self._recognise = recognise
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the routes of faults, let a call through, or do to it what its rule says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        if target.startswith(OWN):
            body = await _body(receive) if scope["method"] == "PUT" and target == f"{OWN}faults" else b""
            answer = control(self.faults, scope["method"], target, body)
            await (_response(answer) if answer else self._app)(scope, receive, send)
            return
        headers = Headers(scope=scope)
        call = call_of(self._recognise(scope["method"], target, headers), headers)
        rule = self.faults.strike(call) if call else None
        if self._refuse and headers.get("authorization") and not target.startswith("/url/"):
            content = await _body(receive)
            receive = _again(content, receive)
            if refusal := await self._refuse(Received(scope["method"], target, headers, content)):
                await _response(refusal)(scope, receive, send)
                return
        if call is None or rule is None:
            await self._app(scope, receive, send)
        else:
            await self._misbehave(rule, call, scope, receive, send)

    async def _misbehave(self, rule: FaultRule, call: ApiCall, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.kind in (Kind.LOST, Kind.SLOW):
            held: list[Message] = []

            async def hold(message: Message) -> None:
                held.append(message)

            await self._app(scope, receive, hold)
            if rule.kind is Kind.SLOW:
                await asyncio.sleep(rule.seconds)
                for message in held:
                    await send(message)
                return
        else:
            await _body(receive)
            if rule.kind is not Kind.TIMEOUT:
                await _response(refusal(rule, call, Headers(scope=scope)))(scope, receive, send)
                return
            await asyncio.sleep(rule.seconds)
        scope["state"][_TRANSPORT].close()
        while (await receive())["type"] != "http.disconnect":
            pass  # Until uvicorn knows: an application that ends earlier without an answer gets a 500 sent.


def serve(part: str, app: ASGIApp, recognise: Recognise) -> None:
    """Serve the application of a part on loopback (`--port`) until the process ends."""
    port = arguments(part).parse_args().port
    exit_when_parent_is_gone()
    uvicorn.run(Faulty(app, recognise), http=Droppable, host="127.0.0.1", port=port, log_level="info")


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


def _again(content: bytes, receive: Receive) -> Receive:
    """Return what gives the application the body that was read already, and after it what comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return replay


async def _body(receive: Receive) -> bytes:
    content = b""
    while (message := await receive())["type"] == "http.request":
        content += message.get("body", b"")
        if not message.get("more_body"):
            break
    return content
