"""Real builds: git, uv and a clean interpreter, of small repositories made here and of one of our functions."""

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.artifacts.manifest import Manifest, base64_of
from release.build import package_checks, third_party
from release.build.builder import BuildError, build, verify
from release.build.licenses import ALLOWED
from release.build.package_checks import PackageError
from release.build.sbom import BOM_FILE, LICENSE_TEXT
from release.build.zipfiles import files_of
from release.errors import Refused, UsageError
from release.git.plumbing import CommitError
from tests.build.repositories import Repository

ROOT = Path(__file__).parents[2]
ELF_ARM = b"\x7fELF" + bytes([2, 1, 1]) + bytes(11) + (183).to_bytes(2, "little") + bytes(40)
ELF_X86 = b"\x7fELF" + bytes([2, 1, 1]) + bytes(11) + (62).to_bytes(2, "little") + bytes(40)


def names_in(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def left_over(out):
    """What lies beside the output folder: a half-built one would."""
    return sorted(path.name for path in out.parent.iterdir()) if out.parent.exists() else []


def test_a_build_holds_the_commit_and_nothing_of_the_working_tree(repository, out, lines):
    repository.add_function("greeter")
    repository.write("lambdas/greeter/texts/de.txt", "Hallo")
    repository.write("lambdas/greeter/README.md", "for people")
    repository.write("lambdas/notes.txt", "no function")
    sha = repository.commit()
    repository.write("lambdas/greeter/handler.py", "raise SystemExit('not committed')")
    repository.write("lambdas/greeter/new.py", "")
    manifest = build(repository.path, sha, out, lines.append)

    assert (manifest.sha, manifest.built_at) == (sha, "2026-11-23T05:52:00Z")
    assert (manifest.runtime, manifest.architecture) == ("python3.11", "x86_64")
    assert list(manifest.functions) == ["greeter"]
    package = out / f"greeter-{sha}.zip"
    assert names_in(package) == ["bom.cdx.json", "handler.py", "texts/de.txt"]
    entry = manifest.functions["greeter"]
    assert entry.sha256 == hashlib.sha256(package.read_bytes()).hexdigest()
    assert entry.code_sha256 == base64_of(entry.sha256)
    assert entry.size == package.stat().st_size
    assert entry.lock_sha256 == hashlib.sha256((repository.path / "lambdas/greeter/uv.lock").read_bytes()).hexdigest()
    assert (out / "manifest.json").read_bytes() == manifest.canonical()
    assert verify(out) == manifest
    assert any("2 uncommitted change(s)" in line for line in lines)
    assert sorted(path.name for path in out.iterdir()) == [package.name, "manifest.json"]


@pytest.fixture(scope="module")
def built_with_dependencies(tmp_path_factory):
    base = tmp_path_factory.mktemp("with-dependencies")
    repository = Repository(base / "repository")
    handler = "import six, markupsafe\n\n\ndef handle(event, context): ...\n"
    repository.add_function("greeter", dependencies='"six==1.17.0", "markupsafe==3.0.3"', handler=handler)
    repository.write("lambdas/greeter/run.sh", "#!/bin/sh\n").chmod(0o755)
    sha = repository.commit()
    build(repository.path, sha, base / "out", print)
    return base / "out", sha


def test_the_same_commit_gives_the_same_bytes_on_a_machine_with_other_habits(built_with_dependencies, tmp_path):
    out, sha = built_with_dependencies
    first = verify(out)
    clone = tmp_path / "deep" / "down" / "clone"
    habits = tmp_path / "gitconfig"
    habits.write_text("[core]\n autocrlf = true\n[tar]\n umask = 0077\n")
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", out.parent / "repository", clone], check=True)
    scratch = tmp_path / "other scratch"
    scratch.mkdir()
    script = "import os, sys; from pathlib import Path; os.umask(0o077); from release.build.builder import build\n"
    script += "build(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), print)"
    env = os.environ | {
        "GIT_CONFIG_GLOBAL": str(habits),
        "TMPDIR": str(scratch),
        "SOURCE_DATE_EPOCH": "1700000000",
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "UV_COMPILE_BYTECODE": "1",
        "UV_LINK_MODE": "copy",
        "UV_EXCLUDE_NEWER": "2000-01-01",
        "UV_NO_BINARY": "1",
        "UV_CONSTRAINT": str(tmp_path / "constraint.txt"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "LC_ALL": "C",
    }
    (tmp_path / "constraint.txt").write_text("six<1\n")
    for folder in (tmp_path / "config" / "uv", clone):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "uv.toml").write_text('exclude-newer = "2000-01-01"\n[[index]]\nurl = "http://127.0.0.1:9"\n')
    # `clone/lambdas`, because any folder of the repository will do.
    arguments = [sys.executable, "-c", script, clone / "lambdas", sha[:10], tmp_path / "second"]
    subprocess.run(arguments, env=env, check=True, capture_output=True, cwd=tmp_path)

    assert verify(tmp_path / "second") == first
    package = f"greeter-{sha}.zip"
    assert (tmp_path / "second" / package).read_bytes() == (out / package).read_bytes()
    assert list(scratch.iterdir()) == []


def test_a_mirror_that_does_not_answer_is_named_and_the_lock_is_not_blamed(
    built_with_dependencies, tmp_path, monkeypatch
):
    out, sha = built_with_dependencies
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:hidden@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(BuildError, match="cannot be installed") as refused:
        build(out.parent / "repository", sha, tmp_path / "other", print)
    assert "UV_DEFAULT_INDEX" in refused.value.next_step
    assert "hidden" not in f"{refused.value} {refused.value.why}"


def test_a_zip_has_sorted_names_plain_modes_one_time_and_no_installer_notes(built_with_dependencies):
    out, sha = built_with_dependencies
    with zipfile.ZipFile(out / f"greeter-{sha}.zip") as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    modes = {entry.filename: stat.S_IMODE(entry.external_attr >> 16) for entry in entries}
    assert modes["run.sh"] == 0o755
    assert set(modes.values()) == {0o644, 0o755}
    assert "six.py" in names
    assert any(name.endswith(".cpython-311-x86_64-linux-gnu.so") for name in names)
    assert {name for name in names if name.endswith("/LICENSE.txt")} == {
        "markupsafe-3.0.3.dist-info/licenses/LICENSE.txt"
    }
    forbidden = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".pyc", ".lock", "pyproject.toml")
    assert not [name for name in names if name.endswith(forbidden)]


