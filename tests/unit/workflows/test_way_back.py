"""The script with which the job that rolls back begins, against a server that plays S3."""

import io
import os
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.workflows.graph import ROOT

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tools" / "way-back.sh"


@pytest.fixture
def kept():
    """A server that has the archive; its address, and the requests that it was asked."""
    asked = []

    class S3(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            body = io.BytesIO()
            tarfile.open(fileobj=body, mode="w:gz").close()
            self.send_response(200 if "/bucket/" in self.path else 404)
            self.end_headers()
            self.wfile.write(body.getvalue())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), S3)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def begin(address, folder, bucket="bucket", **credentials):
    (folder / "uv.lock").write_text("a lock")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    variables |= {"AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "BUCKET": bucket, "no_proxy": "127.0.0.1"}
    return subprocess.run(["sh", SCRIPT], cwd=folder, env=variables | credentials, capture_output=True, check=False)


KEY = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up-too"}


def test_the_credentials_of_a_role_are_sent_with_their_session(kept, tmp_path):
    address, asked = kept
    ran = begin(address, tmp_path, **KEY, AWS_SESSION_TOKEN="made/up+token==")
    assert ran.returncode == 0, ran.stderr
    ((path, headers),) = asked
    assert path.startswith("/bucket/way-back/")
    assert headers["x-amz-security-token"] == "made/up+token=="
    assert "x-amz-security-token" in headers["Authorization"], "AWS wants it signed"


def test_the_key_of_a_user_has_no_session(kept, tmp_path):
    address, asked = kept
    assert begin(address, tmp_path, **KEY).returncode == 0
    ((_, headers),) = asked
    assert "x-amz-security-token" not in headers
    assert "Credential=made-up/" in headers["Authorization"]


def test_where_nothing_is_kept_it_says_so_by_its_exit_code(kept, tmp_path):
    assert begin(kept[0], tmp_path, bucket="another", **KEY).returncode == 22
