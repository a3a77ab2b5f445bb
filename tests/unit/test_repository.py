"""What no file of the repository may hold, and what the repository must."""

import ast
import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from components.service.functions import KEYS

ROOT = Path(__file__).parents[2]
LOCKS = ("uv.lock", "go.sum", "package-lock.json")
# Put together here, so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    r"\b(?:"
    + "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("proxy", "golang", "org"),
            ("sum", "golang", "org"),
            ("index", "crates", "io"),
        )
    )
    + r")\b"
)
MACHINE_PATHS = re.compile(r"(?<![\w./$}<-])/(?:work|root|tmp/bash_jobs|Users/\w+|home/(?!runner\b)\w+)/[\w.]")
SECRETS = {
    # The local cloud's made-up keys say what they are.
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)(?!LOCALCLOUD)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY" + "-----"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})"),
    "a Pulumi token": re.compile(r"\bpul-[0-9a-f]{40}\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
}
LARGEST = 1_000_000
pytestmark = pytest.mark.stack_files


def _tracked():
    if not (ROOT / ".git").exists():
        return None
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts():
    """Tracked files by name; lock files too."""
    tracked = _tracked()
    if tracked is None:
        pytest.skip("not a git checkout: nothing says which files belong to the repository")
    found = {}
    for name in tracked:
        data = (ROOT / name).read_bytes()
        if b"\0" not in data:
            found[name] = data.decode("utf-8")
    return found


def _hits(texts, pattern, *, but=()):
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts.items()
        if name.name not in but and pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_only_lock_files_name_a_registry(texts):
    assert _hits(texts, REGISTRIES, but=LOCKS) == []


def test_no_file_holds_a_path_of_somebodys_machine(texts):
    assert _hits(texts, MACHINE_PATHS, but=LOCKS) == []


@pytest.mark.parametrize("kind", SECRETS)
def test_no_file_holds(kind, texts):
    assert _hits(texts, SECRETS[kind]) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRIES, "index-url = https://" + "pypi" + ".org/simple"),
        (MACHINE_PATHS, "see " + "/wo" + "rk/main/x"),
        (MACHINE_PATHS, 'cd "' + "/ro" + 'ot/.cache"'),
        (SECRETS["an AWS access key"], "AKI" + "A" + "ABCDEFGHIJKLMNOP"),
        (SECRETS["a private key"], "-----BEGIN RSA PRIVATE" + " KEY-----"),
        (SECRETS["a GitHub token"], "gh" + "p_" + "a" * 36),
        (SECRETS["a Pulumi token"], "pu" + "l-" + "0" * 40),
        (SECRETS["a Slack token"], "xox" + "b-1234567890"),
    ],
)
def test_a_forbidden_text_is_found(pattern, text):
    assert pattern.search(text)


@pytest.mark.parametrize(
    "text", ["network/work/x", "$HOME/work/x", "/home/runner/.pulumi", "https://host/root/x", "a/root/b"]
)
def test_an_innocent_path_is_not(text):
    assert not MACHINE_PATHS.search(text)


@pytest.mark.slow
def test_every_python_file_compiles(texts):
    for name, text in texts.items():
        if name.suffix == ".py":
            compile(text, str(name), "exec", dont_inherit=True)


def test_no_file_lists_the_functions_beside_their_table(texts):
    def listed(node):
        found = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
        return {*KEYS} & {one.value for one in found if isinstance(one, ast.Constant)}

    found = [
        f"{name}:{node.lineno}: take them from components/service/functions.py"
        for name, text in texts.items()
        if name.suffix == ".py" and sum(f'"{key}"' in text for key in KEYS) > 2
        for node in ast.walk(ast.parse(text))
        if len(listed(node)) > 2
    ]
    assert found == []


def test_every_text_ends_with_one_line_end_and_uses_no_other_kind(texts):
    wrong = [
        str(name)
        for name, text in texts.items()
        if name.suffix != ".json"  # data, kept as it came
        and ("\r" in text or (text and not text.endswith("\n")) or text.endswith("\n\n"))
    ]
    assert wrong == []


def test_no_file_is_a_build_product(texts):
    big = [str(name) for name in texts if (ROOT / name).stat().st_size > LARGEST]
    assert big == []
    assert [str(name) for name in texts if name.suffix in {".zip", ".pyc", ".so", ".whl"}] == []


def test_the_licence_is_the_one_that_the_package_names():
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert b"Version 2.0, January 2004" in text


def test_everything_starts_with_the_uv_of_the_lock_file_and_its_hashes():
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    uv = next(package for package in packages if package["name"] == "uv")
    asked = (ROOT / "tools" / "uv" / "requirements.txt").read_text()
    how = "uv export --frozen --only-group uv --no-header --output-file tools/uv/requirements.txt"
    assert re.findall(r"^uv==(\S+)", asked, re.MULTILINE) == [uv["version"]], how
    assert set(re.findall(r"sha256:\w+", asked)) == {file["hash"] for file in [uv["sdist"], *uv["wheels"]]}, how