def test_building_again_into_the_same_folder_is_fine_and_another_commit_is_refused(repository, out):
    repository.add_function("greeter")
    sha = repository.commit()
    first = build(repository.path, sha, out, lambda _: None)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert build(repository.path, sha, out, lambda _: None) == first

    repository.write("lambdas/greeter/more.py", "")
    other = repository.commit()
    with pytest.raises(Refused, match="something else already") as refused:
        build(repository.path, other, out, lambda _: None)
    assert refused.value.rule == "one-build-per-folder"
    assert sha[:12] in refused.value.why
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert left_over(out) == ["packages"]


def test_a_folder_that_holds_something_else_is_left_alone(repository, out):
    repository.add_function("greeter")
    sha = repository.commit()
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(Refused, match="something else already"):
        build(repository.path, sha, out, lambda _: None)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_filled(repository, out):
    repository.add_function("greeter")
    out.mkdir(parents=True)
    build(repository.path, repository.commit(), out, lambda _: None)
    assert (out / "manifest.json").exists()


def test_a_package_that_cannot_be_imported_is_named_with_its_last_lines_and_leaves_nothing(repository, out):
    repository.add_function("good")
    repository.add_function("bad", handler="import nowhere_to_be_found\n\ndef handle(event, context): ...\n")
    with pytest.raises(PackageError, match="bad: the package cannot be imported") as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in failed.value.why
    assert "uv lock" in failed.value.next_step
    assert left_over(out) == []


