"""Which variables reach what others have written: engine, plugins, program, installer, and what audits packages."""

from types import SimpleNamespace

import pytest

from release.artifacts import program
from release.build import builder
from release.clients import package_index
from release.preview import engine as previewing
from release.processes import Children
from release.pulumi import stack as engine
from release.uv_settings import for_the_engine, sources_only
from tests.unit.release.release_world import Silent

SECRET = {
    "GITHUB_TOKEN": "x",
    "GH_TOKEN": "x",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.actions.githubusercontent.com",
    "ACTIONS_RUNTIME_TOKEN": "x",
    "SOMEBODYS_API_KEY": "x",
    "UV_PUBLISH_TOKEN": "x",
}
FOR_AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SESSION_TOKEN": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
NEEDED = {
    "PATH": "/usr/bin",
    "HOME": "/home/somebody",
    "https_proxy": "http://proxy:3128",
    "LC_ALL": "C",
    "UV_DEFAULT_INDEX": "https://mirror/simple",
    "LOCALCLOUD_HOME": "/somewhere",
}


@pytest.fixture
def handed(monkeypatch):
    """A shell of CI; and the environments of the processes that were started from it."""
    for name, value in (SECRET | FOR_AWS | NEEDED).items():
        monkeypatch.setenv(name, value)
    found = []

    def start(*_, env, **__):
        found.append(dict(env))
        raise FileNotFoundError

    ran = SimpleNamespace(Popen=start, run=start, PIPE=-1, DEVNULL=-3, TimeoutExpired=TimeoutError)
    for module in (engine, program, package_index):
        monkeypatch.setattr(module, "subprocess", ran)
    monkeypatch.setattr(engine.shutil, "which", lambda *_, **__: "/usr/bin/pulumi")
    monkeypatch.setattr(Children, "run", lambda _self, _command, *, cwd, env: start(env=env))
    return found


def run_all(tmp_path):
    """Start everything that runs code of others beside our credentials."""
    for start in (
        lambda: engine.Stack("prod", tmp_path, Silent())._checked(["preview"]),
        lambda: program._sync(tmp_path),
        lambda: builder._install("dashboard", tmp_path, tmp_path, b"", Children()),
        lambda: builder._requirements("dashboard", tmp_path, Children()),
        lambda: package_index.PackageIndex.from_environment().findings([("six", "1.17.0")]),
    ):
        with pytest.raises((FileNotFoundError, engine.ReleaseError)):
            start()


def test_no_token_of_github_reaches_engine_program_plugins_or_installer(handed, tmp_path):
    run_all(tmp_path)
    assert len(handed) == 5
    for environment in handed:
        assert environment.keys() & SECRET.keys() == set()
        assert environment["PATH"].startswith("/usr/bin")
        assert environment["https_proxy"] == "http://proxy:3128"


def test_only_the_engine_is_given_the_credentials_of_aws(handed, tmp_path):
    run_all(tmp_path)
    given = [environment.keys() & FOR_AWS.keys() == FOR_AWS.keys() for environment in handed]
    assert given == [True, False, False, False, False]


def test_what_is_not_on_the_list_is_not_handed_on():
    """A list of what is allowed: nobody can know the names of all secrets."""
    everything = SECRET | FOR_AWS | NEEDED | {"VIRTUAL_ENV": "/x", "PULUMI_HOME": "/plugins"}
    assert sources_only(everything) == NEEDED | {"UV_NO_CONFIG": "1"}
    assert for_the_engine(everything) == NEEDED | FOR_AWS | {"UV_NO_CONFIG": "1", "PULUMI_HOME": "/plugins"}


def test_a_preview_is_given_no_password_of_an_index_either():
    shell = SECRET | FOR_AWS | NEEDED | {"UV_INDEX_OURS_PASSWORD": "x", "PULUMI_HOME": "/plugins", "PULUMI_X": "x"}
    given = previewing._environment(shell, "prod", {"aws:region": "us-east-1"}, "http://127.0.0.1:9")
    assert given.keys() & (SECRET.keys() | {"UV_INDEX_OURS_PASSWORD", "AWS_SESSION_TOKEN", "PULUMI_X"}) == set()
    assert (given["PULUMI_HOME"], given["LOCALCLOUD_HOME"]) == ("/plugins", "/somewhere")
    assert given["AWS_ACCESS_KEY_ID"] == "preview"
