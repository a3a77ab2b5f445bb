"""M9: a rollback begins on a machine that reaches neither a package index nor a host of engines and plugins."""

import os
import shutil
import subprocess
import sys

import pytest
from uv import find_uv_bin

from components.naming import names
from localcloud import paths
from tests.cloud import ROOT
from tests.dying import REASON, Stage, kill

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

NOWHERE = "http://127.0.0.1:9/simple"
SYNC = ("sync", "--quiet", "--frozen", "--no-install-project", "--no-default-groups", "--group", "release")


@pytest.fixture
def runner(tmp_path):
    """A clone with an environment of its own, an engine and a plugin, all below one folder; its variables."""
    home, clone = tmp_path / "home", tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run([find_uv_bin(), *SYNC, "--python", sys.executable], cwd=clone, check=True)
    shutil.copytree(paths.BIN, home / ".pulumi" / "bin")
    shutil.copytree(paths.PULUMI_HOME / "plugins", home / ".pulumi" / "plugins", symlinks=True)
    machine = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
    return (
        clone,
        {
            "HOME": str(home),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PATH": os.pathsep.join([str(home / ".pulumi" / "bin"), machine]),
            "UV_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": "",
        },
        {"PATH": machine, "UV_DEFAULT_INDEX": NOWHERE, "UV_HTTP_RETRIES": "0"},
    )


def test_a_rollback_on_a_fresh_runner_needs_nothing_but_aws(production, another, runner):
    clone, variables, bare = runner
    cloud, release = production.cloud, (str(clone / ".venv" / "bin" / "python"), "-m", "release")
    stage = Stage(cloud, production.digest)
    stage.begin_again(another[0])
    kept = [
        cloud.run(*release, "keep", "--stack", "prod", "--json", folder=clone, **variables).json()["kept"]
        for _ in ("a new lock", "the same lock")
    ]
    assert kept[0] == kept[1]
    assert [key.rpartition("/")[2] for key in kept[0]] == ["releaser.tar.gz", "engine.tar.gz", "program.tar.gz"]

    digest, source = another
    run = stage.promote(digest, source)
    stage.until(lambda: stage.in_state(digest, "DARK"), "it is dark", run)
    kill(run)
    for folder in (
        clone / ".venv",
        clone / ".release",
        engine := clone.parent / "home" / ".pulumi",
        clone.parent / "cache",
    ):
        shutil.rmtree(folder)

    cloud.run("sh", "tools/way-back.sh", folder=clone, BUCKET=names("prod").bucket, **variables | bare)
    ended = cloud.run(*release, "rollback", "--stack", "prod", *REASON, "--json", folder=clone, **variables | bare)
    assert ended.json()["state"] == "ROLLED_BACK"
    assert engine.exists()
    told = ended.stderr
    assert told.index("putting `live`") < told.index("unpacking the engine") < told.index("unpacking the program")
    assert stage.settled() == stage.stable