def test_a_dependency_of_the_build_machine_does_not_help_the_package(repository, out):
    # pydantic is installed where these tests run, and is not in this function's lock.
    repository.add_function("greeter", handler="import pydantic\n\ndef handle(event, context): ...\n")
    with pytest.raises(PackageError, match="greeter"):
        build(repository.path, repository.commit(), out, lambda _: None)


def test_a_handler_without_handle_is_refused(repository, out):
    repository.add_function("greeter", handler="handle = 'not callable'\n")
    with pytest.raises(PackageError) as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "no function 'handle'" in failed.value.why


def test_ctrl_c_ends_the_children_and_leaves_nothing(repository, tmp_path, out):
    repository.add_function("slow", handler="import time\ntime.sleep(50)\n")
    sha = repository.commit()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = "import sys; from pathlib import Path; from release.build.builder import build\n"
    script += "build(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), lambda line: print(line, flush=True))"
    arguments = [sys.executable, "-c", script, repository.path, sha, out]
    with subprocess.Popen(
        arguments, env=os.environ | {"TMPDIR": str(scratch)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "installing" not in process.stdout.readline():
            assert process.poll() is None
        # The zip is there, so the import, which would sleep for 50 seconds, is next.
        deadline = time.monotonic() + 20
        while not list(scratch.glob("*/slow/unpacked/handler.py")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left_over(out)
        time.sleep(0.1)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert process.returncode != 0
    assert time.monotonic() - started < 10
    assert left_over(out) == []
    assert list(scratch.iterdir()) == []


def test_what_is_wrong_with_the_commit_is_said_in_words(repository, tmp_path, out, monkeypatch):
    sha = repository.commit()
    with pytest.raises(BuildError, match="has no function"):
        build(repository.path, sha, out, lambda _: None)
    with pytest.raises(CommitError, match="is not in this repository") as unknown:
        build(repository.path, "f" * 40, out, lambda _: None)
    assert "git fetch origin" in unknown.value.next_step
    with pytest.raises(CommitError, match="is not in this repository"):
        build(repository.path, "--help", out, lambda _: None)
    (tmp_path / "loose").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(CommitError, match="not inside a git repository"):
        build(tmp_path / "loose", sha, out, lambda _: None)
    with pytest.raises(CommitError, match="no folder"):
        build(tmp_path / "nowhere", sha, out, lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommitError, match="git is not installed"):
        build(repository.path, sha, out, lambda _: None)
    assert left_over(out) == []


def test_what_is_wrong_with_a_folder_is_said_in_words(repository, out):
    repository.add_function("greeter")
    folder = repository.path / "lambdas/greeter"

    lock = (folder / "uv.lock").read_text()
    (folder / "uv.lock").unlink()
    with pytest.raises(BuildError, match=r"greeter: lambdas/greeter/uv\.lock is missing") as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "uv lock" in failed.value.next_step

    project = (folder / "pyproject.toml").read_text()
    (folder / "uv.lock").write_text(lock)
    (folder / "pyproject.toml").write_text(project.replace("[]", '["six"]'))
    with pytest.raises(BuildError, match="does not fit its pyproject"):
        build(repository.path, repository.commit(), out, lambda _: None)

    (folder / "pyproject.toml").write_text(project + '[tool.release]\naws-servces = ["s3"]\n')
    with pytest.raises(BuildError, match="cannot be read") as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "aws-servces" in failed.value.why

    (folder / "pyproject.toml").unlink()
    with pytest.raises(BuildError, match=r"handler\.py but no pyproject\.toml"):
        build(repository.path, repository.commit(), out, lambda _: None)

    (folder / "pyproject.toml").write_text(project)
    (folder / "handler.py").unlink()
    with pytest.raises(BuildError, match=r"handler\.py is missing"):
        build(repository.path, repository.commit(), out, lambda _: None)

    (folder / "handler.py").symlink_to("elsewhere.py")
    with pytest.raises(CommitError, match="symbolic link"):
        build(repository.path, repository.commit(), out, lambda _: None)
    assert left_over(out) == []


@pytest.mark.parametrize(
    ("name", "owner"), [("secrets.py", "the standard library"), ("six/__init__.py", "a dependency")]
)
def test_a_source_that_hides_another_module_is_refused(repository, out, name, owner):
    repository.add_function("greeter", dependencies='"six==1.17.0"')
    repository.write(f"lambdas/greeter/{name}", "")
    with pytest.raises(PackageError, match=owner):
        build(repository.path, repository.commit(), out, lambda _: None)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("fast.so", ELF_ARM, "another processor"),
        ("fast.so", b"not a library", "no ELF file"),
        ("fast.pyd", b"MZ", "another operating system"),
        ("fast.cpython-312-x86_64-linux-gnu.so", ELF_X86, "another interpreter"),
        ("fast.cpython-311-aarch64-linux-gnu.so", ELF_X86, "another interpreter"),
        ("fast.so", ELF_X86 + b"\0GLIBC_2.17\0GLIBC_2.28\0", "glibc 2.28"),
    ],
)
def test_native_modules_of_another_platform_are_refused(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PackageError) as failed:
        package_checks.check_native_modules("greeter", tmp_path, files_of(tmp_path))
    assert why in failed.value.why


@pytest.mark.parametrize("name", ["fast.cpython-311-x86_64-linux-gnu.so", "fast.abi3.so", "libfast.so.3", "fast.so"])
def test_native_modules_of_the_platform_are_counted(tmp_path, name):
    (tmp_path / name).write_bytes(ELF_X86 + b"\0GLIBC_2.17\0")
    assert package_checks.check_native_modules("greeter", tmp_path, files_of(tmp_path)) == 1


def test_a_package_over_lambdas_limit_is_refused_with_its_largest_parts(repository, out, monkeypatch):
    repository.add_function("greeter")
    repository.write("lambdas/greeter/model/weights.txt", "w" * 3_000_000)
    monkeypatch.setattr(package_checks, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(PackageError, match=r"greeter: the package has 2\.9 MB unpacked") as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "model 2.9 MB" in failed.value.why


def test_a_package_over_the_budget_of_its_function_is_refused_with_its_largest_parts(repository, out):
    repository.add_function("greeter", settings="[tool.release]\nsize-budget-mb = 0.3\n")
    noise = random.Random(7).randbytes(150_000).hex()  # 0.3 MB that a zip makes half as large
    repository.write("lambdas/greeter/model/weights.txt", noise)
    build(repository.path, repository.commit(), out, lambda _: None)
    repository.write("lambdas/greeter/model/more.txt", noise[::-1])
    repository.write("lambdas/greeter/model/most.txt", noise[::3] * 3)
    with pytest.raises(
        PackageError, match=r"greeter: the package has 0\.[4-9] MB zipped, the budget is 0\.3 MB"
    ) as failed:
        build(repository.path, repository.commit(), out.parent / "again", lambda _: None)
    assert "model 0.9 MB" in failed.value.why
    assert "size-budget-mb" in failed.value.next_step


@pytest.mark.parametrize("budget", ["0", "51", '"large"'])
def test_a_budget_that_is_none_is_refused(repository, out, budget):
    repository.add_function("greeter", settings=f"[tool.release]\nsize-budget-mb = {budget}\n")
    with pytest.raises(BuildError, match="cannot be read") as failed:
        build(repository.path, repository.commit(), out, lambda _: None)
    assert "size-budget-mb" in failed.value.why


def test_verify_names_every_package_that_differs(repository, out):
    for name in ("one", "two", "three"):
        repository.add_function(name)
    sha = repository.commit()
    build(repository.path, sha, out, lambda _: None)
    (out / f"one-{sha}.zip").unlink()
    changed = bytearray((out / f"two-{sha}.zip").read_bytes())
    changed[-1] ^= 1
    (out / f"two-{sha}.zip").write_bytes(changed)
    shutil.copy(out / f"three-{sha}.zip", out / "four.zip")
    with pytest.raises(Refused) as refused:
        verify(out)
    assert refused.value.rule == "bytes-differ"
    assert f"one-{sha}.zip is missing" in refused.value.why
    assert f"two-{sha}.zip has sha256" in refused.value.why
    assert "four.zip is not in the manifest" in refused.value.why
    assert "three-" not in refused.value.why


def test_verify_without_a_manifest_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        verify(tmp_path)


@pytest.fixture(scope="module")
def our_build(tmp_path_factory):
    """The packages of our own functions (their folders as they lie here), and what the build said."""
    base = tmp_path_factory.mktemp("real")
    repository = Repository(base / "repository")
    unused = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "lambdas", repository.path / "lambdas", ignore=unused)
    said = []
    build(repository.path, repository.commit(), base / "out", said.append)
    return base / "out", said


@pytest.fixture(scope="module")
def analysis_package(our_build, tmp_path_factory):
    """The package of analysis, unpacked."""
    folder, _ = our_build
    unpacked = tmp_path_factory.mktemp("analysis")
    with zipfile.ZipFile(folder / verify(folder).functions["analysis"].package) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_our_packages_keep_the_models_of_their_aws_services_only(analysis_package):
    assert [path.name for path in (analysis_package / "botocore/data").iterdir() if path.is_dir()] == ["dynamodb"]


def test_every_package_lists_what_it_holds_as_cyclonedx_with_the_digest_of_each_wheel(our_build):
    folder, said = our_build
    for function, entry in verify(folder).functions.items():
        with zipfile.ZipFile(folder / entry.package) as archive:
            bill, names = archive.read(BOM_FILE), archive.namelist()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
        lock = (ROOT / "lambdas" / function / "uv.lock").read_text()
        listed = json.loads(bill)["components"]
        folders = {name.split("/")[0] for name in names if ".dist-info/" in name}
        assert len(listed) == len(folders) > 5
        for component in listed:
            assert f'name = "{component["name"]}"\nversion = "{component["version"]}"' in lock
            assert f"sha256:{component['hashes'][0]['content']}" in lock
            assert {one["name"] for one in component["properties"]} <= {LICENSE_TEXT}
            assert {one["value"] for one in component["properties"]} <= set(names)
        assert any(line.startswith(f"{function}: {len(listed)} packages, licences: ") for line in said)


def test_the_page_of_what_is_shipped_is_that_of_this_build(our_build):
    written = (ROOT / third_party.PAGE).read_text()
    assert written == third_party.renewed(written, our_build[0]), "python -m release.build.third_party DIR"
    assert f"Allowed are {', '.join(sorted(ALLOWED))}\n" in written


def test_our_package_scores_a_text_with_nothing_but_itself_and_the_standard_library(analysis_package):
    script = "import sys; sys.path.insert(0, sys.argv[1]); import handler, sentiment, boto3, json\n"
    script += "boto3.resource('dynamodb', region_name='us-east-1').Table('t')\n"
    script += "print(json.dumps([sentiment.score('A wonderful day')[0], boto3.__file__]))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", script, analysis_package],
        env={},
        check=True,
        capture_output=True,
        text=True,
    )
    sentiment, where = json.loads(done.stdout)
    assert sentiment == "positive"
    assert where.startswith(str(analysis_package))


def test_an_aws_service_that_does_not_exist_is_refused_by_name(tmp_path):
    for name in ("botocore/data/dynamodb/2012-08-10", "botocore/data/s3", "boto3/data/s3"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(PackageError, match="no AWS service named dynamite"):
        package_checks.keep_aws_services(tmp_path, "greeter", ["dynamodb", "dynamite"])
    package_checks.keep_aws_services(tmp_path, "greeter", ["dynamodb"])
    assert [path.name for path in tmp_path.glob("*/data/*")] == ["dynamodb"]


def test_the_manifest_file_is_read_by_its_own_loader(repository, out):
    repository.add_function("greeter")
    manifest = build(repository.path, repository.commit(), out, lambda _: None)
    assert Manifest.load((out / "manifest.json").read_bytes()).digest == manifest.digest
