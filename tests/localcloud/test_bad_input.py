"""Bad input is answered with what is wrong and what to do, and nothing is left half-written."""

import base64
import hashlib
import json
import os
import shutil
import subprocess

import boto3
import pytest
import yaml

from components.service.functions import KEYS
from release.canonical import canonical_json
from tests.cloud import BIN, ROOT, Cloud
from tests.engine.conftest import program_copy
from tests.stacks import STACK_FILES

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]
USAGE, REFUSED = 2, 3


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    running = Cloud.start(tmp_path_factory.mktemp("cloud"))
    running.run("pulumi", "up", "--yes", "--skip-preview", "--stack", "preprod-foundation")
    yield running
    running.stop()


@pytest.fixture
def untouched(cloud):
    """Nothing may appear in the bucket of packages and the ledger."""

    def objects():
        client = boto3.client(
            "s3",
            endpoint_url=cloud.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        listed = client.list_object_versions(Bucket="preprod-sentiment-lambda-deployments")
        return [version["Key"] for version in listed.get("Versions", [])]

    before = objects()
    yield
    assert objects() == before == []


def head():
    return subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def manifest(sha):
    def entry(function):
        package = f"{function}-{sha}.zip"
        digest = hashlib.sha256(package.encode())
        return {
            "package": package,
            "sha256": digest.hexdigest(),
            "code_sha256": base64.b64encode(digest.digest()).decode(),
            "size": len(package),
            "content_sha256": digest.hexdigest(),
            "handler": "handler.handle",
            "lock_sha256": digest.hexdigest(),
        }

    return {
        "schema": 1,
        "sha": sha,
        "built_at": "2026-11-23T05:52:00Z",
        "runtime": "python3.11",
        "architecture": "x86_64",
        "functions": {function: entry(function) for function in KEYS},
    }


def folder_of(target, document):
    """A folder as `release build` leaves it; each package holds its own name."""
    target.mkdir()
    (target / "manifest.json").write_bytes(canonical_json(document))
    for entry in document["functions"].values():
        (target / entry["package"]).write_text(entry["package"])
    return target


def refused(ran, *says):
    assert "Traceback" not in ran.stdout + ran.stderr
    for text in says:
        assert text in ran.stderr, ran.stderr
    return ran


def preview(cloud, folder, *words, expected):
    return cloud.run("pulumi", "preview", "--stack", "preprod", *words, folder=folder, expected=expected)


@pytest.mark.parametrize("key", ["sentiment-pipeline:scope", "sentiment-pipeline:environment"])
def test_a_missing_setting_is_named(key, cloud, tmp_path):
    tracked = yaml.safe_load((STACK_FILES / "Pulumi.preprod.yaml").read_text())
    del tracked["config"][key]
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.safe_dump(tracked))
    ran = preview(cloud, ROOT, "--config-file", str(copy), expected=None)
    assert ran.exit_code != 0  # the engine's own code
    said = ran.stdout + ran.stderr
    assert "Traceback" not in said
    # Of the project's own keys the engine leaves the namespace out.
    assert key.removeprefix("sentiment-pipeline:") in said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("config:\n  a: [1\n  b: 2\n", "is not valid YAML: line 3: "),
        ("config:\n\t- tab\n", "is not valid YAML"),
        ("- a list\n", "is no stack file"),
        ("config: [1, 2]\n", "is no stack file"),
        (b"\xff\xfe\x00", "is not valid YAML"),
    ],
)
def test_a_stack_file_that_cannot_be_read_is_named(content, why, cloud, tmp_path):
    folder = program_copy(tmp_path / "program")
    file = folder / "Pulumi.preprod.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(preview(cloud, folder, expected=USAGE), why, str(file), "->").stderr
    assert len(said.splitlines()) == 2
    copy = tmp_path / "copy.yaml"
    shutil.move(file, copy)
    shutil.copy(STACK_FILES / file.name, file)
    refused(preview(cloud, folder, "--config-file", str(copy), expected=USAGE), why, str(copy))


def test_a_config_file_that_is_not_there_is_named(cloud, tmp_path):
    ran = preview(cloud, ROOT, "--config-file", str(tmp_path / "none.yaml"), expected=USAGE)
    refused(ran, f"there is no file {tmp_path / 'none.yaml'}")


def deploy(cloud, build, *words, expected):
    ran = cloud.run("release", "deploy", "--stack", "preprod", "--build", str(build), *words, expected=None)
    assert ran.exit_code == expected, ran.stderr
    return ran


def test_a_missing_package_is_named(cloud, untouched, tmp_path):
    build = folder_of(tmp_path / "build", manifest(head()))
    gone = next(build.glob("dashboard-*.zip"))
    gone.unlink()
    refused(deploy(cloud, build, expected=REFUSED), gone.name, "next:")


def test_a_package_with_other_bytes_is_named(cloud, untouched, tmp_path):
    build = folder_of(tmp_path / "build", manifest(head()))
    other = next(build.glob("analysis-*.zip"))
    other.write_text("something else")
    refused(deploy(cloud, build, expected=REFUSED), other.name, "next:")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda raw: b"", "not JSON"),
        (lambda raw: raw[:100], "not JSON"),
        (lambda raw: json.dumps(json.loads(raw), indent=1).encode(), "canonical"),
        (lambda raw: canonical_json({"lockfileVersion": 3}), "not valid"),
        (lambda raw: canonical_json(json.loads(raw) | {"sha": "0" * 40}), "not valid"),
    ],
    ids=["empty", "cut off", "reformatted", "of something else", "of another commit"],
)
def test_a_manifest_that_cannot_be_believed_is_refused(damage, why, cloud, untouched, tmp_path):
    build = folder_of(tmp_path / "build", manifest(head()))
    file = build / "manifest.json"
    file.write_bytes(damage(file.read_bytes()))
    refused(deploy(cloud, build, expected=USAGE), why, "next:")


def test_a_build_of_a_commit_that_this_clone_does_not_have_is_refused(cloud, untouched, tmp_path):
    build = folder_of(tmp_path / "build", manifest("0" * 40))
    refused(deploy(cloud, build, expected=USAGE), "0" * 12, "git fetch")


def test_a_folder_without_a_manifest_is_named(cloud, untouched, tmp_path):
    refused(deploy(cloud, tmp_path, expected=USAGE), str(tmp_path), "release build")


@pytest.fixture
def without_git(tmp_path):
    """A PATH with everything but git."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("sh", "env", "uname", "ldconfig", "gcc"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return os.pathsep.join([str(BIN), str(folder)])


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["release", "build", "--sha", "HEAD", "--out", "OUT"], USAGE),
        (["python", "-m", "localcloud.rehearsal.demo"], None),
    ],
    ids=["release build", "demo"],
)
def test_without_git_it_is_said_what_to_install(command, exit_code, without_git, tmp_path):
    home = tmp_path / "home"
    out = tmp_path / "out"
    ended = subprocess.run(
        [BIN / command[0], *(str(out) if word == "OUT" else word for word in command[1:])],
        cwd=ROOT,
        env=os.environ | {"PATH": without_git, "LOCALCLOUD_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == exit_code or (exit_code is None and ended.returncode != 0), said
    assert "Traceback" not in said
    assert "git is not installed" in said
    assert "nstall git" in said
    assert not out.exists()
    assert not (home / "cloud.json").exists()
