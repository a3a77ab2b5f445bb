"""What an update of lock files and pins may hold: versions that move forward within their major, and nothing else."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.version import Version

from release.gates.dependency_updates import PATTERN, NotProvableError, moves, step
from tests.fixtures.dependabot import HOST, digest, lock

LOCK, PROJECT = "lambdas/dashboard/uv.lock", "lambdas/dashboard/pyproject.toml"
BEFORE = {"boto3": "1.44.5", "six": "1.17.0", "s3transfer": "0.14.0"}
LAMBDAS = Path(__file__).parents[3] / "lambdas"
LOCKS = [file for file in sorted(LAMBDAS.glob("*/uv.lock")) if 'name = "boto3"' in file.read_text()]


def of(old, new, path=LOCK):
    return moves(path, old.encode(), new.encode())


def changed(**versions):
    return lock({**BEFORE, **versions})


def test_versions_that_move_forward_are_told():
    assert of(lock(BEFORE), changed(boto3="1.45.0", six="1.17.1")) == ["boto3 1.44.5 -> 1.45.0", "six 1.17.0 -> 1.17.1"]


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.parent.name)
def test_a_bump_in_the_real_lock_files_is_read(file):
    text = file.read_text()
    version = re.search(r'name = "boto3"\nversion = "(\d+\.\d+)\.(\d+)"', text)
    minor, patch = version[1], int(version[2])
    bumped = re.sub(rf"(?<=boto3-){re.escape(minor)}\.{patch}", f"{minor}.{patch + 1}", text)
    bumped = bumped.replace(version[0], f'name = "boto3"\nversion = "{minor}.{patch + 1}"')
    path = f"lambdas/{file.parent.name}/uv.lock"
    assert of(text, bumped, path) == [f"boto3 {minor}.{patch} -> {minor}.{patch + 1}"]
    assert of(text, text, path) == []


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (changed(boto3="2.0.0"), "a major step"),
        (changed(s3transfer="0.15.0"), "a major step"),
        (changed(boto3="1!1.45.0"), "a major step"),
        (changed(boto3="1.44.4"), "goes back"),
        (changed(boto3="1.45.0rc1"), "no final release"),
        (changed(boto3="1.45.0+local"), "no final release"),
        (changed(evil="1.0.0"), "new: evil"),
        (lock({name: BEFORE[name] for name in ("boto3", "six")}), "gone: s3transfer"),
        (lock({**BEFORE, "boto3": "1.45.0"}, host="https://files.evil.test"), "comes from|kept its version"),
        (
            changed(boto3="1.45.0").replace(f"{HOST}/packages/boto3-1.45.0.tar", "https://evil.test/boto3-1.45.0.tar"),
            "evil",
        ),
        (changed(boto3="1.45.0").replace("packages/boto3-1.45.0-py3", "packages/evil-1.45.0-py3"), "another package"),
        (changed(boto3="1.45.0").replace("packages/boto3-1.45.0-py3", "packages/boto3-1.46.0-py3"), "another package"),
        (changed(boto3="1.45.0").replace(f"sha256:{digest('boto3-1.45.0.tar.gz')}", "md5:abc"), "has no hash"),
        (re.sub(r"(sdist|wheels) = .*boto3.*\n", "", changed(boto3="1.45.0")), "no files, or those of another package"),
        (changed().replace(digest("six-1.17.0.tar.gz"), "0" * 64), "six 1.17.0 changed and kept its version"),
        (changed(boto3="1.45.0").replace("https://registry.test/simple", "https://evil.test/simple"), "source of"),
        (changed(boto3="1.45.0") + '\n[options]\nexclude-newer = "2026-01-01"\n', "options changed"),
        (changed(boto3="1.45.0").replace("==3.11.*", ">=3.11"), "requires-python changed"),
        (changed(boto3="1.45.0").replace('{ name = "six" }', '{ name = "six", extra = ["x"] }'), "depends on changed"),
        (
            changed(boto3="1.45.0").replace('{ name = "six", specifier', '{ name = "sixx", specifier'),
            "depends on changed",
        ),
        (changed(boto3="1.45.0") + lock(BEFORE).partition("\n\n")[2].partition("\n\n")[0], "stands there twice"),
        (changed(boto3="1.45.0").replace("wheels = [", "resolution-markers = []\nwheels = ["), "resolution-markers of"),
        (changed(boto3="latest"), "cannot be read"),
        ("version = ", "cannot be read"),
        ("", "cannot be read|changed"),
    ],
)
def test_everything_else_is_left_to_a_person(new, why):
    with pytest.raises(NotProvableError, match=why):
        of(lock(BEFORE), new)


def test_a_package_that_comes_from_no_registry_has_no_versions_to_trust():
    old, new = (
        text.replace('registry = "https://registry.test/simple"', 'git = "https://git.test/x"')
        for text in (lock(BEFORE), changed(boto3="1.45.0"))
    )
    with pytest.raises(NotProvableError, match="boto3 comes from no registry"):
        of(old, new)


def test_a_lock_that_is_no_text_is_left_to_a_person():
    with pytest.raises(NotProvableError, match="cannot be read"):
        moves(LOCK, lock(BEFORE).encode(), b"\xff\xfe")


def test_a_newer_uv_that_writes_a_newer_revision_says_nothing_about_packages():
    assert of(lock(BEFORE), changed(six="1.18.0").replace("revision = 5", "revision = 6")) == ["six 1.17.0 -> 1.18.0"]


def test_what_the_function_asks_for_may_follow_its_pins():
    assert of(lock(BEFORE), lock({**BEFORE, "six": "1.18.0"}, wanted=">=1.2")) == ["six 1.17.0 -> 1.18.0"]


PINS = """[project]
name = "dashboard"
dependencies = ["boto3>=1.42", "six==1.17.0 ; sys_platform != 'win32'"]
[tool.release]
aws-services = ["dynamodb"]
"""


def test_pins_that_move_forward_are_told():
    new = PINS.replace("six==1.17.0", "six==1.18.0").replace("[tool", "# a comment\n[tool")
    assert of(PINS, new, PROJECT) == ["six== 1.17.0 -> 1.18.0"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("six==1.17.0", "six==2.0.0"),
        ("six==1.17.0", "six==1.16.0"),
        ("six==1.17.0", "six>=1.18.0"),
        ("six==1.17.0", "six==1.18.0,!=1.19"),
        ("six==1.17.0", "six==1.*"),
        ("six==1.17.0", "six"),
        ("six==1.17.0", "six @ https://evil.test/six-1.18.0.tar.gz"),
        ("six==1.17.0", "six[extra]==1.18.0"),
        ("six==1.17.0", "sixx==1.18.0"),
        ("win32", "linux"),
        ('"boto3>=1.42", ', ""),
        ('"boto3>=1.42", ', '"boto3>=1.42", "evil>=1", '),
        ('"dynamodb"', '"dynamodb", "iam"'),
        ('name = "dashboard"', 'name = "other"'),
        ("[tool.release]", '[tool.uv]\nindex-url = "https://evil.test"\n[tool.release]'),
        ("[project]", "project"),
    ],
)
def test_a_project_file_that_says_more_is_left_to_a_person(old, new):
    assert old in PINS
    with pytest.raises(NotProvableError):
        of(PINS, PINS.replace(old, new), PROJECT)


@pytest.mark.parametrize(
    "path",
    [
        "uv.lock",
        "lambdas/uv.lock",
        "lambdas/a/b/uv.lock",
        "lambdas/../uv.lock",
        "lambdas/dashboard/uv.lock\n",
        "lambdas/dashboard/handler.py",
        "xlambdas/dashboard/uv.lock",
    ],
)
def test_no_other_file_is_a_list_of_dependencies(path):
    assert not PATTERN.fullmatch(path)
    with pytest.raises(NotProvableError):
        of(lock(BEFORE), changed(six="1.18.0"), path)


numbers = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@given(numbers, numbers)
def test_a_step_is_allowed_only_forward_and_only_behind_the_first_number_that_is_not_zero(old, new):
    before, after = (".".join(map(str, numbers)) for numbers in (old, new))
    assume(Version(before) != Version(after))
    try:
        step("x", before, after)
    except NotProvableError:
        return
    assert Version(after) > Version(before)
    # padded with zeros, the part up to the first number that is not 0 is the same in both
    width = max(len(old), len(new))
    old, new = (numbers + [0] * (width - len(numbers)) for numbers in (old, new))
    first = next(at for at, number in enumerate(old) if number)
    assert old[: first + 1] == new[: first + 1]
