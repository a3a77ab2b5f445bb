"""Answers on loopback to the few questions that providers ask before they compare: who am I, and who is that person?

A preview has no credentials. The provider of AWS asks STS whose credentials it was given, and refuses to start when
that is not the account that the stack allows; no setting skips that (aws-sdk-go-base, `VerifyAccountIDAllowed`). The
one of GitHub looks up the reviewers whom the settings name. Neither needs the truth: the account is the one of the
settings, and a person is told from another by an id that is made of the name. Everything else is denied, so that a
preview which would ask a cloud fails by name.
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_IDENTITY: Final = """\
<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>\
<Arn>arn:aws:sts::{account}:assumed-role/preview/preview</Arn><UserId>PREVIEW:preview</UserId>\
<Account>{account}</Account></GetCallerIdentityResult>\
<ResponseMetadata><RequestId>preview</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""
_DENIED: Final = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>\
<Message>a preview asks AWS nothing but whose credentials it has</Message></Error>\
<RequestId>preview</RequestId></ErrorResponse>"""
_KEYS: Final = re.compile(r"/api/v3/users/[^/]+/(?:gpg_keys|keys)")
_ORGANIZATION: Final = re.compile(r"/api/v3/orgs/([^/]+)")
_REVIEWER: Final = re.compile(r"/api/v3/(?:users|orgs/[^/]+/teams)/([^/]+)")
_LONGEST_QUESTION: Final = 65_536


class AnswerServer(ThreadingHTTPServer):
    """A server for one preview; `people` fills with the ids that it has given, and to whom."""

    def __init__(self, account: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.account = account
        self.people: dict[str, str] = {}
        self.denied: list[str] = []
        """Other questions that were asked, as `METHOD path`."""

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def running(self) -> Generator[AnswerServer]:
        """Answer for the time of a `with` block."""
        serving = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            serving.join()

    def github(self, path: str) -> Any:
        """Return GitHub's answer at `path`, as far as a provider needs it; `None` for anything else."""
        if _KEYS.fullmatch(path):
            return []
        if found := _ORGANIZATION.fullmatch(path):
            return {"login": unquote(found[1]), "id": 1, "type": "Organization"}
        if found := _REVIEWER.fullmatch(path):
            name = unquote(found[1])
            number = 1_000_000 + zlib.crc32(name.casefold().encode())
            self.people[str(number)] = name
            # The fields of a user and of a team: a client reads those that it knows.
            team = {"slug": name, "name": name, "privacy": "closed", "permission": "pull"}
            return {"login": name, "type": "User", **team, "id": number, "node_id": f"preview-{number}"}
        return None


class _Handler(BaseHTTPRequestHandler):
    server: AnswerServer  # ty: ignore[incompatible-mutable-override] -- no other server makes one

    def do_POST(self) -> None:
        """Answer AWS's query protocol."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _LONGEST_QUESTION))
        if b"Action=GetCallerIdentity" in body:
            self._say(HTTPStatus.OK, "text/xml", _IDENTITY.format(account=self.server.account))
        else:
            self._deny()

    def do_GET(self) -> None:
        """Answer GitHub's REST API."""
        document = self.server.github(urlsplit(self.path).path)
        if document is None:
            self._deny()
        else:
            self._say(HTTPStatus.OK, "application/json", json.dumps(document))

    def _deny(self) -> None:
        self.server.denied.append(f"{self.command} {urlsplit(self.path).path}")
        self._say(HTTPStatus.FORBIDDEN, "text/xml", _DENIED)

    do_PUT = do_PATCH = do_DELETE = do_HEAD = _deny  # noqa: N815 -- names of http.server

    def _say(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- name of http.server
        """Keep quiet: who asked what is in `denied`."""
